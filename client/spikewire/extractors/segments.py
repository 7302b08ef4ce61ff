"""Segments of the two kinds that formats are: tables of spikes, and trains unit by unit.

A window of a table is found by binary search, and nothing is read that the answer
does not need.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from spikewire.core.bounds import window
from spikewire.core.dtypes import IntArray, UnitId
from spikewire.core.errors import FormatError
from spikewire.core.segment import BaseSortingSegment
from spikewire.extractors.files import Column
from spikewire.extractors.tables import NO_FRAME, ROWS_PER_READ, SpikeTable, row_stretches

# Below this many rows a window is narrowed down by one read instead of several.
_LAST_READ_ROWS = 512
_REMEMBERED_PROBES = 4096


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
        pieces = self.iter_spike_columns(start_frame, end_frame)
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
        for some_samples, some_units in self.iter_spike_columns(start_frame, end_frame):
            end = filled + some_samples.size
            samples[filled:end] = some_samples
            units[filled:end] = some_units
            filled = end
        return samples[:filled], units[:filled]

    def iter_spike_columns(
        self, start_frame: int | None = None, end_frame: int | None = None
    ) -> Iterator[tuple[IntArray, IntArray]]:
        """The spikes of `get_spike_columns`, a bounded number at a time."""
        latest = NO_FRAME if start_frame is None else start_frame
        for start, stop in row_stretches(*self._rows(start_frame, end_frame)):
            samples, units = self._table.read(start, stop)
            late = end_frame is not None and samples[-1] >= end_frame
            if late or samples[0] < latest or (samples[1:] < samples[:-1]).any():
                raise FormatError(f"{self._table.path}: the spike times are not in ascending order")
            latest = int(samples[-1])
            known = units >= 0
            yield (samples, units) if known.all() else (samples[known], units[known])

    def count_spikes(self) -> IntArray:
        """The number of spikes of each unit, from the column of units alone."""
        return self._count_rows(self._table.in_any_order(), self._start_row, self._stop_row)

    def count_spikes_between(self, start_frame: int | None, end_frame: int | None) -> IntArray:
        """The number of spikes of each unit in [start_frame, end_frame), from the same column."""
        if start_frame is None and end_frame is None:
            return self.count_spikes()
        return self._count_rows(self._table, *self._rows(start_frame, end_frame))

    def _count_rows(self, table: SpikeTable, start_row: int, stop_row: int) -> IntArray:
        counts = np.zeros(self._sorting().get_num_units(), dtype=np.int64)
        for start, stop in row_stretches(start_row, stop_row):
            units = table.read_units(start, stop)
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


class TrainsSegment(BaseSortingSegment):
    """A segment that is a train for each unit.

    Parameters
    ----------
    path : Path
        The file or folder that errors name.
    trains : sequence of Column
        The samples of each unit, int64, ascending.
    """

    def __init__(self, path: Path, trains: Sequence[Column]) -> None:
        super().__init__()
        self._path = path
        self._trains = trains

    def get_unit_spike_train(
        self, unit_id: UnitId, start_frame: int | None = None, end_frame: int | None = None
    ) -> IntArray:
        """The samples of one unit in [start_frame, end_frame), ascending."""
        train = self._trains[self._sorting().id_to_index(unit_id)]
        samples = train.read(0, train.size)
        if (samples[1:] < samples[:-1]).any():
            raise FormatError(
                f"{self._path}: the spike times of unit {unit_id!r} are not in ascending order"
            )
        return window(samples, start_frame, end_frame)

    def count_spikes(self) -> IntArray:
        """The number of spikes of each unit, without reading one."""
        return np.array([train.size for train in self._trains], dtype=np.int64)

    def get_last_spike_frame(self) -> int | None:
        """The sample of the last spike; None where there is none."""
        last = [train.read(train.size - 1, train.size) for train in self._trains if train.size]
        return int(max(last)[0]) if last else None
