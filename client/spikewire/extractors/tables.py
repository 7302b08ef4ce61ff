"""Segments that are stored as a table of spikes in time order.

Most formats are one: a column of samples and a column of units. A window is
found by binary search, and nothing is read that the answer does not need.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import numpy as np

from spikewire.core.dtypes import AnyArray, IntArray, UnitId
from spikewire.core.errors import (
    FormatError,
    InvalidTypeError,
)
from spikewire.core.segment import BaseSortingSegment
from spikewire.core.unit_ids import label_indices
from spikewire.extractors.files import Column, MemoryColumn

ROWS_PER_READ = 262_144

# A file can claim any number of segments without holding a byte for them.
MAX_SEGMENTS = 100_000

# Below this many rows a window is narrowed down by one read instead of several.
_LAST_READ_ROWS = 512
_REMEMBERED_PROBES = 4096
_NO_FRAME = int(np.iinfo(np.int64).min)


class SpikeTable(Protocol):
    """Rows of (sample, unit index) in the order of the spike vector."""

    path: Path

    def read_samples(self, start: int, stop: int) -> IntArray:
        """Samples of the rows ``start`` to ``stop``."""

    def read_units(self, start: int, stop: int) -> IntArray:
        """Unit indices of the rows, -1 for a spike that belongs to no unit."""

    def read(self, start: int, stop: int) -> tuple[IntArray, IntArray]:
        """Both."""


class ColumnTable:
    """A table of two columns.

    Parameters
    ----------
    path : Path
        The file or folder that errors name.
    samples : Column
        Integers.
    labels : Column
        What tells the units apart, as long as ``samples``.
    unit_ids : array, (units,)
        What the labels should be, in the order of the units.
    skip_unknown : bool, default: False
        Leave out spikes with other labels instead of refusing them.

    Raises
    ------
    FormatError
        If the columns differ in length, or the samples are no integers.
    """

    def __init__(
        self,
        path: Path,
        samples: Column,
        labels: Column,
        unit_ids: AnyArray,
        *,
        skip_unknown: bool = False,
    ) -> None:
        if samples.size != labels.size:
            raise FormatError(
                f"{path}: {samples.size} spike times but {labels.size} labels; "
                "they should be equally many"
            )
        if samples.dtype.kind not in "iu" and samples.size:
            raise FormatError(f"{path}: spike times of type {samples.dtype} are no samples")
        self.path = path
        self.size = samples.size
        self._samples = samples
        self._labels = labels
        self._unit_ids = unit_ids
        self._skip_unknown = skip_unknown

    def read_samples(self, start: int, stop: int) -> IntArray:
        """Samples of the rows."""
        return as_int64(self._samples.read(start, stop), self.path)

    def read_units(self, start: int, stop: int) -> IntArray:
        """Unit indices of the rows."""
        labels = self._labels.read(start, stop)
        indices = indices_of_labels(labels, self._unit_ids, self.path)
        if not self._skip_unknown and indices.size and indices.min() < 0:
            unknown = labels[indices < 0][0].item()
            raise FormatError(f"{self.path}: spikes of {unknown!r}, which is no unit's id")
        return indices

    def read(self, start: int, stop: int) -> tuple[IntArray, IntArray]:
        """Both."""
        return self.read_samples(start, stop), self.read_units(start, stop)

    def in_time_order(self) -> ColumnTable:
        """This table if its samples ascend, else a sorted copy in memory; ties keep their order."""
        latest = _NO_FRAME
        for start, stop in row_stretches(0, self.size):
            samples = self.read_samples(start, stop)
            if samples[0] < latest or (samples[1:] < samples[:-1]).any():
                break
            latest = int(samples[-1])
        else:
            return self
        samples = self.read_samples(0, self.size)
        order = np.argsort(samples, kind="stable")
        return ColumnTable(
            self.path,
            MemoryColumn(samples[order]),
            MemoryColumn(self._labels.read(0, self.size)[order]),
            self._unit_ids,
            skip_unknown=self._skip_unknown,
        )


class TableSegment(BaseSortingSegment):
    """A segment that is some rows of a spike table.

    Parameters
    ----------
    table : SpikeTable
        The spikes, in time order within the segment.
    start_row, stop_row : int
        The rows of the segment.
    """

    def __init__(self, table: SpikeTable, start_row: int, stop_row: int) -> None:
        super().__init__()
        self._table = table
        self._start_row = start_row
        self._stop_row = stop_row
        self._probed: dict[int, int] = {}

    def get_unit_spike_train(
        self, unit_id: UnitId, start_frame: int | None = None, end_frame: int | None = None
    ) -> IntArray:
        """The samples of one unit in [start_frame, end_frame), ascending."""
        index = self._sorting().id_to_index(unit_id)
        pieces = self._pieces(start_frame, end_frame)
        trains = [samples[units == index] for samples, units in pieces]
        return np.concatenate([np.empty(0, dtype=np.int64), *trains])

    def get_spike_columns(
        self, start_frame: int | None = None, end_frame: int | None = None
    ) -> tuple[IntArray, IntArray]:
        """Every spike in [start_frame, end_frame) in the order of the file."""
        start, stop = self._rows(start_frame, end_frame)
        samples = np.empty(stop - start, dtype=np.int64)
        units = np.empty(stop - start, dtype=np.int64)
        filled = 0
        for some_samples, some_units in self._pieces(start_frame, end_frame):
            end = filled + some_samples.size
            samples[filled:end] = some_samples
            units[filled:end] = some_units
            filled = end
        return samples[:filled], units[:filled]

    def count_spikes(self) -> IntArray:
        """The number of spikes of each unit, from the column of units alone."""
        counts = np.zeros(self._sorting().get_num_units(), dtype=np.int64)
        for start, stop in row_stretches(self._start_row, self._stop_row):
            units = self._table.read_units(start, stop)
            counts += np.bincount(units[units >= 0], minlength=counts.size)
        return counts

    def get_last_spike_frame(self) -> int | None:
        """The sample of the last spike; None where there is none."""
        stop, rows = self._stop_row, 1
        while stop > self._start_row:
            # Nearly always one row; more only behind spikes that belong to no unit.
            start = max(stop - rows, self._start_row)
            samples, units = self._table.read(start, stop)
            if (units >= 0).any():
                return int(samples[units >= 0][-1])
            stop, rows = start, min(rows * 16, ROWS_PER_READ)
        return None

    def _pieces(
        self, start_frame: int | None, end_frame: int | None
    ) -> Iterator[tuple[IntArray, IntArray]]:
        """The spikes of a window, a bounded number at a time."""
        latest = _NO_FRAME if start_frame is None else start_frame
        for start, stop in row_stretches(*self._rows(start_frame, end_frame)):
            samples, units = self._table.read(start, stop)
            late = end_frame is not None and samples[-1] >= end_frame
            if late or samples[0] < latest or (samples[1:] < samples[:-1]).any():
                raise FormatError(f"{self._table.path}: the spike times are not in ascending order")
            latest = int(samples[-1])
            known = units >= 0
            yield (samples, units) if known.all() else (samples[known], units[known])

    def _rows(self, start_frame: int | None, end_frame: int | None) -> tuple[int, int]:
        """The rows of a window."""
        start = self._start_row if start_frame is None else self._search(start_frame)
        stop = self._stop_row if end_frame is None else self._search(end_frame)
        return start, max(start, stop)

    def _search(self, frame: int) -> int:
        """The first row that is not before the frame."""
        low, high = self._start_row, self._stop_row
        while high - low > _LAST_READ_ROWS:
            middle = (low + high) // 2
            if self._probe(middle) < frame:
                low = middle + 1
            else:
                high = middle
        return low + int(np.searchsorted(self._table.read_samples(low, high), frame))

    def _probe(self, row: int) -> int:
        """One sample; searches begin alike, so the first ones are remembered."""
        sample = self._probed.get(row)
        if sample is None:
            sample = int(self._table.read_samples(row, row + 1)[0])
            if len(self._probed) < _REMEMBERED_PROBES:
                self._probed[row] = sample
        return sample


def as_int64(values: AnyArray, path: Path) -> IntArray:
    """Integers of any width as int64.

    Raises
    ------
    FormatError
        If one is too large for int64.
    """
    if values.dtype == np.uint64 and values.size and values.max() > np.iinfo(np.int64).max:
        raise FormatError(f"{path}: {values.max()} is beyond the int64 range")
    return values.astype(np.int64, copy=False)


def indices_of_labels(labels: AnyArray, unit_ids: AnyArray, path: Path) -> IntArray:
    """For each label of a file its position in `unit_ids`; -1 where it is no unit's id.

    Raises
    ------
    FormatError
        If the labels are of a type that cannot name the units.
    """
    # SpikeInterface writes integer labels as floats where a unit is silent.
    if labels.dtype.kind not in "iufUS" or (
        labels.dtype.kind == "f" and not (np.abs(labels) < 2**53).all()
    ):
        raise FormatError(f"{path}: spike labels of type {labels.dtype} name no units")
    try:
        return label_indices(labels, unit_ids)
    except InvalidTypeError as error:
        raise FormatError(f"{path}: {error}") from error


@contextmanager
def blaming(path: Path) -> Iterator[None]:
    """Turn what core says of a value that came from a file into an error that names the file."""
    try:
        yield
    except (AssertionError, OverflowError, TypeError, ValueError) as error:
        raise FormatError(f"{path}: {error}") from error


def row_stretches(start: int, stop: int) -> Iterator[tuple[int, int]]:
    """Cut rows into stretches of a bounded length."""
    for first in range(start, stop, ROWS_PER_READ):
        yield first, min(first + ROWS_PER_READ, stop)
