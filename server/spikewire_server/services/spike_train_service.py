"""SpikeTrainService: reading spikes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from typing import TypeVar

import grpc

from spikewire.core.errors import InvalidValueError, OffsetOutOfRangeError
from spikewire.v1 import spike_train_pb2 as chunks_pb
from spikewire.v1 import spike_train_service_pb2 as pb
from spikewire.v1 import spike_train_service_pb2_grpc as rpc
from spikewire.wire.chunks import MAX_CHUNK_SPIKES, PLAIN, ZSTD, encode_spikes
from spikewire.wire.gaps import pack_parts
from spikewire.wire.trains import encode_trains
from spikewire_server.library import Library, OpenedSorting
from spikewire_server.library.spikes import Columns
from spikewire_server.services.context import Context
from spikewire_server.services.windows import (
    SegmentAnswer,
    Trains,
    Window,
    check_one_unit,
    window_of,
)
from spikewire_server.workers import Wait, Workers

MAX_QUERY_CHUNKS = 4
"""How many chunks one answer of a session has at most (1,048,576 spikes)."""

SERVICE = pb.DESCRIPTOR.services_by_name["SpikeTrainService"].full_name
T = TypeVar("T")


def add_to_server(servicer: SpikeTrainServicer, server: grpc.aio.Server) -> None:
    """Register the servicer, its bulk methods as what they are: makers of bytes."""
    rpc.add_SpikeTrainServiceServicer_to_server(servicer, server)
    server.add_registered_method_handlers(
        SERVICE,
        {
            "StreamSpikes": grpc.unary_stream_rpc_method_handler(
                servicer.StreamSpikes,
                request_deserializer=pb.StreamSpikesRequest.FromString,
            ),
            "GetUnitSpikeTrains": grpc.unary_stream_rpc_method_handler(
                servicer.GetUnitSpikeTrains,
                request_deserializer=pb.GetUnitSpikeTrainsRequest.FromString,
            ),
        },
    )


class SpikeTrainServicer(rpc.SpikeTrainServiceServicer):
    """Asks the library for spikes and cuts them into messages."""

    def __init__(self, library: Library, workers: Workers) -> None:
        self._library = library
        self._workers = workers

    async def GetUnitSpikeTrain(  # noqa: N802
        self, request: pb.GetUnitSpikeTrainRequest, context: Context
    ) -> pb.GetUnitSpikeTrainResponse:
        """Return the train of one unit, or its first chunk."""
        opened = self._library.at_hand(request.name, request.revision)
        if opened is not None:
            window = window_of(request, request.unit, opened, one_segment=True)
            check_one_unit(window)
            answer = window.answer_at_hand()
            if answer is not None:
                return _unit_spike_train(request, opened, answer)
        return await self._workers.run(self._open_unit_spike_train, request)

    def _open_unit_spike_train(
        self, request: pb.GetUnitSpikeTrainRequest
    ) -> pb.GetUnitSpikeTrainResponse:
        opened = self._library.open(request.name, request.revision)
        window = window_of(request, request.unit, opened, one_segment=True)
        check_one_unit(window)
        return _unit_spike_train(request, opened, window.answer())

    async def GetUnitSpikeTrains(  # type: ignore[override]  # noqa: N802
        self, request: pb.GetUnitSpikeTrainsRequest, context: Context
    ) -> AsyncIterator[bytes]:
        """Stream the trains of many units, packed, as serialized responses."""
        async for message in self._iterate(self._unit_spike_trains(request)):
            yield message

    def _unit_spike_trains(self, request: pb.GetUnitSpikeTrainsRequest) -> Iterator[bytes | None]:
        opened = self._library.open(request.name, request.revision)
        window = window_of(request, request.units, opened, one_segment=False)
        counts = [int(window.counts(segment).sum()) for segment in window.segments]
        header = pb.GetUnitSpikeTrainsResponse(revision=opened.revision, spike_count=sum(counts))
        yield header.SerializeToString()
        codec = _codec(request.accept_codecs)
        for segment, skip in _segments_after(request.offset, window, counts):
            for pack in window.packs(segment, skip):
                yield from _train_messages(pack, segment, codec)
        opened.verify()

    async def StreamSpikes(  # type: ignore[override]  # noqa: N802
        self, request: pb.StreamSpikesRequest, context: Context
    ) -> AsyncIterator[bytes]:
        """Stream spikes in the order of the spike vector, as serialized responses."""
        async for message in self._iterate(self._spikes(request)):
            yield message

    def _spikes(self, request: pb.StreamSpikesRequest) -> Iterator[bytes | None]:
        opened = self._library.open(request.name, request.revision)
        window = window_of(request, request.units, opened, one_segment=False)
        counts = [window.spike_count(segment) for segment in window.segments]
        header = pb.StreamSpikesResponse(revision=opened.revision, spike_count=sum(counts))
        yield header.SerializeToString()
        codec = _codec(request.accept_codecs)
        for segment, skip in _segments_after(request.offset, window, counts):
            for piece in window.pieces(segment, skip):
                yield from _spike_messages(piece, segment, codec)
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
            if opened is None:
                opened = await self._workers.run(self._library.open, request.name, request.revision)
            elif request.name not in ("", opened.name):
                raise InvalidValueError(
                    f"field name: the session reads {opened.name!r}; open another one for "
                    f"{request.name!r}"
                )
            window = window_of(request, request.units, opened, one_segment=True)
            answer = window.answer_at_hand()
            if answer is not None:
                yield _query(opened, answer)
            else:
                yield await self._workers.run(_query_in_worker, opened, window)

    async def _iterate(self, messages: Iterator[T | None]) -> AsyncIterator[T]:
        """Yield the messages of a blocking generator, made in worker threads.

        The next one is made while one is sent. A None is a moment at which a
        cancelled call stops without a message.
        """
        wait = Wait()

        def soon() -> asyncio.Task[T | object | None]:
            return asyncio.create_task(self._workers.run_for(wait, next, messages, _END))

        upcoming = soon()
        try:
            while (message := await asyncio.shield(upcoming)) is not _END:
                upcoming = soon()
                if message is not None:
                    yield message  # type: ignore[misc]
        finally:
            wait.end()
            # A generator cannot be closed while it runs.
            with suppress(Exception):
                await upcoming


_END = object()


def _unit_spike_train(
    request: pb.GetUnitSpikeTrainRequest, opened: OpenedSorting, answer: SegmentAnswer
) -> pb.GetUnitSpikeTrainResponse:
    base, ((unit, train),) = answer.trains
    first = [(unit, train[:MAX_CHUNK_SPIKES])]
    chunk = next(encode_trains(first, answer.segment, _codec(request.accept_codecs), base))
    opened.verify()
    return pb.GetUnitSpikeTrainResponse(
        chunk=chunk, revision=opened.revision, spike_count=answer.spike_count
    )


def _query(opened: OpenedSorting, answer: SegmentAnswer) -> pb.QueryResponse:
    base, trains = answer.trains
    response = pb.QueryResponse(
        chunks=islice(encode_trains(trains, answer.segment, base=base), MAX_QUERY_CHUNKS),
        revision=opened.revision,
        spike_count=answer.spike_count,
    )
    opened.verify()
    return response


def _query_in_worker(opened: OpenedSorting, window: Window) -> pb.QueryResponse:
    return _query(opened, window.answer())


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


def _spike_messages(
    piece: bytes | Columns, segment: int, codec: chunks_pb.SpikeCodec.ValueType
) -> Iterator[bytes | None]:
    """Yield the serialized StreamSpikesResponses of a piece; None if it is empty."""
    if isinstance(piece, bytes):
        yield piece if codec == PLAIN else _packed(pb.StreamSpikesResponse.FromString(piece))
        return
    samples, unit_indices = piece
    if not len(samples):
        yield None
    # Mapped: a loop would keep the chunk while its message waits to be sent.
    yield from map(_spike_message, encode_spikes(samples, unit_indices, segment, codec))


def _spike_message(chunk: chunks_pb.SpikeChunk) -> bytes:
    return pb.StreamSpikesResponse(chunks=[chunk]).SerializeToString()


def _train_messages(
    pack: bytes | Trains, segment: int, codec: chunks_pb.SpikeCodec.ValueType
) -> Iterator[bytes]:
    """Yield the serialized GetUnitSpikeTrainsResponses of some trains."""
    if isinstance(pack, bytes):
        yield pack if codec == PLAIN else _packed(pb.GetUnitSpikeTrainsResponse.FromString(pack))
        return
    base, trains = pack
    yield from map(_train_message, encode_trains(trains, segment, codec, base))


def _train_message(chunk: chunks_pb.TrainChunk) -> bytes:
    return pb.GetUnitSpikeTrainsResponse(chunks=[chunk]).SerializeToString()


def _packed(message: pb.StreamSpikesResponse | pb.GetUnitSpikeTrainsResponse) -> bytes:
    for chunk in message.chunks:
        pack_parts(chunk)
    return message.SerializeToString()


def _segment_counts(window: Window, segment: int) -> pb.SegmentCounts:
    return pb.SegmentCounts(
        segment_index=segment,
        unit_counts=window.counts(segment).tolist(),
        last_sample=window.last_sample(segment),
    )


def _codec(accepted: Sequence[chunks_pb.SpikeCodec.ValueType]) -> chunks_pb.SpikeCodec.ValueType:
    """Return the codec to send: zstd to whoever asks for it, since plain needs no asking."""
    return ZSTD if ZSTD in accepted else PLAIN
