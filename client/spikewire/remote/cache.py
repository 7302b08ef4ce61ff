"""Spike trains that were fetched, kept within a budget of memory."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from typing import NamedTuple, TypeAlias
from weakref import WeakValueDictionary

from spikewire.core.dtypes import IntArray

BYTES_OF_A_SPIKE = 8
_BYTES_OF_A_TRAIN = 256  # the array object and what refers to it, roughly

Trains: TypeAlias = dict[int, IntArray]


class _Block:
    """Whole trains of a segment that share one allocation, and so come and go together."""

    def __init__(self, segment: CachedSegment, trains: Trains) -> None:
        self.segment = segment
        self.trains = trains
        samples = sum(train.nbytes for train in trains.values())
        self.size = samples + _BYTES_OF_A_TRAIN * len(trains)


class Claim(NamedTuple):
    """What a reader that wants some trains has to do for each of them."""

    found: Trains
    """Nothing: these are cached."""
    mine: list[int]
    """Fetch the trains of these units, then `deliver` or `abandon` the claim."""
    future: Future[Trains]
    """What others that want them wait for."""
    awaited: set[Future[Trains]]
    """Wait for those that others are fetching; what is not in the result, claim again."""


class TrainCache:
    """The trains that a client has fetched, of all its sortings; safe to use from many threads.

    The trains that were used least recently make room for new ones, in blocks: a train
    that was fetched alone is a block of its own, trains that came together share one of
    some MiB, because memory in small pieces costs four times as much to obtain.

    Parameters
    ----------
    budget : int
        Bytes that the trains may take together.
    """

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self.size = 0
        self._lock = threading.Lock()
        self._blocks: OrderedDict[_Block, None] = OrderedDict()  # the oldest first
        self._segments: WeakValueDictionary[tuple[str, str, int], CachedSegment] = (
            WeakValueDictionary()
        )

    def segment(self, name: str, revision: str, segment_index: int) -> CachedSegment:
        """Return the cached trains of one segment of one revision of a sorting."""
        key = name, revision, segment_index
        with self._lock:
            segment = self._segments.get(key)
            if segment is None:
                segment = self._segments[key] = CachedSegment(self)
            return segment

    def holds(self, spike_count: int) -> bool:
        """Whether trains of so many spikes could be kept."""
        return spike_count * BYTES_OF_A_SPIKE <= self.budget

    def _touch(self, block: _Block) -> None:
        with self._lock:
            if block in self._blocks:
                self._blocks.move_to_end(block)

    def _put(self, block: _Block) -> None:
        """Keep a block, under the lock."""
        if block.size > self.budget:
            return
        self._blocks[block] = None
        self.size += block.size
        block.segment.blocks.update(dict.fromkeys(block.trains, block))
        while self.size > self.budget:
            oldest, _ = self._blocks.popitem(last=False)
            self.size -= oldest.size
            for unit in oldest.trains:
                del oldest.segment.blocks[unit]


class CachedSegment:
    """The cached trains of one segment, by unit index; made by `TrainCache.segment`."""

    def __init__(self, cache: TrainCache) -> None:
        self.cache = cache
        self.blocks: dict[int, _Block] = {}
        self._fetches: dict[int, Future[Trains]] = {}  # by unit, those under way

    def get(self, unit_index: int) -> IntArray | None:
        """Return the train of a unit if it is cached."""
        block = self.blocks.get(unit_index)
        if block is None:
            return None
        self.cache._touch(block)
        return block.trains[unit_index]

    def claim(self, unit_indices: Iterable[int]) -> Claim:
        """Find out what to do to get the trains of units, each of them named once."""
        claim = Claim({}, [], Future(), set())
        with self.cache._lock:
            for unit in unit_indices:
                block, fetch = self.blocks.get(unit), self._fetches.get(unit)
                if block is not None:
                    claim.found[unit] = block.trains[unit]
                elif fetch is not None:
                    claim.awaited.add(fetch)
                else:
                    claim.mine.append(unit)
                    self._fetches[unit] = claim.future
        return claim

    def deliver(self, claim: Claim, blocks: Sequence[Sequence[IntArray]]) -> Trains:
        """Keep the trains of a claim, given in blocks; return them by unit."""
        units = iter(claim.mine)
        parts = [{next(units): train for train in block} for block in blocks]
        trains = {unit: train for part in parts for unit, train in part.items()}
        with self.cache._lock:
            for part in parts:
                self.cache._put(_Block(self, part))
            self._end(claim)
        claim.future.set_result(trains)
        return trains

    def abandon(self, claim: Claim, error: BaseException) -> None:
        """Tell those who wait for a claim that its trains could not be fetched.

        They fail with the same error, unless only this one reader was interrupted.
        """
        with self.cache._lock:
            self._end(claim)
        if isinstance(error, Exception):
            claim.future.set_exception(error)
        else:
            claim.future.set_result({})

    def _end(self, claim: Claim) -> None:
        for unit in claim.mine:
            del self._fetches[unit]
