"""Reading the spikes of one revision of a sorting, across breaks of the connection."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

import numpy as np

from spikewire.core.dtypes import IntArray
from spikewire.core.errors import (
    MalformedMessageError,
    RevisionMismatchError,
    ServerUnavailableError,
)
from spikewire.remote.backoff import Backoff
from spikewire.remote.channel import STREAM_ATTEMPTS, Connection
from spikewire.remote.collectors import SpikeCollector, SpikeColumns, TrainCollector
from spikewire.remote.methods import (
    COUNT_SPIKES,
    GET_UNIT_SPIKE_TRAIN,
    GET_UNIT_SPIKE_TRAINS,
    STREAM_SPIKES,
    Rpc,
)
from spikewire.v1 import spike_train_service_pb2 as pb
from spikewire.wire.gaps import ZSTD
from spikewire.wire.unit_ids import selection_to_proto

if TYPE_CHECKING:
    from spikewire.wire.gaps import Codec

StreamRequest = TypeVar("StreamRequest", pb.StreamSpikesRequest, pb.GetUnitSpikeTrainsRequest)
StreamResponse = TypeVar("StreamResponse", pb.StreamSpikesResponse, pb.GetUnitSpikeTrainsResponse)


class SegmentCounts(NamedTuple):
    """How many spikes each unit has in a segment, int64, and the sample of the last one."""

    counts: IntArray
    last_sample: int | None


class Answer(Protocol):
    """What every answer that has spikes says."""

    revision: str


CollectorT = TypeVar("CollectorT", SpikeCollector, TrainCollector)


class SpikeReader:
    """Reads spikes; every answer must be of the revision that is pinned.

    Parameters
    ----------
    connection : Connection
        The way to the server.
    name, revision : str
        The sorting, and its content that is pinned.
    unit_count, segment_count : int
        What the sorting has.
    """

    def __init__(
        self, connection: Connection, name: str, revision: str, unit_count: int, segment_count: int
    ) -> None:
        self._connection = connection
        self._name = name
        self._revision = revision
        self._unit_count = unit_count
        self._segment_count = segment_count

    def spikes(
        self,
        segment_index: int | None = None,
        start_frame: int | None = None,
        end_frame: int | None = None,
    ) -> SpikeColumns:
        """Return the spikes of a window in the order of the spike vector.

        Parameters
        ----------
        segment_index : int, optional
            The segment; None stands for all of them.
        start_frame, end_frame : int, optional
            Half-open bounds.
        """
        request = pb.StreamSpikesRequest(
            name=self._name,
            revision=self._revision,
            segment_index=segment_index,
            start_frame=start_frame,
            end_frame=end_frame,
            accept_codecs=self._codecs(),
        )
        segments = range(self._segment_count)
        if segment_index is not None:
            segments = range(segment_index, segment_index + 1)
        collector = self._collect(
            STREAM_SPIKES,
            request,
            lambda announced: SpikeCollector(
                announced, self._unit_count, segments, self._segment_count
            ),
        )
        return collector.result()

    def trains(
        self,
        unit_indices: Sequence[int] | IntArray,
        segment_index: int,
        start_frame: int | None = None,
        end_frame: int | None = None,
    ) -> list[IntArray]:
        """Return the trains of units in a window of a segment, in the given order."""
        wanted = [int(unit) for unit in unit_indices]
        distinct = list(dict.fromkeys(wanted))
        if not distinct:
            return []
        if len(distinct) == 1:
            train = self._train(distinct[0], segment_index, start_frame, end_frame)
            if train is not None:
                return [train] * len(wanted)
        request = pb.GetUnitSpikeTrainsRequest(
            name=self._name,
            revision=self._revision,
            units=selection_to_proto(distinct),
            segment_index=segment_index,
            start_frame=start_frame,
            end_frame=end_frame,
            accept_codecs=self._codecs(),
        )
        collector = self._collect(
            GET_UNIT_SPIKE_TRAINS,
            request,
            lambda announced: TrainCollector(announced, distinct, segment_index),
        )
        trains = dict(zip(distinct, collector.result(), strict=True))
        return [trains[unit] for unit in wanted]

    def counts(self, segment_index: int) -> SegmentCounts:
        """Return how many spikes each unit has in a segment."""
        request = pb.CountSpikesRequest(
            name=self._name, revision=self._revision, segment_index=segment_index
        )
        response = self._connection.call(COUNT_SPIKES, request)
        self._check_revision(response)
        answers = [answer for answer in response.segments if answer.segment_index == segment_index]
        if len(answers) != 1 or len(answers[0].unit_counts) != self._unit_count:
            raise MalformedMessageError(
                f"the counts of {self._name!r} are not those of its units in one segment"
            )
        (answer,) = answers
        return SegmentCounts(
            np.array(answer.unit_counts, dtype=np.uint64).astype(np.int64),
            answer.last_sample if answer.HasField("last_sample") else None,
        )

    def _train(
        self, unit_index: int, segment_index: int, start_frame: int | None, end_frame: int | None
    ) -> IntArray | None:
        """Return one train in one round trip; None if it is too long for that."""
        request = pb.GetUnitSpikeTrainRequest(
            name=self._name,
            revision=self._revision,
            unit=selection_to_proto([unit_index]),
            segment_index=segment_index,
            start_frame=start_frame,
            end_frame=end_frame,
            accept_codecs=self._codecs(),
        )
        response = self._connection.call(GET_UNIT_SPIKE_TRAIN, request)
        self._check_revision(response)
        if sum(response.chunk.spike_counts) < response.spike_count:
            return None
        collector = TrainCollector(response.spike_count, [unit_index], segment_index)
        collector.take(response.chunk)
        return collector.result()[0]

    def _collect(
        self,
        rpc: Rpc[StreamRequest, StreamResponse],
        request: StreamRequest,
        begin: Callable[[int], CollectorT],
    ) -> CollectorT:
        """Collect a stream; when it breaks, ask for the rest of it.

        Parameters
        ----------
        begin : callable
            Makes the collector when it is known how many spikes will come.
        """
        backoff = Backoff(STREAM_ATTEMPTS)
        collector: CollectorT | None = None
        while True:
            offset = request.offset = collector.filled if collector else 0
            is_first = True
            try:
                for message in self._connection.receive(rpc, request):
                    if is_first:
                        self._check_revision(message)
                        collector = collector or begin(message.spike_count)
                        self._check_announced(collector.announced, message.spike_count)
                        is_first = False
                    assert collector is not None
                    chunks: Iterable[Any] = message.chunks
                    for chunk in chunks:
                        collector.take(chunk)
            except ServerUnavailableError:
                if collector and collector.filled > offset:
                    backoff.progressed()
                if not backoff.pause():
                    raise
                continue
            if collector is None:
                raise MalformedMessageError(
                    f"the server ended its answer about {self._name!r} before the first message"
                )
            return collector

    def _check_announced(self, announced: int, spike_count: int) -> None:
        if spike_count != announced:
            raise MalformedMessageError(
                f"{self._name!r} had {announced} spikes before the connection broke and has "
                f"{spike_count} since, of the same revision"
            )

    def _check_revision(self, answer: Answer) -> None:
        if answer.revision != self._revision:
            raise RevisionMismatchError(
                f"{self._name!r} has changed on the server since it was opened: open it again"
            )

    def _codecs(self) -> list[Codec]:
        # On this machine bytes are cheaper than the time that packing them takes.
        return [] if self._connection.target.is_loopback else [ZSTD]
