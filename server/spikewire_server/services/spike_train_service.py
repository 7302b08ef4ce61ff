"""SpikeTrainService: reading spikes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from itertools import islice
from typing import TypeVar

import numpy as np

from spikewire.core.errors import InvalidValueError, OffsetOutOfRangeError
from spikewire.v1 import spike_train_pb2 as chunks_pb
from spikewire.v1 import spike_train_service_pb2 as pb
from spikewire.v1 import spike_train_service_pb2_grpc as rpc
from spikewire.wire.chunks import MAX_CHUNK_SPIKES, PLAIN, ZSTD, encode_spikes
from spikewire.wire.trains import encode_trains
from spikewire_server.library import Library, OpenedSorting
from spikewire_server.services.context import Context
from spikewire_server.services.windows import Window, one_unit, window_of
from spikewire_server.workers import Workers

MAX_QUERY_CHUNKS = 4
"""How many chunks one answer of a session has at most (1,048,576 spikes)."""

T = TypeVar("T")


class SpikeTrainServicer(rpc.SpikeTrainServiceServicer):
    """Asks the library for spikes and cuts them into messages."""

    def __init__(self, library: Library, workers: Workers) -> None:
        self._library = library
        self._workers = workers

    async def GetUnitSpikeTrain(  # noqa: N802
        self, request: pb.GetUnitSpikeTrainRequest, context: Context
    ) -> pb.GetUnitSpikeTrainResponse:
        """Return the train of one unit, or its first chunk."""
        return await self._workers.run(self._unit_spike_train, request)

    def _unit_spike_train(
        self, request: pb.GetUnitSpikeTrainRequest
    ) -> pb.GetUnitSpikeTrainResponse:
        opened = self._library.open(request.name, request.revision)
        window = window_of(request, request.unit, opened, one_segment=True)
        unit, (segment,) = one_unit(window), window.segments
        train = window.train(unit, segment)
        chunk = next(
            encode_trains(
                [(unit, train[:MAX_CHUNK_SPIKES])], segment, _codec(request.accept_codecs)
            )
        )
        opened.verify()
        return pb.GetUnitSpikeTrainResponse(
            chunk=chunk, revision=opened.revision, spike_count=len(train)
        )

    async def GetUnitSpikeTrains(  # noqa: N802
        self, request: pb.GetUnitSpikeTrainsRequest, context: Context
    ) -> AsyncIterator[pb.GetUnitSpikeTrainsResponse]:
        """Stream the trains of many units, packed."""
        async for message in self._iterate(self._unit_spike_trains(request)):
            yield message

    def _unit_spike_trains(
        self, request: pb.GetUnitSpikeTrainsRequest
    ) -> Iterator[pb.GetUnitSpikeTrainsResponse | None]:
        opened = self._library.open(request.name, request.revision)
        window = window_of(request, request.units, opened, one_segment=False)
        counts = [window.train_count(segment) for segment in window.segments]
        yield pb.GetUnitSpikeTrainsResponse(revision=opened.revision, spike_count=sum(counts))
        codec = _codec(request.accept_codecs)
        for segment, skip in _segments_after(request.offset, window, counts):
            for chunk in encode_trains(window.trains(segment, skip), segment, codec):
                yield pb.GetUnitSpikeTrainsResponse(chunks=[chunk])
        opened.verify()

    async def StreamSpikes(  # noqa: N802
        self, request: pb.StreamSpikesRequest, context: Context
    ) -> AsyncIterator[pb.StreamSpikesResponse]:
        """Stream spikes in the order of the spike vector."""
        async for message in self._iterate(self._spikes(request)):
            yield message

    def _spikes(self, request: pb.StreamSpikesRequest) -> Iterator[pb.StreamSpikesResponse | None]:
        opened = self._library.open(request.name, request.revision)
        window = window_of(request, request.units, opened, one_segment=False)
        counts = [window.spike_count(segment) for segment in window.segments]
        yield pb.StreamSpikesResponse(revision=opened.revision, spike_count=sum(counts))
        codec = _codec(request.accept_codecs)
        for segment, skip in _segments_after(request.offset, window, counts):
            for samples, unit_indices in window.spikes(segment, skip):
                if not len(samples):
                    yield None
                for chunk in encode_spikes(samples, unit_indices, segment, codec):
                    yield pb.StreamSpikesResponse(chunks=[chunk])
        opened.verify()

    async def CountSpikes(  # noqa: N802
        self, request: pb.CountSpikesRequest, context: Context
    ) -> pb.CountSpikesResponse:
        """Count spikes by segment and unit."""
        return await self._workers.run(self._count, request)

    def _count(self, request: pb.CountSpikesRequest) -> pb.CountSpikesResponse:
        opened = self._library.open(request.name, request.revision)
        window = window_of(request, request.units, opened, one_segment=False)
        answer = pb.CountSpikesResponse(
            segments=[_segment_counts(window, segment) for segment in window.segments],
            revision=opened.revision,
        )
        opened.verify()
        return answer

    async def Query(  # noqa: N802
        self, request_iterator: AsyncIterator[pb.QueryRequest], context: Context
    ) -> AsyncIterator[pb.QueryResponse]:
        """Answer one window after the other."""
        opened: OpenedSorting | None = None
        async for request in request_iterator:
            revision = ""
            if opened is None:
                opened = await self._workers.run(self._library.open, request.name, request.revision)
                revision = opened.revision
            elif request.name and request.name != opened.name:
                raise InvalidValueError(
                    f"field name: the session reads {opened.name!r}; open another session "
                    f"for {request.name!r}"
                )
            yield await self._workers.run(_query, opened, request, revision)

    async def _iterate(self, messages: Iterator[T | None]) -> AsyncIterator[T]:
        """Yield the messages of a blocking generator, made in worker threads.

        A None is a moment at which a cancelled call stops without a message.
        """
        end = object()
        while (message := await self._workers.run(next, messages, end)) is not end:
            if message is not None:
                yield message  # type: ignore[misc]


def _query(opened: OpenedSorting, request: pb.QueryRequest) -> pb.QueryResponse:
    window = window_of(request, request.units, opened, one_segment=True)
    (segment,) = window.segments
    chunks = islice(encode_trains(window.trains(segment), segment), MAX_QUERY_CHUNKS)
    answer = pb.QueryResponse(
        chunks=chunks, revision=opened.revision, spike_count=window.train_count(segment)
    )
    opened.verify()
    return answer


def _segments_after(
    offset: int, window: Window, counts: Sequence[int]
) -> Iterator[tuple[int, int]]:
    """Yield the segments that are left after an offset, with what to skip in each."""
    if offset > sum(counts):
        raise OffsetOutOfRangeError(
            f"offset {offset} lies beyond the end: the answer has {sum(counts)} spikes"
        )
    for segment, count in zip(window.segments, counts, strict=True):
        skip = min(offset, count)
        offset -= skip
        if skip < count or not count:
            yield segment, skip


def _segment_counts(window: Window, segment: int) -> pb.SegmentCounts:
    opened = window.opened
    if window.units is not None:
        trains = [window.train(int(unit), segment) for unit in window.units]
        counts = [len(train) for train in trains]
        last = max((int(train[-1]) for train in trains if len(train)), default=None)
    else:
        samples, unit_indices = opened.columns(segment)
        within = window.positions(samples)
        counts = np.bincount(unit_indices[within], minlength=len(opened.unit_ids)).tolist()
        last = int(samples[within.stop - 1]) if within.stop > within.start else None
    return pb.SegmentCounts(segment_index=segment, unit_counts=counts, last_sample=last)


def _codec(accepted: Sequence[chunks_pb.SpikeCodec.ValueType]) -> chunks_pb.SpikeCodec.ValueType:
    """Return the codec to send: zstd to whoever asks for it, since plain needs no asking."""
    return ZSTD if ZSTD in accepted else PLAIN
