"""MountainSort's firings: an mda file of channel, time and label for each spike."""

from __future__ import annotations

import os
import struct
from functools import partial
from io import FileIO
from pathlib import Path

import numpy as np

from spikewire.core.dtypes import AnyArray, IntArray
from spikewire.core.errors import (
    ContractError,
    FormatError,
    InvalidValueError,
    NeedsSamplingFrequencyError,
)
from spikewire.core.sorting import BaseSorting
from spikewire.extractors.files import MappedColumn, StoredArray, field, open_binary
from spikewire.extractors.saving import new_file
from spikewire.extractors.segments import TableSegment
from spikewire.extractors.tables import (
    MAX_UNITS,
    ColumnTable,
    OrderedTable,
    blaming,
    rounded,
    row_stretches,
    samples_of_times,
)

_TYPES = {
    -2: "<u1",
    -3: "<f4",
    -4: "<i2",
    -5: "<i4",
    -6: "<u2",
    -7: "<f8",
    -8: "<u4",
}
_FLOAT64 = -7
_INT64 = np.dtype(np.int64)
_MAX_ROWS = 100
_ROW_NAMES = ["channel", "time", "label"]


class MdaSortingExtractor(BaseSorting):
    """A sorting in a firings file of MountainSort.

    The property ``max_channel`` is the channel of each unit's first spike in the
    file, counted from 1 among the channels that were sorted.

    Parameters
    ----------
    file_path : str or Path
        The file.
    sampling_frequency : float
        Frames per second; the file does not state it.

    Raises
    ------
    SortingFileNotFoundError
        If there is no such file.
    NeedsSamplingFrequencyError
        If no sampling frequency is given.
    FormatError
        If the file is damaged or holds something else.
    """

    _dump_class = "spikeinterface.extractors.mdaextractors.MdaSortingExtractor"

    def __init__(
        self, file_path: str | os.PathLike[str], sampling_frequency: float | None = None
    ) -> None:
        path = Path(file_path).absolute()
        spikes = _open_firings(path)
        if sampling_frequency is None:
            raise NeedsSamplingFrequencyError(
                f"{path} does not state the sampling rate; give sampling_frequency="
            )
        labels = MappedColumn(field(spikes, "label"), partial(_labels, path), _INT64)
        samples = samples_of_times(field(spikes, "time"), 1.0, 1.0, path)
        units, channels = _first_channels(spikes, path)
        with blaming(path):
            super().__init__(sampling_frequency, units)
        self.set_property("max_channel", channels)
        table = OrderedTable(ColumnTable(path, samples, labels, units))
        self.add_sorting_segment(TableSegment(table, 0, table.size))
        self._kwargs = {"file_path": str(path), "sampling_frequency": sampling_frequency}

    @staticmethod
    def write_sorting(
        sorting: BaseSorting,
        save_path: str | os.PathLike[str],
        write_primary_channels: bool = False,
    ) -> None:
        """Write a sorting of one segment; units without spikes have no place in the format.

        Parameters
        ----------
        sorting : BaseSorting
        save_path : str or Path
            The file, replaced if it exists.
        write_primary_channels : bool, default: False
            Write the property ``max_channel`` for every spike instead of 0.

        Raises
        ------
        ContractError
            If there is not exactly one segment.
        InvalidValueError
            If there is no such property, or an id or a sample that a float64 cannot
            hold. Ids that are text are written as the positions of the units.
        """
        if sorting.get_num_segments() != 1:
            raise ContractError(
                f"an mda file holds one segment, this sorting has {sorting.get_num_segments()}"
            )
        channels = np.zeros(sorting.get_num_units())
        if write_primary_channels:
            values = sorting.get_property("max_channel")
            if values is None:
                raise InvalidValueError("the sorting has no property 'max_channel' to write")
            channels = values
        unit_ids = sorting.unit_ids
        labels = unit_ids if unit_ids.dtype.kind in "iu" else np.arange(len(unit_ids))
        samples, unit_indices = sorting.segments[0].get_spike_columns()
        for what, values in (("unit id", labels), ("sample", samples)):
            if values.size and max(-int(values.min()), int(values.max())) >= 2**53:
                raise InvalidValueError(f"an mda file cannot hold a {what} beyond 2**53")
        with new_file(save_path, overwrite=True) as aside, open(aside, "wb") as file:
            file.write(_header(samples.size))
            for start, stop in row_stretches(0, samples.size):
                units = unit_indices[start:stop]
                columns = (channels[units], samples[start:stop], labels[units])
                file.write(np.stack(columns, axis=1).astype("<f8").tobytes())


def read_mda_sorting(
    file_path: str | os.PathLike[str], sampling_frequency: float | None = None
) -> MdaSortingExtractor:
    """Open a firings file of MountainSort; see `MdaSortingExtractor`."""
    return MdaSortingExtractor(file_path, sampling_frequency)


def is_firings_file(path: Path) -> bool:
    """Whether a file has the name that MountainSort gives; recordings are mda files as well."""
    return path.name.startswith("firings") and path.suffix == ".mda" and path.is_file()


def _open_firings(path: Path) -> StoredArray:
    """The spikes as records; each is one column of the matrix, whose first axis runs fastest."""
    with open_binary(path) as file:
        code, item_bytes, num_dims = struct.unpack("<3i", _read(file, 12, path))
        # A negative number of axes announces lengths of 64 bits.
        width = "i" if num_dims > 0 else "q"
        if abs(num_dims) != 2:
            raise FormatError(f"{path}: firings have 2 axes, not {num_dims}")
        dims = struct.unpack(f"<2{width}", _read(file, 2 * struct.calcsize(f"<{width}"), path))
        offset = file.tell()
    if code not in _TYPES or np.dtype(_TYPES[code]).itemsize != item_bytes:
        raise FormatError(f"{path}: not an mda file (type {code} of {item_bytes} bytes)")
    rows, count = dims
    if not len(_ROW_NAMES) <= rows <= _MAX_ROWS or count < 0:
        raise FormatError(f"{path}: firings are 3 rows of spikes, not {rows} of {count}")
    names = [*_ROW_NAMES, *(f"row{row}" for row in range(len(_ROW_NAMES), rows))]
    dtype = np.dtype([(name, _TYPES[code]) for name in names])
    return StoredArray(path, dtype, (count,), offset=offset)


def _read(file: FileIO, size: int, path: Path) -> bytes:
    content = file.read(size)
    if len(content) < size:
        raise FormatError(f"{path}: the file ends within the header")
    return content


def _header(count: int) -> bytes:
    if count < 2**31:
        return struct.pack("<5i", _FLOAT64, 8, 2, len(_ROW_NAMES), count)
    return struct.pack("<3i2q", _FLOAT64, 8, -2, len(_ROW_NAMES), count)


def _labels(path: Path, values: AnyArray) -> IntArray:
    labels = rounded(values, path)
    if (labels != values).any():
        raise FormatError(f"{path}: {values[labels != values][0]} is no unit label")
    return labels


def _first_channels(spikes: StoredArray, path: Path) -> tuple[IntArray, IntArray]:
    """Every label, ascending, and the channel of its first spike, in one pass."""
    channels: dict[int, int] = {}
    for start, stop in row_stretches(0, spikes.size):
        records = spikes.read(start, stop)
        labels, first = np.unique(_labels(path, records["label"]), return_index=True)
        there = rounded(records["channel"][first], path)
        channels = {**dict(zip(labels.tolist(), there.tolist(), strict=True)), **channels}
        if len(channels) > MAX_UNITS:
            raise FormatError(f"{path}: more than {MAX_UNITS} units; this is no sorting")
    units = sorted(channels)
    return (
        np.array(units, dtype=np.int64),
        np.array([channels[unit] for unit in units], dtype=np.int64),
    )
