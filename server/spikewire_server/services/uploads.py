"""One upload: the header, slices of properties, chunks, in this order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewire.core.errors import InvalidValueError, UploadIncompleteError
from spikewire.v1 import sorting_service_pb2 as pb
from spikewire.v1 import spike_train_pb2 as chunks_pb
from spikewire.wire.chunks import MAX_CHUNK_SPIKES, decode_spikes
from spikewire.wire.clocks import clocks_from_proto
from spikewire.wire.properties import PropertyAssembler
from spikewire.wire.unit_ids import unit_ids_from_proto
from spikewire.wire.values import value_from_proto
from spikewire_server.library import Entry, Library, Upload
from spikewire_server.settings import Settings
from spikewire_server.workers import Workers


async def receive_upload(
    requests: AsyncIterator[pb.UploadSortingRequest],
    library: Library,
    workers: Workers,
    settings: Settings,
) -> Entry:
    """Return the sorting that an upload made; nothing remains of one that failed.

    Raises
    ------
    UploadIncompleteError
        The stream ended before everything announced had come.
    InvalidValueError, MalformedMessageError
        A message breaks a rule of the protocol.
    LimitExceededError
        The upload or one of its properties is larger than the server takes.
    """
    first = await anext(requests, None)
    if first is None or not first.HasField("header"):
        raise InvalidValueError("field header: the first message of an upload must have it")
    unit_ids = unit_ids_from_proto(first.header.unit_ids)
    beginning = asyncio.create_task(workers.run(_begin, library, first.header, unit_ids))
    try:
        upload = await asyncio.shield(beginning)
    except asyncio.CancelledError:
        # The client went away, but the thread begins the upload all the same.
        upload = await beginning
        await workers.run(upload.abort)
        raise
    try:
        receiver = _Receiver(upload, len(unit_ids), settings)
        await workers.run(receiver.take, first)
        async for request in requests:
            if request.HasField("header"):
                raise InvalidValueError("field header: only the first message may have it")
            await workers.run(receiver.take, request)
        receiver.finish()
        return await workers.run(upload.commit)
    except BaseException:
        # In a thread and to its end: a cancelled call may still be writing in another.
        await asyncio.shield(workers.run(upload.abort))
        raise


def _begin(library: Library, header: pb.UploadHeader, unit_ids: NDArray[Any]) -> Upload:
    return library.begin_upload(
        header.name,
        header.sampling_frequency_hz,
        unit_ids,
        [
            segment.t_start_seconds if segment.HasField("t_start_seconds") else None
            for segment in header.segments
        ],
        list(header.spike_counts),
        {entry.key: value_from_proto(entry.value) for entry in header.annotations},
        header.if_revision,
        [
            clocks_from_proto(segment, header.sampling_frequency_hz, len(unit_ids))
            for segment in header.segments
        ],
    )


class _Receiver:
    """Feeds messages into an upload."""

    def __init__(self, upload: Upload, unit_count: int, settings: Settings) -> None:
        self._upload = upload
        self._unit_count = unit_count
        self._assembler = PropertyAssembler(settings.max_property_bytes)
        self._keys: set[str] = set()
        self._samples = np.empty(MAX_CHUNK_SPIKES, dtype=np.int64)
        self._units = np.empty(MAX_CHUNK_SPIKES, dtype=np.int64)

    def take(self, request: pb.UploadSortingRequest) -> None:
        """Write what one message holds."""
        for piece in request.properties:
            self._take_slice(piece)
        for chunk in request.chunks:
            self._take_chunk(chunk)

    def finish(self) -> None:
        """Check that no property was left half-sent."""
        if not self._assembler.is_complete:
            raise UploadIncompleteError("the upload ended in the middle of a property")

    def _take_slice(self, piece: pb.PropertySlice) -> None:
        complete = self._assembler.feed(piece)
        if complete is None:
            return
        key, values = complete
        if key in self._keys:
            raise InvalidValueError(f"property {key!r} comes twice in one upload")
        self._keys.add(key)
        self._upload.write_property(key, values)

    def _take_chunk(self, chunk: chunks_pb.SpikeChunk) -> None:
        count = chunk.spike_count
        if count > MAX_CHUNK_SPIKES:
            raise InvalidValueError(
                f"a chunk has {count} spikes, more than the {MAX_CHUNK_SPIKES} that one may have"
            )
        samples, units = self._samples[:count], self._units[:count]
        decode_spikes(chunk, samples, units, self._unit_count)
        self._upload.write_spikes(chunk.segment_index, samples, units)
