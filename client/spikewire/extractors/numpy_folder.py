"""The numpy folder: the spike vector as one npy file, metadata beside it."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from spikewire.core.dtypes import SPIKE_DTYPE, AnyArray, IntArray
from spikewire.core.errors import FormatError
from spikewire.core.sorting import BaseSorting
from spikewire.extractors.files import MmapMode, NpyFile
from spikewire.extractors.folder_metadata import (
    existing_folder,
    read_metadata,
    write_dump,
    write_json,
    write_metadata,
)
from spikewire.extractors.properties import check_properties
from spikewire.extractors.saving import new_folder
from spikewire.extractors.segments import TableSegment
from spikewire.extractors.tables import (
    MAX_SEGMENTS,
    as_int64,
    blaming,
    row_stretches,
)
from spikewire.extractors.texts import read_json_object

INFO_FILE = "numpysorting_info.json"
SPIKES_FILE = "spikes.npy"
_FIELDS = ("sample_index", "unit_index", "segment_index")
_ID_DTYPE = re.compile(r"[<>|][iuS]\d{1,4}")


class NumpyFolderSorting(BaseSorting):
    """A sorting in a numpy folder, the format that `save` writes by default.

    Opening reads the headers and the metadata. Spikes are read when they are
    asked for, a window without what lies around it.

    Parameters
    ----------
    folder_path : str or Path
        The folder.
    mmap_mode : {"r", "r+", "c"}, optional
        Map the spikes instead of reading them: faster, but if another program
        truncates the file, this one is killed.
    allow_pickle : bool, default: False
        Unpickle properties of Python objects that SpikeInterface saved. A pickle
        can run any code: only for folders that you trust. Otherwise such
        properties are left out, with a warning.

    Raises
    ------
    SortingFileNotFoundError
        If there is no such folder.
    FormatError
        If a file is missing or damaged. Spikes that are out of order, or of no
        unit, are found when they are read.
    """

    _dump_class = "spikeinterface.core.sortingfolder.NumpyFolderSorting"
    _is_reopened_cheaply = True

    def __init__(
        self,
        folder_path: str | Path,
        mmap_mode: MmapMode | None = None,
        allow_pickle: bool = False,
    ) -> None:
        folder = existing_folder(folder_path)
        info = read_json_object(folder / INFO_FILE)
        missing = {"sampling_frequency", "unit_ids", "num_segments"} - info.keys()
        if missing:
            raise FormatError(f"{folder / INFO_FILE} does not state {', '.join(sorted(missing))}")
        num_segments = info["num_segments"]
        if type(num_segments) is not int or not 0 <= num_segments <= MAX_SEGMENTS:
            raise FormatError(f"{folder / INFO_FILE}: num_segments is {num_segments!r}")
        with blaming(folder / INFO_FILE):
            super().__init__(info["sampling_frequency"], _unit_ids(info))
        spikes = NpyFile(folder / SPIKES_FILE, mmap_mode=mmap_mode)
        bounds = _segment_bounds(spikes, num_segments)
        for segment_index in range(num_segments):
            table = _RecordTable(spikes, segment_index, self.get_num_units())
            first, last = bounds[segment_index : segment_index + 2]
            self.add_sorting_segment(TableSegment(table, first, last))
        read_metadata(folder, self, allow_pickle=allow_pickle)
        # Without mmap_mode, which SpikeInterface 0.104 does not know, unless it is set.
        self._kwargs = {"folder_path": str(folder)}
        if mmap_mode is not None:
            self._kwargs["mmap_mode"] = mmap_mode

    @staticmethod
    def write_sorting(
        sorting: BaseSorting,
        folder_path: str | Path,
        overwrite: bool = False,
        mmap_mode: MmapMode | None = None,
        relative_to: str | Path | None = None,
    ) -> NumpyFolderSorting:
        """Save a sorting; SpikeInterface 0.104 and later read all of it.

        The folder appears when it is whole; a save that fails leaves nothing.

        Parameters
        ----------
        sorting : BaseSorting
        folder_path : str or Path
            The folder to make.
        overwrite : bool, default: False
            Replace what is there, once the new folder is whole.
        mmap_mode : {"r", "r+", "c"}, optional
            How the returned sorting reads its spikes.
        relative_to : str or Path, optional
            The folder that paths in the provenance start from; by default the
            new one.

        Returns
        -------
        NumpyFolderSorting

        Raises
        ------
        SortingExistsError
            If something is there and is not to be overwritten.
        InvalidNameError
            If a property's key cannot be the name of a file.
        InvalidTypeError
            If a property holds objects that only a pickle could store.
        """
        check_properties(sorting._properties)
        with new_folder(folder_path, overwrite=overwrite) as folder:
            _write_records(sorting, folder / SPIKES_FILE)
            write_json(folder / INFO_FILE, _info(sorting))
            write_metadata(folder, sorting, relative_to)
            write_dump(folder, NumpyFolderSorting(folder))
        return NumpyFolderSorting(folder_path, mmap_mode)


def save_numpy_folder(
    sorting: BaseSorting,
    *,
    folder: str | Path,
    overwrite: bool = False,
    mmap_mode: MmapMode | None = None,
    relative_to: str | Path | None = None,
) -> NumpyFolderSorting:
    """Do `sorting.save(format="numpy_folder")`; see `NumpyFolderSorting.write_sorting`."""
    return NumpyFolderSorting.write_sorting(sorting, folder, overwrite, mmap_mode, relative_to)


def read_numpy_sorting_folder(
    folder_path: str | Path, mmap_mode: MmapMode | None = None, allow_pickle: bool = False
) -> NumpyFolderSorting:
    """Open a sorting in a numpy folder; see `NumpyFolderSorting`."""
    return NumpyFolderSorting(folder_path, mmap_mode, allow_pickle)


class _RecordTable:
    """The rows of one segment in a file of records."""

    def __init__(self, spikes: NpyFile, segment_index: int, num_units: int) -> None:
        self.path = spikes.path
        self._spikes = spikes
        self._segment_index = segment_index
        self._num_units = num_units

    def read_samples(self, start: int, stop: int) -> IntArray:
        """Samples of the rows."""
        return as_int64(self._spikes.read(start, stop)["sample_index"], self.path)

    def read_units(self, start: int, stop: int) -> IntArray:
        """Unit indices of the rows."""
        return self.read(start, stop)[1]

    def read(self, start: int, stop: int) -> tuple[IntArray, IntArray]:
        """Samples and unit indices of the rows."""
        rows = self._spikes.read(start, stop)
        if (rows["segment_index"] != self._segment_index).any():
            raise FormatError(f"{self.path}: the spikes are not in the order of their segments")
        units = as_int64(rows["unit_index"], self.path)
        if units.size and not 0 <= units.min() <= units.max() < self._num_units:
            raise FormatError(
                f"{self.path}: unit_index {units.min()} to {units.max()}, "
                f"but there are {self._num_units} units"
            )
        return as_int64(rows["sample_index"], self.path), units

    def in_any_order(self) -> _RecordTable:
        """This table."""
        return self


def _segment_bounds(spikes: NpyFile, num_segments: int) -> list[int]:
    """Where each segment begins in the file, and where the last one ends."""
    fields: Mapping[str, Any] = spikes.dtype.fields or {}
    for name in _FIELDS:
        if name not in fields or fields[name][0].kind not in "iu":
            raise FormatError(f"{spikes.path}: each spike should have an integer {name!r}")
    size = spikes.column().size

    def segment(row: int) -> int:
        return int(spikes.read(row, row + 1)["segment_index"][0])

    if size and not 0 <= segment(0) <= segment(size - 1) < num_segments:
        raise FormatError(
            f"{spikes.path}: spikes of segments {segment(0)} to {segment(size - 1)}, "
            f"but there are {num_segments} segments"
        )
    bounds = [0]
    for index in range(1, num_segments):
        bounds.append(bisect_left(range(size), index, bounds[-1], key=segment))
    return [*bounds, size]


def _write_records(sorting: BaseSorting, path: Path) -> None:
    """Write the spike vector, one segment in memory at a time."""
    header = {"descr": np.lib.format.dtype_to_descr(SPIKE_DTYPE), "fortran_order": False}
    with open(path, "wb") as file:
        # The number of spikes is known in the end; headers have room for any.
        np.lib.format.write_array_header_1_0(file, {**header, "shape": (0,)})
        begin = file.tell()
        count = 0
        for segment_index, segment in enumerate(sorting.segments):
            samples, unit_indices = segment.get_spike_columns()
            for start, stop in row_stretches(0, samples.size):
                records = np.empty(stop - start, dtype=SPIKE_DTYPE)
                records["sample_index"] = samples[start:stop]
                records["unit_index"] = unit_indices[start:stop]
                records["segment_index"] = segment_index
                file.write(records.tobytes())
            count += samples.size
        file.seek(0)
        np.lib.format.write_array_header_1_0(file, {**header, "shape": (count,)})
        assert file.tell() == begin


def _info(sorting: BaseSorting) -> dict[str, Any]:
    unit_ids = sorting.unit_ids
    texts = np.char.decode(unit_ids, "latin-1") if unit_ids.dtype.kind == "S" else unit_ids
    return {
        "sampling_frequency": sorting.get_sampling_frequency(),
        "unit_ids": texts.tolist(),
        "num_segments": sorting.get_num_segments(),
        # Ours: JSON widens int32 to int64 and knows no bytes.
        "unit_ids_dtype": unit_ids.dtype.str,
    }


def _unit_ids(info: dict[str, Any]) -> AnyArray:
    """The ids in the type that they had."""
    unit_ids = np.array(info["unit_ids"])
    dtype = info.get("unit_ids_dtype")
    if not isinstance(dtype, str) or not _ID_DTYPE.fullmatch(dtype) or not unit_ids.size:
        return unit_ids
    if "S" in dtype:
        return np.char.encode(unit_ids, "latin-1") if unit_ids.dtype.kind == "U" else unit_ids
    return unit_ids.astype(dtype) if unit_ids.dtype.kind in "iu" else unit_ids
