"""What is kept in memory of every record: a table that grows at its end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikewire_server.acquisition.record import Record


class Rows(NamedTuple):
    """Columns of the table, row `sequence - 1` for each record."""

    offset: NDArray[np.int64]
    """Where the payload begins in the log."""
    length: NDArray[np.uint32]
    """The payload's bytes."""
    crc: NDArray[np.uint32]
    """The payload's checksum."""
    kind: NDArray[np.uint8]
    """A `Kind`."""
    first_spike: NDArray[np.int64]
    """How many spikes come before the record."""
    spikes: NDArray[np.uint32]
    """How many it holds."""
    segment: NDArray[np.uint32]
    """The segment that they are in."""
    min_sample: NDArray[np.int64]
    """The first of their samples."""
    max_sample: NDArray[np.int64]
    """The last of them."""

    def part(self, start: int, stop: int) -> Rows:
        """Return some of the rows."""
        return self.each(lambda column: column[start:stop])

    def each(self, change: Callable[[NDArray[Any]], NDArray[Any]]) -> Rows:
        """Return what a function makes of each column."""
        return Rows(*(change(column) for column in self))


TYPES = ("<i8", "<u4", "<u4", "u1", "<i8", "<u4", "<u4", "<i8", "<i8")
"""The types of the columns."""


class RecordTable:
    """The durable records of a log.

    One thread appends, others read at the same time: rows never change, and are
    counted only once they are there.
    """

    def __init__(self) -> None:
        self._columns = Rows(*map(_empty, TYPES))
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def rows(self) -> Rows:
        """The rows that there are now."""
        return self.rows_of(1, None)

    def rows_of(self, first: int, stop: int | None) -> Rows:
        """Return the rows of the records `first` to `stop`, exclusive, as far as there are any."""
        count = self._count  # before the columns, which may be replaced by longer ones
        return self._columns.part(first - 1, count if stop is None else min(stop - 1, count))

    def kind_of(self, sequence: int) -> int:
        """Return the kind of a record."""
        return int(self._columns.kind[sequence - 1])

    @property
    def next_sequence(self) -> int:
        """The sequence that the next record will have."""
        return self._count + 1

    @property
    def spike_count(self) -> int:
        """How many spikes the records hold."""
        return self.spikes_before(self.next_sequence)

    def spikes_before(self, sequence: int) -> int:
        """Return how many spikes the records below a sequence hold."""
        if sequence <= 1:
            return 0
        columns, row = self._columns, sequence - 2
        return int(columns.first_spike[row]) + int(columns.spikes[row])

    def extend(self, rows: Rows) -> None:
        """Add the next records."""
        count = self._count + len(rows.kind)
        before: tuple[NDArray[Any], ...] = self.rows
        behind: tuple[NDArray[Any], ...] = rows
        self._columns = Rows(*map(_joined, before, behind))
        self._count = count

    def append(self, record: Record, offset: int) -> None:
        """Add the next record, whose payload lies at an offset."""
        row = self._count
        if row == len(self._columns.kind):
            self._columns = self._columns.each(_longer)
        columns = self._columns
        columns.offset[row] = offset
        columns.length[row] = len(record.payload)
        columns.crc[row] = record.crc
        columns.kind[row] = record.kind
        columns.first_spike[row] = record.first_spike_index
        columns.spikes[row] = record.spike_count
        columns.segment[row] = record.segment_index
        columns.min_sample[row] = record.min_sample
        columns.max_sample[row] = record.max_sample
        self._count = row + 1


def _empty(dtype: str) -> NDArray[Any]:
    return np.empty(64, dtype)


def _longer(column: NDArray[Any]) -> NDArray[Any]:
    # By a half: a record is copied twice on average, however many there are.
    return np.concatenate([column, np.empty(len(column) // 2 + 64, column.dtype)])


def _joined(column: NDArray[Any], other: NDArray[Any]) -> NDArray[Any]:
    return np.concatenate([column, other], dtype=column.dtype)
