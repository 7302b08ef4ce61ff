"""Arrays of zarr version 2 in folders: chunks of a bounded size, each in a file."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from spikewire.core.dtypes import AnyArray, IntArray
from spikewire.core.errors import (
    FormatError,
    SortingFileNotFoundError,
)
from spikewire.extractors.texts import read_bytes, read_json_object
from spikewire.extractors.zarr_codecs import (
    BLOSC,
    DELTA,
    JSON,
    blosc,
    decompressed,
    is_json,
    json_of_objects,
    objects_of_json,
    without_delta,
)

ARRAY_FILE = ".zarray"
_MAX_CHUNK_BYTES = 1024**3
# How many items of a long array make a chunk: half a megabyte of samples.
_CHUNK_ITEMS = 65_536


class ZarrArray:
    """An array of zarr version 2.

    Parameters
    ----------
    folder : Path
        The folder with ``.zarray`` and the chunks.

    Raises
    ------
    SortingFileNotFoundError
        If there is no such array.
    FormatError
        If its description is damaged, or asks for something that is not read.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder
        about = read_json_object(folder / ARRAY_FILE)
        if about.get("zarr_format") != 2:
            raise FormatError(f"{folder}: zarr format {about.get('zarr_format')!r}, not 2")
        self.shape = _lengths(about.get("shape"), 0, folder)
        self._chunks = _lengths(about.get("chunks"), 1, folder)
        if len(self._chunks) != len(self.shape):
            raise FormatError(f"{folder}: chunks {self._chunks} of an array {self.shape}")
        self.dtype = _dtype(about.get("dtype"), folder)
        self.size = math.prod(self.shape)
        if math.prod(self._chunks) * max(self.dtype.itemsize, 1) > _MAX_CHUNK_BYTES:
            raise FormatError(f"{folder}: chunks of {self._chunks} items are too large to read")
        self._order = "F" if about.get("order") == "F" else "C"
        self._separator = "/" if about.get("dimension_separator") == "/" else "."
        self._compressor = about.get("compressor")
        self._filters = about.get("filters") or []
        if not isinstance(self._filters, list):
            raise FormatError(f"{folder}: the filters are {self._filters!r}")
        # Neighbouring reads are of one chunk mostly.
        self._latest: tuple[int, AnyArray] | None = None

    def read(self, start: int, stop: int) -> AnyArray:
        """Items ``start`` to ``stop`` (exclusive) of a one-dimensional array."""
        (length,) = self._chunks
        pieces = [np.empty(0, dtype=self.dtype)]
        for number in range(start // length, -(-stop // length)):
            latest = self._latest
            if latest is None or latest[0] != number:
                latest = self._latest = (number, self._chunk((number,)))
            first = number * length
            pieces.append(latest[1][max(start - first, 0) : stop - first])
        return np.concatenate(pieces)

    def column(self) -> ZarrArray:
        """This array, if it is one-dimensional.

        Raises
        ------
        FormatError
            If it is not.
        """
        if len(self.shape) != 1:
            raise FormatError(f"{self.path}: one column was expected, not shape {self.shape}")
        return self

    def load(self) -> AnyArray:
        """The whole array."""
        axes = zip(self.shape, self._chunks, strict=True)
        grid = [range(-(-length // chunk)) for length, chunk in axes]
        # A description can claim any shape: the files have to be there for it.
        count = math.prod(len(axis) for axis in grid)
        if count > sum(1 for _ in itertools.islice(self.path.rglob("*"), count + 1)):
            raise FormatError(f"{self.path}: some of its {count} chunks are missing")
        values = np.empty(self.shape, dtype=self.dtype)
        for place in itertools.product(*grid):
            where = tuple(
                slice(number * chunk, (number + 1) * chunk)
                for number, chunk in zip(place, self._chunks, strict=True)
            )
            part = values[where]
            chunk = self._chunk(place)
            values[where] = chunk[tuple(slice(length) for length in part.shape)]
        return values

    def _chunk(self, place: tuple[int, ...]) -> AnyArray:
        path = self.path / self._separator.join(map(str, place or (0,)))
        try:
            data = read_bytes(path, _MAX_CHUNK_BYTES)
        except SortingFileNotFoundError as error:
            raise FormatError(f"{self.path}: the chunk {path.name} is missing") from error
        if self.dtype.hasobject:
            if self._compressor is not None or not is_json(self._filters):
                raise FormatError(f"{self.path}: objects are read from JSON only")
            return objects_of_json(data, self._chunks, path)
        count = math.prod(self._chunks)
        data = decompressed(data, count * self.dtype.itemsize, self._compressor, path)
        values = np.frombuffer(data, dtype=self.dtype)
        for codec in reversed(self._filters):
            values = without_delta(values, codec, self.dtype, path)
        return values.reshape(self._chunks, order=self._order)  # type: ignore[call-overload, no-any-return]


def write_array(folder: Path, values: AnyArray) -> None:
    """Write an array as one chunk, uncompressed, as SpikeInterface writes properties.

    Objects are written as JSON; they must be plain values.
    """
    folder.mkdir(parents=True)
    chunks = tuple(max(length, 1) for length in values.shape)
    about = _about(values.shape, chunks, values.dtype)
    if values.dtype.hasobject:
        about["filters"] = [JSON]
    (folder / ARRAY_FILE).write_text(json.dumps(about, indent=4), encoding="utf-8")
    if values.size:
        name = ".".join("0" for _ in values.shape)
        (folder / name).write_bytes(
            json_of_objects(values) if values.dtype.hasobject else values.tobytes()
        )


class ColumnWriter:
    """Writes a long column of int64 in compressed chunks.

    Parameters
    ----------
    folder : Path
        The array's folder, which is made.

    Raises
    ------
    MissingExtraError
        If numcodecs is not installed.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.size = 0
        self._folder = folder
        self._codec = blosc().Blosc(cname="zstd", clevel=5, shuffle=2)
        self._rest = np.empty(0, dtype=np.int64)
        self._firsts: list[int] = []

    def append(self, values: IntArray) -> None:
        """Write the next items."""
        self.size += values.size
        values = np.concatenate([self._rest, values])
        whole = values.size // _CHUNK_ITEMS * _CHUNK_ITEMS
        for start in range(0, whole, _CHUNK_ITEMS):
            self._write(values[start : start + _CHUNK_ITEMS])
        self._rest = values[whole:]

    def close(self) -> IntArray:
        """Write what is left, and the description.

        Returns
        -------
        int64, (chunks,)
            The first item of each chunk.
        """
        if self._rest.size:
            # All chunks of an array have one length.
            missing = _CHUNK_ITEMS - self._rest.size if self._firsts else 0
            self._write(np.concatenate([self._rest, np.zeros(missing, dtype=np.int64)]))
        chunk = min(max(self.size, 1), _CHUNK_ITEMS)
        about = _about((self.size,), (chunk,), np.dtype(np.int64))
        about |= {"compressor": BLOSC, "filters": [DELTA]}
        (self._folder / ARRAY_FILE).write_text(json.dumps(about, indent=4), encoding="utf-8")
        return np.array(self._firsts, dtype=np.int64)

    def _write(self, chunk: IntArray) -> None:
        steps = np.diff(chunk, prepend=0)
        (self._folder / str(len(self._firsts))).write_bytes(self._codec.encode(steps))
        self._firsts.append(int(chunk[0]))


def _about(shape: tuple[int, ...], chunks: tuple[int, ...], dtype: np.dtype[Any]) -> dict[str, Any]:
    return {
        "zarr_format": 2,
        "shape": shape,
        "chunks": chunks,
        "dtype": np.lib.format.dtype_to_descr(dtype),
        "compressor": None,
        "filters": None,
        "fill_value": 0 if dtype.kind in "iuf" else None,
        "order": "C",
    }


def _lengths(value: Any, least: int, folder: Path) -> tuple[int, ...]:
    if not isinstance(value, list) or any(type(n) is not int or n < least for n in value):
        raise FormatError(f"{folder}: {value!r} are no lengths of axes")
    return tuple(value)


def _dtype(description: Any, folder: Path) -> np.dtype[Any]:
    if isinstance(description, list):
        description = [tuple(field) if isinstance(field, list) else field for field in description]
    try:
        dtype: np.dtype[Any] = np.dtype(description)
    except Exception as error:
        # What a stranger's description makes numpy raise is nowhere listed.
        raise FormatError(f"{folder}: {description!r} is no type ({error})") from error
    if description is None or (dtype.hasobject and dtype.kind != "O"):
        raise FormatError(f"{folder}: items of type {description!r} are not read")
    return dtype
