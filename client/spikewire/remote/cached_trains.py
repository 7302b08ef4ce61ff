"""Which trains to fetch, and how, when some are wanted that are not cached."""

from __future__ import annotations

from collections.abc import Sequence

from spikewire.core.bounds import window
from spikewire.core.dtypes import IntArray
from spikewire.remote.cache import CachedSegment, Trains
from spikewire.remote.reader import SpikeReader
from spikewire.remote.steps import Operation, Wait

_MISSES_BEFORE_ALL = 3
"""After how many misses of a segment the trains of all its units are fetched."""
_SMALL_SPIKES = 1 << 20
"""Up to how many spikes (2 MB on the wire) are fetched whole for the sake of a window."""


class CachedTrains:
    """The trains of one segment, from the cache where they are in it.

    The first question is asked as it is. Who asks again gets more than asked for, so
    that the third and fourth question need no answer from the server: the whole train
    where only a window was wanted, soon the trains of all units. What the cache cannot
    hold is read window by window.

    Parameters
    ----------
    reader : SpikeReader
        Reads the sorting.
    segment_index : int
        The segment.
    cached : CachedSegment
        What is cached of it.
    """

    def __init__(self, reader: SpikeReader, segment_index: int, cached: CachedSegment) -> None:
        self._reader = reader
        self._segment_index = segment_index
        self._cached = cached
        self._misses = 0

    def cached(
        self, unit_indices: Sequence[int] | IntArray, start_frame: int | None, end_frame: int | None
    ) -> list[IntArray] | None:
        """Return trains in a window; None if one of them is not cached."""
        trains = []
        for unit in unit_indices:
            train = self._cached.get(unit)
            if train is None:
                return None
            trains.append(train)
        if start_frame is None and end_frame is None:
            return trains
        return [window(train, start_frame, end_frame) for train in trains]

    def trains(
        self, unit_indices: Sequence[int] | IntArray, start_frame: int | None, end_frame: int | None
    ) -> Operation[list[IntArray]]:
        """Return trains in a window, those fetched that are not cached."""
        unit_indices = [int(unit) for unit in unit_indices]
        distinct = dict.fromkeys(unit_indices)
        whole = {unit: train for unit in distinct if (train := self._cached.get(unit)) is not None}
        missing = [unit for unit in distinct if unit not in whole]
        in_window: Trains = {}
        if missing:
            is_window = start_frame is not None or end_frame is not None
            whole |= yield from self._fetch((yield from self._to_fetch(missing, is_window)))
            missing = [unit for unit in missing if unit not in whole]
        if missing:
            trains = yield from self._reader.trains(
                missing, self._segment_index, start_frame, end_frame
            )
            in_window = dict(zip(missing, trains, strict=True))
        return [
            in_window[unit] if unit in in_window else window(whole[unit], start_frame, end_frame)
            for unit in unit_indices
        ]

    def all_trains(self) -> Operation[None]:
        """Fetch the trains of every unit into the cache, as far as it holds them."""
        counts = (yield from self._reader.counts(self._segment_index)).counts
        yield from self._fetch(range(len(counts)))

    def _to_fetch(self, missing: list[int], is_window: bool) -> Operation[Sequence[int]]:
        """Return the units whose whole trains are worth fetching now."""
        self._misses += 1
        if self._misses == 1:
            return [] if is_window else missing
        counts = (yield from self._reader.counts(self._segment_index)).counts
        if self._misses > _MISSES_BEFORE_ALL and self._cached.cache.holds(int(counts.sum())):
            return range(len(counts))
        if not is_window:
            return missing
        spikes = int(counts[missing].sum())
        return missing if spikes <= _SMALL_SPIKES and self._cached.cache.holds(spikes) else []

    def _fetch(self, unit_indices: Sequence[int]) -> Operation[Trains]:
        """Return whole trains; those that somebody else is fetching are waited for."""
        trains: Trains = {}
        while left := [unit for unit in unit_indices if unit not in trains]:
            claim = self._cached.claim(left)
            trains |= claim.found
            if claim.mine:
                try:
                    blocks = yield from self._reader.whole_trains(claim.mine, self._segment_index)
                except BaseException as error:
                    self._cached.abandon(claim, error)
                    raise
                trains |= self._cached.deliver(claim, blocks)
            for fetch in claim.awaited:
                trains |= yield Wait(fetch)
        return trains
