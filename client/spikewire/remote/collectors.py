"""Messages of spikes -> arrays, with what one chunk alone cannot tell checked here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from spikewire.core.dtypes import IntArray
from spikewire.core.errors import MalformedMessageError
from spikewire.remote.columns import Columns
from spikewire.v1 import spike_train_pb2 as pb
from spikewire.wire.chunks import decode_spikes
from spikewire.wire.trains import decode_trains, train_spike_count


class SpikeColumns(NamedTuple):
    """Spikes in the order of the spike vector.

    Attributes
    ----------
    samples, unit_indices : ndarray of int64, shape (spikes,)
    segment_counts : ndarray of int64, shape (segments,)
        How many of the spikes are in each segment.
    """

    samples: IntArray
    unit_indices: IntArray
    segment_counts: IntArray


class SpikeCollector:
    """Takes the chunks of StreamSpikes.

    Parameters
    ----------
    spike_count : int
        How many spikes are announced.
    unit_count : int
        How many units the sorting has.
    segments : range
        The segments that were asked for.
    segment_count : int
        How many segments the sorting has.
    """

    def __init__(
        self, spike_count: int, unit_count: int, segments: range, segment_count: int
    ) -> None:
        self._columns = Columns(2, spike_count)
        self._unit_count = unit_count
        self._segments = segments
        self._counts = np.zeros(segment_count, dtype=np.int64)
        self._last = (0, 0)  # segment and sample of the last spike

    @property
    def announced(self) -> int:
        """How many spikes shall come."""
        return self._columns.announced

    @property
    def filled(self) -> int:
        """How many spikes have come."""
        return self._columns.filled

    def take(self, chunk: pb.SpikeChunk) -> None:
        """Decode the next chunk."""
        if not chunk.spike_count:
            return
        segment = chunk.segment_index
        if segment not in self._segments:
            raise MalformedMessageError(f"a chunk is of segment {segment}, which nobody asked for")
        if self.filled and (segment, chunk.base_sample) < self._last:
            raise MalformedMessageError("the chunks of a stream do not ascend")
        samples, unit_indices = self._columns.next(chunk.spike_count)
        decode_spikes(chunk, samples, unit_indices, self._unit_count)
        self._counts[segment] += chunk.spike_count
        self._last = (segment, int(samples[-1]))

    def result(self) -> SpikeColumns:
        """Return all spikes."""
        samples, unit_indices = self._columns.complete()
        return SpikeColumns(samples, unit_indices, self._counts)


class TrainCollector:
    """Takes the chunks of GetUnitSpikeTrains of one segment.

    Parameters
    ----------
    spike_count : int
        How many spikes are announced.
    unit_indices : sequence of int
        The units that were asked for, in order; none comes twice.
    segment_index : int
        The segment that was asked for.
    """

    def __init__(self, spike_count: int, unit_indices: Sequence[int], segment_index: int) -> None:
        self._columns = Columns(1, spike_count)
        self._places = {unit: place for place, unit in enumerate(unit_indices)}
        self._counts = np.zeros(len(unit_indices), dtype=np.int64)
        self._segment_index = segment_index
        self._last_place = 0
        self._last_sample = 0

    @property
    def announced(self) -> int:
        """How many spikes shall come."""
        return self._columns.announced

    @property
    def filled(self) -> int:
        """How many spikes have come."""
        return self._columns.filled

    def take(self, chunk: pb.TrainChunk) -> None:
        """Decode the next chunk."""
        if chunk.segment_index != self._segment_index:
            raise MalformedMessageError(
                f"a chunk is of segment {chunk.segment_index}, which nobody asked for"
            )
        (samples,) = self._columns.next(train_spike_count(chunk))
        unit_indices, counts = decode_trains(chunk, samples)
        start = 0
        for unit, count in zip(unit_indices.tolist(), counts.tolist(), strict=True):
            place = self._places.get(unit, -1)
            if place < self._last_place:
                raise MalformedMessageError(
                    f"the train of the unit of index {unit} came where nobody asked for it"
                )
            if count:
                if self._counts[place] and samples[start] < self._last_sample:
                    raise MalformedMessageError("the chunks of a train do not ascend")
                start += count
                self._last_sample = samples[start - 1]
                self._counts[place] += count
            self._last_place = place

    def result(self) -> list[IntArray]:
        """Return the trains, in the order in which they were asked for."""
        (samples,) = self._columns.complete()
        ends = np.cumsum(self._counts)
        return [
            samples[end - count : end]
            for end, count in zip(ends.tolist(), self._counts.tolist(), strict=True)
        ]
