"""The ways to the spikes of one segment that need no index: memory, and the files themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from spikewire.core.bounds import window
from spikewire.core.trains import SegmentTrains
from spikewire.wire.chunks import MAX_CHUNK_SPIKES

Int64Array: TypeAlias = NDArray[np.int64]
Columns: TypeAlias = tuple[Int64Array, NDArray[Any]]

_SPIKES_AT_ONCE = 4 * MAX_CHUNK_SPIKES
"""How many spikes of trains are gathered from the files in one pass; bounds the memory."""


class SegmentSpikes(Protocol):
    """The spikes of one segment; windows are half-open, None leaves a side open.

    Attributes
    ----------
    base : int
        What is taken off the samples of trains: those of an index are narrow.
    """

    base: int

    def count(self, start_frame: int | None, end_frame: int | None) -> int:
        """Return how many spikes lie in a window."""

    def counts(
        self, units: Int64Array, start_frame: int | None, end_frame: int | None
    ) -> Int64Array:
        """Return how many spikes each of some units has in a window."""

    def last_sample(self, start_frame: int | None, end_frame: int | None) -> int | None:
        """Return the sample of the last spike in a window, None if it is empty."""

    def blocks(
        self, start_frame: int | None, end_frame: int | None, skip: int = 0
    ) -> Iterator[Columns]:
        """Yield samples and unit indices in time order, some at a time, less the first."""

    def trains(
        self, units: Int64Array, start_frame: int | None, end_frame: int | None
    ) -> Iterator[NDArray[np.integer[Any]]]:
        """Yield the samples, less `base`, of each of some units in a window."""


class MemorySpikes:
    """Spikes that are in memory.

    Parameters
    ----------
    columns : tuple of ndarray
        Samples and unit indices in the order of the spike vector.
    trains : callable
        Gives the same spikes unit by unit; called when they are asked for.
    """

    base = 0

    def __init__(self, columns: Columns, trains: Callable[[], SegmentTrains]) -> None:
        self._columns = columns
        self._trains = trains

    def count(self, start_frame: int | None, end_frame: int | None) -> int:
        """Return how many spikes lie in a window."""
        return len(window(self._columns[0], start_frame, end_frame))

    def counts(
        self, units: Int64Array, start_frame: int | None, end_frame: int | None
    ) -> Int64Array:
        """Return how many spikes each of some units has in a window."""
        trains = self.trains(units, start_frame, end_frame)
        return np.fromiter(map(len, trains), np.int64, len(units))

    def last_sample(self, start_frame: int | None, end_frame: int | None) -> int | None:
        """Return the sample of the last spike in a window, None if it is empty."""
        samples = window(self._columns[0], start_frame, end_frame)
        return int(samples[-1]) if len(samples) else None

    def blocks(
        self, start_frame: int | None, end_frame: int | None, skip: int = 0
    ) -> Iterator[Columns]:
        """Yield the spikes of a window, a chunk's at a time."""
        samples, unit_indices = self._columns
        start = 0 if start_frame is None else int(samples.searchsorted(start_frame))
        stop = len(samples) if end_frame is None else int(samples.searchsorted(end_frame))
        for first in range(start + skip, stop, MAX_CHUNK_SPIKES):
            last = min(first + MAX_CHUNK_SPIKES, stop)
            yield samples[first:last], unit_indices[first:last]

    def trains(
        self, units: Int64Array, start_frame: int | None, end_frame: int | None
    ) -> Iterator[Int64Array]:
        """Yield the samples of each of some units in a window."""
        trains = self._trains()
        for unit in units.tolist():
            yield window(trains.train(unit), start_frame, end_frame)


class FileSpikes:
    """Spikes that are read from the files each time, a bounded number at a time.

    Parameters
    ----------
    read : callable
        Reads the spikes of a window, some at a time.
    all_counts : callable
        Gives how many spikes each unit has in the whole segment.
    unit_count : int
        How many units there are.
    indexed : callable, optional
        Gives the same spikes from an index, once there is one.
    """

    base = 0

    def __init__(
        self,
        read: Callable[[int | None, int | None], Iterator[Columns]],
        all_counts: Callable[[], Int64Array],
        unit_count: int,
        indexed: Callable[[], SegmentSpikes | None] = lambda: None,
    ) -> None:
        self._read = read
        self._all_counts = all_counts
        self._unit_count = unit_count
        self._indexed = indexed

    def count(self, start_frame: int | None, end_frame: int | None) -> int:
        """Return how many spikes lie in a window; reads all of it."""
        if start_frame is None and end_frame is None:
            return int(self._all_counts().sum())
        return sum(len(samples) for samples, _ in self._read(start_frame, end_frame))

    def counts(
        self, units: Int64Array, start_frame: int | None, end_frame: int | None
    ) -> Int64Array:
        """Return how many spikes each of some units has in a window; reads all of it."""
        if start_frame is None and end_frame is None:
            return self._all_counts()[units]
        counts = np.zeros(self._unit_count, dtype=np.int64)
        for _, unit_indices in self._read(start_frame, end_frame):
            counts += np.bincount(unit_indices, minlength=len(counts))
        return counts[units]

    def last_sample(self, start_frame: int | None, end_frame: int | None) -> int | None:
        """Return the sample of the last spike in a window, None if it is empty; reads it."""
        last = None
        for samples, _ in self._read(start_frame, end_frame):
            last = int(samples[-1]) if len(samples) else last
        return last

    def blocks(
        self, start_frame: int | None, end_frame: int | None, skip: int = 0
    ) -> Iterator[Columns]:
        """Yield the spikes of a window as the files have them."""
        for samples, unit_indices in self._read(start_frame, end_frame):
            first = min(skip, len(samples))
            skip -= first
            yield samples[first:], unit_indices[first:]

    def trains(
        self, units: Int64Array, start_frame: int | None, end_frame: int | None
    ) -> Iterator[Int64Array]:
        """Yield the samples of each of some units in a window.

        Reads the window once for every million spikes of the answer, and no more once
        there is an index: to build it takes two passes.
        """
        ends = np.cumsum(self.counts(units, start_frame, end_frame))
        first = 0
        while first < len(units):
            done = int(ends[first - 1]) if first else 0
            last = max(first + 1, int(np.searchsorted(ends, done + _SPIKES_AT_ONCE, "right")))
            yield from self._gather(units[first:last], start_frame, end_frame)
            first = last
            indexed = self._indexed() if first < len(units) else None
            if indexed is not None:
                for train in indexed.trains(units[first:], start_frame, end_frame):
                    yield train.astype(np.int64) + indexed.base
                return

    def _gather(
        self, units: Int64Array, start_frame: int | None, end_frame: int | None
    ) -> Iterator[Int64Array]:
        # Where each unit comes in the answer; those that do not come at all come last.
        distinct, places = np.unique(units, return_inverse=True)
        place_of = np.full(self._unit_count, len(distinct), np.min_scalar_type(len(distinct)))
        place_of[distinct] = np.arange(len(distinct))
        samples, where = [np.empty(0, np.int64)], [place_of[:0]]
        for some_samples, unit_indices in self._read(start_frame, end_frame):
            found = place_of[unit_indices]
            chosen = found < len(distinct)
            samples.append(some_samples[chosen])
            where.append(found[chosen])
        trains = SegmentTrains.from_columns(
            np.concatenate(samples), np.concatenate(where), len(distinct)
        )
        for place in places.tolist():
            yield trains.train(place)


class ViewSpikes(FileSpikes):
    """Spikes of a view, which it asks its parents for, window by window.

    Parameters
    ----------
    read, all_counts, unit_count
        As for `FileSpikes`.
    last : callable
        Gives the sample of the last spike in the whole segment, None without any.
    """

    def __init__(
        self,
        read: Callable[[int | None, int | None], Iterator[Columns]],
        all_counts: Callable[[], Int64Array],
        unit_count: int,
        last: Callable[[], int | None],
    ) -> None:
        super().__init__(read, all_counts, unit_count)
        self._last = last

    def last_sample(self, start_frame: int | None, end_frame: int | None) -> int | None:
        """Return the sample of the last spike in a window, None if it is empty."""
        if start_frame is None and end_frame is None:
            return self._last()
        return super().last_sample(start_frame, end_frame)
