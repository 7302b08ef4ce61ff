"""The way to the spikes of one segment that lie in an index."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from spikewire_server.library.index import DamagedIndexError, SegmentIndex
from spikewire_server.library.spikes import Columns, Int64Array, SegmentSpikes

Train: TypeAlias = tuple[int, NDArray[np.integer[Any]]]
T = TypeVar("T")


def without_first(trains: Iterable[Train], skip: int) -> Iterator[Train]:
    """Yield unit indices and samples, less the first `skip` spikes and what they leave empty."""
    for unit, train in trains:
        skipped = min(skip, len(train))
        skip -= skipped
        if skipped < len(train) or not skipped:
            yield unit, train[skipped:]


class IndexedSpikes:
    """Spikes that lie in an index.

    Parameters
    ----------
    index : SegmentIndex
        The index of the segment.
    without : callable
        Takes the fault that was found in the index, and gives the spikes from
        elsewhere: a damaged index costs its readers time and nothing else.
    """

    def __init__(
        self, index: SegmentIndex, without: Callable[[DamagedIndexError], SegmentSpikes]
    ) -> None:
        self.base = index.base
        self._index = index
        self._without = without

    def count(self, start_frame: int | None, end_frame: int | None) -> int:
        """Return how many spikes lie in a window."""
        try:
            start, stop = self._positions(start_frame, end_frame)
        except DamagedIndexError as error:
            return self._without(error).count(start_frame, end_frame)
        return stop - start

    def counts(
        self, units: Int64Array, start_frame: int | None, end_frame: int | None
    ) -> Int64Array:
        """Return how many spikes each of some units has in a window."""
        if start_frame is None and end_frame is None:
            return self._index.counts[units]
        counts = (self._index.train_count(unit, start_frame, end_frame) for unit in units.tolist())
        return np.fromiter(counts, np.int64, len(units))

    def last_sample(self, start_frame: int | None, end_frame: int | None) -> int | None:
        """Return the sample of the last spike in a window, None if it is empty."""
        try:
            start, stop = self._positions(start_frame, end_frame)
            return self._index.sample(stop - 1) if start < stop else None
        except DamagedIndexError as error:
            return self._without(error).last_sample(start_frame, end_frame)

    def records(
        self, start_frame: int | None, end_frame: int | None, skip: int = 0
    ) -> Iterator[bytes | Columns]:
        """Yield the spikes of a window, whole chunks as they lie in a StreamSpikesResponse."""
        return self._pieces(self._index.records.read, start_frame, end_frame, skip)

    def packs(self, units: Int64Array, skip: int = 0) -> Iterator[bytes | list[Train]]:
        """Yield whole trains of units in ascending order, less the first `skip` spikes.

        Yields
        ------
        bytes or list of (int, ndarray)
            A GetUnitSpikeTrainsResponse where all that it holds is wanted; else unit
            indices and samples, less `base`.
        """
        index = self._index
        wanted = np.zeros(len(index.counts), bool)
        wanted[units] = True
        before = np.concatenate([[0], np.cumsum(wanted)])  # how many units before each
        holding = before[index.packs["last_unit"] + 1] > before[index.packs["first_unit"]]
        left = skip
        try:
            for number in np.flatnonzero(holding).tolist():
                pack = index.packs[number]
                first_unit, last_unit = int(pack["first_unit"]), int(pack["last_unit"])
                covered = wanted[first_unit : last_unit + 1]
                start, stop = int(pack["first_spike"]), index.pack_end(number)
                if not left and covered.all():
                    yield index.packed.read(number)
                    skip += stop - start
                    continue
                chosen = (np.flatnonzero(covered) + first_unit).tolist()
                trains = [(unit, index.train_range(unit, start, stop)) for unit in chosen]
                spikes = sum(len(train) for _, train in trains)
                if left < spikes or not spikes:
                    yield list(without_first(trains, left))
                skip += max(0, spikes - left)
                left -= min(left, spikes)
        except DamagedIndexError as error:
            spikes_elsewhere = self._without(error)
            trains_elsewhere = (
                train.astype(np.int64) + (spikes_elsewhere.base - self.base)
                for train in spikes_elsewhere.trains(units, None, None)
            )
            for unit, train in without_first(
                zip(units.tolist(), trains_elsewhere, strict=True), skip
            ):
                yield [(unit, train)]

    def blocks(
        self, start_frame: int | None, end_frame: int | None, skip: int = 0
    ) -> Iterator[Columns]:
        """Yield the spikes of a window, a chunk's at a time."""
        return self._pieces(self._index.spikes, start_frame, end_frame, skip)

    def trains(
        self, units: Int64Array, start_frame: int | None, end_frame: int | None
    ) -> Iterator[NDArray[np.integer[Any]]]:
        """Yield the samples, less `base`, of each of some units in a window."""
        given = 0
        try:
            for unit in units.tolist():
                yield self._index.train(unit, start_frame, end_frame)
                given += 1
        except DamagedIndexError as error:
            spikes = self._without(error)
            for train in spikes.trains(units[given:], start_frame, end_frame):
                yield train.astype(np.int64) + (spikes.base - self.base)

    def _pieces(
        self,
        whole: Callable[[int], T],
        start_frame: int | None,
        end_frame: int | None,
        skip: int,
    ) -> Iterator[T | Columns]:
        """Yield whole chunks as `whole` gives them, and the spikes of those that are cut."""
        given = skip
        try:
            start, stop = self._positions(start_frame, end_frame)
            for chunk, part in self._index.pieces(min(start + skip, stop), stop):
                if part is None:
                    yield whole(chunk)
                    given += self._index.chunk_size(chunk)
                else:
                    samples, unit_indices = self._index.spikes(chunk)
                    yield samples[part], unit_indices[part]
                    given += part.stop - part.start
        except DamagedIndexError as error:
            yield from self._without(error).blocks(start_frame, end_frame, given)

    def _positions(self, start_frame: int | None, end_frame: int | None) -> tuple[int, int]:
        start = 0 if start_frame is None else self._index.position(start_frame)
        stop = self._index.spike_count if end_frame is None else self._index.position(end_frame)
        return start, max(start, stop)
