"""AppendSpikesRequest taken apart without decoding its chunks, so that they stay as they came."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from spikewire.core.errors import InvalidValueError, MalformedMessageError
from spikewire.v1 import acquisition_service_pb2 as pb
from spikewire.v1.spike_train_pb2 import SpikeChunk
from spikewire.wire.chunks import MAX_CHUNK_SPIKES, decode_spikes
from spikewire_server.acquisition.roster import Roster

_CHUNKS_TAG = pb.AppendSpikesRequest.CHUNKS_FIELD_NUMBER << 3 | 2
_MAX_VARINT_BYTES = 10


class Batch(NamedTuple):
    """One element of the field `chunks`."""

    payload: bytes
    """Tag, length and chunk."""
    chunk_offset: int
    """Where the chunk begins in it."""


class Span(NamedTuple):
    """What a batch holds."""

    segment_index: int
    spike_count: int
    min_sample: int
    max_sample: int


def split(data: bytes) -> tuple[list[Batch], pb.AppendSpikesRequest]:
    """Return the batches of a serialized AppendSpikesRequest, and the rest of it.

    Raises
    ------
    MalformedMessageError
        If it is none.
    """
    batches: list[Batch] = []
    rest: list[bytes] = []
    position, end = 0, len(data)
    while position < end:
        start = position
        tag, position = _varint(data, position)
        body = position
        match tag & 7:
            case 0:
                _, position = _varint(data, position)
            case 1:
                position += 8
            case 2:
                length, body = _varint(data, position)
                position = body + length
            case 5:
                position += 4
            case wire_type:
                raise MalformedMessageError(f"a message has a field of wire type {wire_type}")
        if position > end:
            raise MalformedMessageError("a message ends in the middle of a field")
        if tag == _CHUNKS_TAG:
            batches.append(Batch(data[start:position], body - start))
        else:
            rest.append(data[start:position])
    try:
        return batches, pb.AppendSpikesRequest.FromString(b"".join(rest))
    except DecodeError as error:
        raise MalformedMessageError(f"a message cannot be read: {error}") from error


class BatchChecker:
    """Decodes batches to see whether they can be taken; for one thread."""

    def __init__(self) -> None:
        self._samples = np.empty(MAX_CHUNK_SPIKES, np.int64)
        self._units = np.empty(MAX_CHUNK_SPIKES, np.int64)

    def check(self, batch: Batch, roster: Roster) -> Span:
        """Return what a batch holds.

        Raises
        ------
        MalformedMessageError
            If it breaks a rule of its format, or names a unit that was not announced.
        InvalidValueError
            If it is empty.
        SegmentIndexError
            If it names a segment that was not started.
        """
        try:
            chunk = SpikeChunk.FromString(batch.payload[batch.chunk_offset :])
        except DecodeError as error:
            raise MalformedMessageError(f"a batch cannot be read: {error}") from error
        count = chunk.spike_count
        if not count:
            raise InvalidValueError("a batch is empty; only batches with spikes are records")
        if count > MAX_CHUNK_SPIKES:
            raise InvalidValueError(
                f"a batch has {count} spikes, more than the {MAX_CHUNK_SPIKES} that one may have"
            )
        roster.check_segment(chunk.segment_index)
        samples = self._samples[:count]
        decode_spikes(chunk, samples, self._units[:count], roster.unit_count)
        return Span(chunk.segment_index, count, chunk.base_sample, int(samples[-1]))


def decode_batch(payload: bytes | memoryview) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """Return samples, unit indices and segment of a batch that was checked before."""
    (chunk,) = pb.AppendSpikesRequest.FromString(bytes(payload)).chunks
    samples = np.empty(chunk.spike_count, np.int64)
    unit_indices = np.empty(chunk.spike_count, np.int64)
    decode_spikes(chunk, samples, unit_indices, 1 << 32)
    return samples, unit_indices, chunk.segment_index


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 7 * _MAX_VARINT_BYTES, 7):
        if position >= len(data):
            break
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise MalformedMessageError("a message has a number that does not end")
