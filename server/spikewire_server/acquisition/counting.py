"""How many spikes each unit has up to any record, without reading everything each time."""

from __future__ import annotations

import threading
from bisect import bisect_right

import numpy as np
from numpy.typing import NDArray

from spikewire_server.acquisition.log import SpikeLog
from spikewire_server.acquisition.merging import decoded_records, overlapping

_RECORDS_BETWEEN = 4096


class SegmentCounts:
    """The counts of one segment; records are counted once, when somebody asks.

    Parameters
    ----------
    log : SpikeLog
        Has the records.
    segment_index : int
        The segment.
    """

    def __init__(self, log: SpikeLog, segment_index: int) -> None:
        self._log = log
        self._segment_index = segment_index
        self._lock = threading.Lock()  # guards the two below
        self._sequences = [0]
        self._counts = [np.empty(0, np.int64)]  # up to these sequences

    def up_to(self, sequence: int, unit_count: int) -> NDArray[np.int64]:
        """Return how many spikes each unit has in the records up to one."""
        with self._lock:
            while self._sequences[-1] + _RECORDS_BETWEEN <= sequence:
                first = self._sequences[-1]
                added = self._count(first, first + _RECORDS_BETWEEN)
                self._counts.append(_sum(self._counts[-1], added))
                self._sequences.append(first + _RECORDS_BETWEEN)
            position = bisect_right(self._sequences, sequence) - 1
            known, first = self._counts[position], self._sequences[position]
        counts = _sum(known, self._count(first, sequence))
        return _sum(counts, np.zeros(unit_count, np.int64))

    def _count(self, first: int, last: int) -> NDArray[np.int64]:
        """Count the records behind `first` up to `last`."""
        rows = self._log.records.rows_of(first + 1, last + 1)
        counts = np.empty(0, np.int64)
        within = overlapping(rows, self._segment_index, None, None) + first
        for _, unit_indices, _ in decoded_records(self._log, within):
            counts = _sum(counts, np.bincount(unit_indices))
        return counts


def _sum(counts: NDArray[np.int64], others: NDArray[np.int64]) -> NDArray[np.int64]:
    """Add counts of which one side may know units that the other does not."""
    if len(counts) < len(others):
        counts, others = others, counts
    total = counts.copy()
    total[: len(others)] += others
    return total
