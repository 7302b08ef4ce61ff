"""Messages of spike trains -> one array a train."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise

import numpy as np

from spikewire.core.dtypes import IntArray
from spikewire.core.errors import MalformedMessageError
from spikewire.remote.columns import Columns
from spikewire.v1 import spike_train_pb2 as pb
from spikewire.wire.cutting import CutChunk
from spikewire.wire.trains import decode_trains, train_counts


class _Block:
    """Trains that share one allocation: those before the place `end`."""

    def __init__(self, end: int, spike_count: int) -> None:
        self.end = end
        self.columns = Columns([np.int64], spike_count)


class TrainCollector:
    """Takes the answers of GetUnitSpikeTrains of one segment.

    Parameters
    ----------
    announced : int
        How many spikes the server says will come.
    unit_indices : sequence of int
        The units that were asked for, in order; none comes twice.
    segment_index : int
        The segment that was asked for.
    sizes : sequence of (int, int), optional
        What to allocate together: how many of the trains, with how many spikes. By
        default all of them.
    """

    def __init__(
        self,
        announced: int,
        unit_indices: Sequence[int],
        segment_index: int,
        sizes: Sequence[tuple[int, int]] | None = None,
    ) -> None:
        self.announced = announced
        self.filled = 0
        self._places = {unit: place for place, unit in enumerate(unit_indices)}
        self._counts = [0] * len(unit_indices)
        self._segment_index = segment_index
        self._last = (0, 0)  # place and sample of the last spike
        self._coming = iter(sizes if sizes is not None else [(len(unit_indices), announced)])
        self._blocks: list[_Block] = []

    def take(self, record: CutChunk[pb.TrainChunk]) -> None:
        """Decode the next chunk, straight into where its trains shall be."""
        chunk, parts = record
        if chunk.segment_index != self._segment_index:
            raise MalformedMessageError(
                f"a chunk is of segment {chunk.segment_index}, which nobody asked for"
            )
        unit_indices, counts = train_counts(chunk)
        places = [self._places.get(unit, -1) for unit in unit_indices]
        if places != sorted(places) or (places and places[0] < self._last[0]):
            raise MalformedMessageError("a train came where nobody asked for it")
        trains = list(self._rooms(places, counts))
        decode_trains(chunk, trains, parts)
        for place, train in zip(places, trains, strict=True):
            if train.size:
                if self._counts[place] and (place, train[0]) < self._last:
                    raise MalformedMessageError("the chunks of a train do not ascend")
                self._counts[place] += train.size
                self._last = (place, int(train[-1]))
        self.filled += sum(counts)

    def _rooms(self, places: list[int], counts: list[int]) -> Iterator[IntArray]:
        """Yield room for the trains at some places, ascending, with so many spikes."""
        first = 0
        while first < len(places):
            block = self._block_of(places[first])
            # All room at once: to ask for more may move what has been given out.
            last = bisect_left(places, block.end, lo=first)
            (room,) = block.columns.next(sum(counts[first:last]))
            start = 0
            for count in counts[first:last]:
                yield room[start : start + count]
                start += count
            first = last

    def _block_of(self, place: int) -> _Block:
        while not self._blocks or place >= self._blocks[-1].end:
            trains, spikes = next(self._coming)
            begin = self._blocks[-1].end if self._blocks else 0
            self._blocks.append(_Block(begin + trains, spikes))
        return self._blocks[-1]

    def blocks(self) -> list[list[IntArray]]:
        """Return the trains, read-only, those together that share an allocation."""
        if self._places:
            self._block_of(len(self._places) - 1)  # the last trains may be empty
        blocks: list[list[IntArray]] = []
        first = 0
        for block in self._blocks:
            (samples,) = block.columns.complete()
            samples.flags.writeable = False
            starts = accumulate(self._counts[first : block.end], initial=0)
            blocks.append([samples[start:end] for start, end in pairwise(starts)])
            first = block.end
        return blocks

    def trains(self) -> list[IntArray]:
        """Return the trains, read-only, in the order in which they were asked for."""
        return [train for block in self.blocks() for train in block]
