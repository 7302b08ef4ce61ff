"""Datasets of NWB files, read with pyfive and trusted as little as any other file.

pyfive is HDF5 in Python. The library in C, which h5py wraps, crashes the process on
files that are damaged in the right place, and follows links and external storage
out of the file.
"""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from spikewire.core.dtypes import AnyArray
from spikewire.core.errors import (
    ContentChangedError,
    FormatError,
    MissingExtraError,
    SortingFileNotFoundError,
    SpikewireError,
)
from spikewire.extractors.files import Column, StoredArray, open_binary, stamp_of

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
# Deflate shrinks to a thousandth at best.
_MAX_RATIO = 1100
_MAX_TEXT = 64 * 1024**2
_MAX_NODES = 20_000
_MAX_AXES = 8
# Where HDF5 keeps the items of a dataset.
_COMPACT, _CONTIGUOUS, _CHUNKED = 0, 1, 2
_TABLE_COLUMNS = {"id", "unit_name", "spike_times"}


class NwbFile:
    """An NWB file that is opened for each read, so that it can be replaced and closed.

    Parameters
    ----------
    path : Path
        The file.

    Raises
    ------
    SortingFileNotFoundError
        If there is no such file.
    FormatError
        If it is no HDF5 file, or a damaged one.
    MissingExtraError
        If pyfive is not installed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        content = _Content(path)
        if content.read(len(_SIGNATURE)) != _SIGNATURE:
            raise FormatError(f"{path}: not an HDF5 file, as NWB files are")
        self.hdf5 = _hdf5()
        with self.reading():
            self._size = content.seek(0, os.SEEK_END)
            self.root = self.hdf5.File(content)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Turn what pyfive raises for damaged files into errors that name the file.

        Raises
        ------
        ContentChangedError
            If the file is not, or no longer, the one that was opened first.
        """
        # Datasets share the position in the file.
        with self._lock:
            try:
                yield
            except SpikewireError:
                raise
            except Exception as error:
                # It is nowhere listed, and a claimed size may exceed the memory.
                raise FormatError(
                    f"{self.path}: not an NWB file, or a damaged one "
                    f"({type(error).__name__}: {error})"
                ) from error

    def node(self, name: str) -> Any:
        """The group or dataset under a name; None if there is none. Only while `reading`."""
        node = self.root
        for part in name.strip("/").split("/"):
            if not isinstance(node, self.hdf5.Group) or part not in node:
                return None
            node = node[part]
        return node

    def dataset(self, name: str) -> Any:
        """A dataset whose content is in the file, as much as it says. Only while `reading`.

        Raises
        ------
        FormatError
            If there is none, or it leads to other files, or is far too large for what
            is stored.
        """
        dataset = self.node(name)
        if not isinstance(dataset, self.hdf5.Dataset):
            raise FormatError(f"{self.path}: there is no dataset {name}")
        if len(dataset.shape) > _MAX_AXES:
            raise FormatError(f"{self.path}: {name} has {len(dataset.shape)} axes")
        most, size = self._most_bytes(dataset.id), dataset.dtype.itemsize
        for length in dataset.shape:
            size *= length
        if size > most:
            raise FormatError(
                f"{self.path}: {name} claims {size} bytes; no more than {most} are in the file"
            )
        return dataset

    def column(self, dataset: Any) -> Column:
        """A one-dimensional dataset, to be read in pieces. Only while `reading`."""
        if dataset.id.layout_class == _CONTIGUOUS and dataset.size:
            # pyfive reads four megabytes for one number.
            offset = self.root.userblock_size + int(dataset.id.data_offset)
            return StoredArray(self.path, dataset.dtype, dataset.shape, offset=offset)
        return _ChunkedColumn(self, dataset)

    def text(self, dataset: Any) -> AnyArray:
        """A column of strings. Only while `reading`."""
        strings = [
            string.decode() if isinstance(string, bytes) else str(string)
            for string in dataset[()].tolist()
        ]
        if len(strings) * max(map(len, strings), default=0) > _MAX_TEXT:
            raise FormatError(f"{self.path}: the texts of {dataset.name} are too long")
        return np.array(strings, dtype=np.str_)

    def _most_bytes(self, dataset_id: Any) -> int:
        """How many bytes a dataset can have, by what is stored of it in the file."""
        if dataset_id.layout_class == _CHUNKED:
            infos = (dataset_id.get_chunk_info(i) for i in range(dataset_id.get_num_chunks()))
            return _MAX_RATIO * min(sum(int(info.size) for info in infos), self._size)
        if dataset_id.layout_class == _CONTIGUOUS:
            # Storage in other files has no address here.
            return max(self._size - int(dataset_id.data_offset), 0)
        # What is compact lies in the description; anything else leads out of the file.
        return self._size if dataset_id.layout_class == _COMPACT else 0


def table_properties(file: NwbFile, table_path: str, num_units: int) -> dict[str, AnyArray]:
    """The columns of a units table that are one value a unit, of any fixed shape.

    Columns of another length for each unit, of references and of other objects are
    left out, as SpikeInterface leaves them out. Only while `reading`.
    """
    names = set(file.node(table_path))
    properties: dict[str, AnyArray] = {}
    for name in sorted(names - _TABLE_COLUMNS):
        path = f"{table_path}/{name}"
        if name.endswith("_index") or not isinstance(file.node(path), file.hdf5.Dataset):
            continue
        dataset = file.dataset(path)
        if f"{name}_index" in names:
            values = _ragged(file, path, dataset, num_units)
        elif dataset.shape[:1] != (num_units,):
            raise FormatError(f"{file.path}: {path} has not one row for each unit")
        else:
            values = _plain_values(file, dataset)
        if values is not None:
            properties[name] = values
    return properties


def _ragged(file: NwbFile, path: str, dataset: Any, num_units: int) -> AnyArray | None:
    """A column with several rows a unit, if they are equally many for all units."""
    ends = file.dataset(f"{path}_index")[()]
    lengths = np.unique(np.diff(ends.astype(np.int64), prepend=0))
    if ends.shape != (num_units,) or lengths.size != 1 or file.node(f"{path}_index_index"):
        return None
    values = _plain_values(file, dataset)
    if values is None or len(values) != num_units * int(lengths[0]):
        return None
    return values.reshape(num_units, int(lengths[0]), *values.shape[1:])


def _plain_values(file: NwbFile, dataset: Any) -> AnyArray | None:
    if file.hdf5.is_text(dataset):
        return file.text(dataset) if len(dataset.shape) == 1 else None
    if dataset.dtype.kind not in "biuf":
        return None
    values: AnyArray = dataset[()]
    return values.astype(bool) if file.hdf5.is_boolean(dataset) else values


def has_electrical_series(file: NwbFile) -> bool:
    """Whether a recording is in the file. Only while `reading`."""
    groups, seen = [file.root], 0
    while groups:
        group = groups.pop()
        if _text(group.attrs.get("neurodata_type")) == "ElectricalSeries":
            return True
        for name in group:
            seen += 1
            if seen > _MAX_NODES:
                raise FormatError(f"{file.path}: the groups of the file have no end")
            node = group[name]
            groups += [node] if isinstance(node, file.hdf5.Group) else []
    return False


def number_attribute(node: Any, name: str) -> float | None:
    """An attribute that is one number; None if there is no such."""
    value = node.attrs.get(name)
    return float(value) if isinstance(value, np.number) else None


def is_nwb_file(path: Path) -> bool:
    """Whether a file is NWB and, if pyfive is there to look, has a units table."""
    if path.suffix != ".nwb" or not path.is_file():
        return False
    try:
        file = NwbFile(path)
        with file.reading():
            return file.node("units/spike_times") is not None
    except (FormatError, MissingExtraError):
        return True


class _ChunkedColumn:
    """A one-dimensional dataset in chunks."""

    def __init__(self, file: NwbFile, dataset: Any) -> None:
        self._file = file
        self._dataset = dataset
        self.size = int(dataset.shape[0])
        self.dtype: np.dtype[Any] = dataset.dtype

    def read(self, start: int, stop: int) -> AnyArray:
        """Items ``start`` to ``stop``."""
        with self._file.reading():
            values: AnyArray = self._dataset[start:stop]
        return values


class _Content(io.RawIOBase):
    """The bytes of a file, opened for each read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._position = 0
        with open_binary(path) as file:
            self._stamp = stamp_of(file)

    def read(self, size: int = -1) -> bytes:
        """At most ``size`` bytes; a size beyond the end costs no memory."""
        rest = max(self._stamp[0] - self._position, 0)
        try:
            file = open_binary(self._path)
        except SortingFileNotFoundError:
            raise ContentChangedError(f"{self._path} was removed after it was opened") from None
        with file:
            if stamp_of(file) != self._stamp:
                raise ContentChangedError(
                    f"{self._path} was changed after it was opened; open the sorting again"
                )
            file.seek(self._position)
            content = file.read(rest if size < 0 else min(size, rest))
        self._position += len(content)
        return content

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a position."""
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._stamp[0]}[whence]
        if start + offset < 0:
            raise ValueError(f"position {start + offset} before the file")
        self._position = start + offset
        return self._position

    def tell(self) -> int:
        """The position."""
        return self._position

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True


def _text(value: Any) -> str | None:
    if isinstance(value, bytes):
        return value.decode()
    return value if isinstance(value, str) else None


def _hdf5() -> ModuleType:
    try:
        from spikewire.extractors import hdf5
    except ImportError as error:
        raise MissingExtraError("NWB files need pyfive: pip install 'spikewire[nwb]'") from error
    return hdf5
