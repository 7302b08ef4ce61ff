"""Reading the spikes of one revision of a sorting, as operations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from spikewire.core.dtypes import SPIKE_DTYPE, IntArray, SpikeVector
from spikewire.core.errors import (
    MalformedMessageError,
    NotSupportedByServerError,
    ServerUnavailableError,
)
from spikewire.remote.cache import BYTES_OF_A_SPIKE
from spikewire.remote.calls import call
from spikewire.remote.columns import Columns, Pieces
from spikewire.remote.methods import (
    COUNT_SPIKES,
    GET_UNIT_SPIKE_TRAIN,
    GET_UNIT_SPIKE_TRAINS,
    STREAM_SPIKES,
)
from spikewire.remote.resources import Resources
from spikewire.remote.spike_collector import RoomT, SpikeCollector
from spikewire.remote.steps import Ask, Operation
from spikewire.remote.train_collector import TrainCollector
from spikewire.remote.transfer import Transfer, check_revision
from spikewire.v1 import spike_train_service_pb2 as pb
from spikewire.wire.cutting import CutChunk, cut_spikes, cut_trains
from spikewire.wire.gaps import NO_PARTS
from spikewire.wire.unit_ids import selection_to_proto

_BLOCK_SPIKES = 1 << 21
"""How many spikes are allocated together: memory in pieces of less than some 16 MiB costs
several times as much to obtain as in larger ones."""
_BLOCKS_OF_CACHE = 16
"""How many blocks the cache holds at least, so that not everything leaves it at once."""

_UNITS_OF_A_SESSION = 32
"""How many units are asked for over a session at most; more are worth a stream."""


class SegmentCounts(NamedTuple):
    """How many spikes each unit has in a segment, int64, and the sample of the last one."""

    counts: IntArray
    last_sample: int | None


class SpikeReader:
    """Reads spikes; every answer must be of the revision that is pinned.

    Parameters
    ----------
    resources : Resources
        What the reads of a client share.
    name, revision : str
        The sorting, and its content that is pinned.
    unit_count, segment_count : int
        What the sorting has.
    """

    def __init__(
        self, resources: Resources, name: str, revision: str, unit_count: int, segment_count: int
    ) -> None:
        self._resources = resources
        self._name = name
        self._revision = revision
        self._unit_count = unit_count
        self._segment_count = segment_count
        self._counts: dict[int, SegmentCounts] = {}
        self._has_sessions = True
        self._windows = 0  # of a few units, that were asked for

    def columns(
        self, segment_index: int, start_frame: int | None = None, end_frame: int | None = None
    ) -> Operation[tuple[IntArray, IntArray]]:
        """Return samples and unit indices of a window, in the order of the spike vector."""
        request = self._window(segment_index, start_frame, end_frame)
        columns = yield from self._spikes(
            request, lambda announced: Columns([np.int64, np.int64], announced)
        )
        samples, unit_indices = columns.complete()
        return samples, unit_indices

    def pieces(
        self, pieces: Pieces, segment_index: int, start_frame: int | None, end_frame: int | None
    ) -> Operation[None]:
        """Read what `columns` returns piece by piece, for who takes each away as it comes."""
        request = self._window(segment_index, start_frame, end_frame)
        yield from self._spikes(request, pieces.begin)
        pieces.check_complete()

    def vector(self) -> Operation[SpikeVector]:
        """Return the spike vector."""
        request = pb.StreamSpikesRequest(name=self._name, revision=self._revision)
        columns = yield from self._spikes(
            request, lambda announced: Columns([SPIKE_DTYPE], announced)
        )
        (spikes,) = columns.complete()
        vector: SpikeVector = spikes
        return vector

    def _window(
        self, segment_index: int, start_frame: int | None, end_frame: int | None
    ) -> pb.StreamSpikesRequest:
        return pb.StreamSpikesRequest(
            name=self._name,
            revision=self._revision,
            segment_index=segment_index,
            start_frame=start_frame,
            end_frame=end_frame,
        )

    def _spikes(
        self, request: pb.StreamSpikesRequest, begin: Callable[[int], RoomT]
    ) -> Operation[RoomT]:
        """Read spikes in time order to where `begin` says, which is told how many come."""
        segment = request.segment_index
        has_one = request.HasField("segment_index")
        segments = range(segment, segment + 1) if has_one else range(self._segment_count)

        def collect(announced: int) -> SpikeCollector[RoomT]:
            return SpikeCollector(begin(announced), self._unit_count, segments)

        transfer = Transfer(self._resources, request, cut_spikes, collect)
        return (yield from transfer.run(STREAM_SPIKES)).columns

    def trains(
        self,
        unit_indices: Sequence[int],
        segment_index: int,
        start_frame: int | None = None,
        end_frame: int | None = None,
    ) -> Operation[list[IntArray]]:
        """Return the trains of units in a window of a segment.

        Windows of a few units go over a session from the second one on: who asks
        again will do so more often, and a session costs the server less than calls do.
        """
        distinct = list(dict.fromkeys(unit_indices))
        if not distinct:
            return []
        begin = _beginner(distinct, segment_index)
        bounds = start_frame, end_frame
        collector = None
        if bounds != (None, None) and len(distinct) <= _UNITS_OF_A_SESSION:
            if self._has_sessions and self._windows:
                collector = yield from self._ask(distinct, segment_index, *bounds, begin)
            self._windows += 1
        if collector is None and len(distinct) == 1:
            collector = yield from self._one_train(distinct[0], segment_index, *bounds)
        if collector is None or collector.filled < collector.announced:
            collector = yield from self._stream_trains(
                distinct, segment_index, *bounds, begin, collector
            )
        trains = dict(zip(distinct, collector.trains(), strict=True))
        return [trains[unit] for unit in unit_indices]

    def whole_trains(
        self, unit_indices: Sequence[int], segment_index: int
    ) -> Operation[list[list[IntArray]]]:
        """Return the trains of units, none named twice: those together that share memory."""
        if len(unit_indices) == 1:
            return [(yield from self.trains(unit_indices, segment_index))]
        counts = (yield from self.counts(segment_index)).counts[list(unit_indices)].tolist()
        begin = _beginner(unit_indices, segment_index, self._sizes(counts))
        collector = yield from self._stream_trains(unit_indices, segment_index, None, None, begin)
        blocks = collector.blocks()
        if [train.size for block in blocks for train in block] != counts:
            raise MalformedMessageError(
                f"the trains of {self._name!r} are not as long as the server counted them"
            )
        return blocks

    def counts(self, segment_index: int) -> Operation[SegmentCounts]:
        """Return how many spikes each unit has in a segment; asks the server once."""
        if segment_index not in self._counts:
            self._counts[segment_index] = yield from self.window_counts(segment_index, None, None)
        return self._counts[segment_index]

    def window_counts(
        self, segment_index: int, start_frame: int | None, end_frame: int | None
    ) -> Operation[SegmentCounts]:
        """Return how many spikes each unit has in a window of a segment."""
        request = pb.CountSpikesRequest(
            name=self._name,
            revision=self._revision,
            segment_index=segment_index,
            start_frame=start_frame,
            end_frame=end_frame,
        )
        response = yield from call(COUNT_SPIKES, request)
        check_revision(self._name, self._revision, response.revision)
        return self._counts_from(response, segment_index)

    def _counts_from(self, response: pb.CountSpikesResponse, segment_index: int) -> SegmentCounts:
        answers = [answer for answer in response.segments if answer.segment_index == segment_index]
        if len(answers) != 1 or len(answers[0].unit_counts) != self._unit_count:
            raise MalformedMessageError(
                f"the counts of {self._name!r} are not those of its units in one segment"
            )
        (answer,) = answers
        if max(answer.unit_counts, default=0) >= 1 << 63:
            raise MalformedMessageError(f"the counts of {self._name!r} are beyond 63 bits")
        counts = np.array(answer.unit_counts, dtype=np.int64)
        counts.flags.writeable = False
        return SegmentCounts(counts, answer.last_sample if answer.HasField("last_sample") else None)

    def _ask(
        self,
        unit_indices: Sequence[int],
        segment_index: int,
        start_frame: int | None,
        end_frame: int | None,
        begin: Callable[[int], TrainCollector],
    ) -> Operation[TrainCollector | None]:
        """Return trains, or as much of them as one answer of a session holds, if there is one."""
        request = pb.QueryRequest(
            name=self._name,
            revision=self._revision,
            units=selection_to_proto(unit_indices),
            segment_index=segment_index,
            start_frame=start_frame,
            end_frame=end_frame,
        )
        try:
            answer: pb.QueryResponse = yield Ask(request)
        except NotSupportedByServerError:
            self._has_sessions = False
            return None
        except ServerUnavailableError:
            return None  # a call of its own goes through as soon as the server is back
        check_revision(self._name, self._revision, answer.revision)
        collector = begin(answer.spike_count)
        for chunk in answer.chunks:
            collector.take(CutChunk(chunk, NO_PARTS))
        return collector

    def _one_train(
        self, unit_index: int, segment_index: int, start_frame: int | None, end_frame: int | None
    ) -> Operation[TrainCollector]:
        """Return one train, or as much of it as one answer holds."""
        request = pb.GetUnitSpikeTrainRequest(
            name=self._name,
            revision=self._revision,
            unit=selection_to_proto([unit_index]),
            segment_index=segment_index,
            start_frame=start_frame,
            end_frame=end_frame,
            accept_codecs=self._resources.codecs.accepted(),
        )
        response = yield from call(GET_UNIT_SPIKE_TRAIN, request)
        check_revision(self._name, self._revision, response.revision)
        collector = TrainCollector(response.spike_count, [unit_index], segment_index)
        collector.take(CutChunk(response.chunk, NO_PARTS))
        return collector

    def _stream_trains(
        self,
        unit_indices: Sequence[int],
        segment_index: int,
        start_frame: int | None,
        end_frame: int | None,
        begin: Callable[[int], TrainCollector],
        collector: TrainCollector | None = None,
    ) -> Operation[TrainCollector]:
        request = pb.GetUnitSpikeTrainsRequest(
            name=self._name,
            revision=self._revision,
            units=selection_to_proto(unit_indices),
            segment_index=segment_index,
            start_frame=start_frame,
            end_frame=end_frame,
        )
        transfer = Transfer(self._resources, request, cut_trains, begin, collector)
        return (yield from transfer.run(GET_UNIT_SPIKE_TRAINS))

    def _sizes(self, counts: Sequence[int]) -> list[tuple[int, int]]:
        """Divide trains of known lengths into blocks: how many trains, with how many spikes."""
        budget = self._resources.cache.budget
        enough = min(_BLOCK_SPIKES, budget // BYTES_OF_A_SPIKE // _BLOCKS_OF_CACHE)
        sizes: list[tuple[int, int]] = []
        trains = spikes = 0
        for count in counts:
            trains, spikes = trains + 1, spikes + count
            if spikes >= enough:
                sizes.append((trains, spikes))
                trains = spikes = 0
        return [*sizes, (trains, spikes)] if trains else sizes


def _beginner(
    unit_indices: Sequence[int],
    segment_index: int,
    sizes: Sequence[tuple[int, int]] | None = None,
) -> Callable[[int], TrainCollector]:
    return lambda announced: TrainCollector(announced, unit_indices, segment_index, sizes)
