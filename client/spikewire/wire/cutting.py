"""The parts of chunks, cut out of a serialized message instead of copied.

Protobuf copies every bytes field that it parses, and chunks are hardly anything but
bytes fields. So these are taken out of a message first, as views of it, and protobuf
parses what is left, unknown fields included. A message with anything odd about it is
parsed by protobuf whole: what comes out is the same for every message there is.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError, Message

from spikewire.core.errors import MalformedMessageError
from spikewire.v1 import spike_train_pb2 as chunks_pb
from spikewire.v1 import spike_train_service_pb2 as pb

Part: TypeAlias = bytes | memoryview
Parts: TypeAlias = Mapping[str, Part]
ChunkT = TypeVar("ChunkT", chunks_pb.SpikeChunk, chunks_pb.TrainChunk)
MessageT = TypeVar("MessageT", bound=Message)

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_LONGEST_VALUE, _LONGEST_TAG = 10, 5  # bytes of a number, and of a tag or a length
_CHUNKS = pb.StreamSpikesResponse.CHUNKS_FIELD_NUMBER  # the same in all answers


class CutChunk(NamedTuple, Generic[ChunkT]):
    """A chunk, and beside it the bytes fields that were cut out, by name."""

    chunk: ChunkT
    parts: Parts


class CutAnswer(NamedTuple, Generic[ChunkT]):
    """What a StreamSpikesResponse or a GetUnitSpikeTrainsResponse says."""

    revision: str
    spike_count: int
    chunks: list[CutChunk[ChunkT]]


def cut_spikes(data: bytes) -> CutAnswer[chunks_pb.SpikeChunk]:
    """Parse a StreamSpikesResponse.

    Raises
    ------
    MalformedMessageError
        It is not one.
    """
    return _cut_answer(data, pb.StreamSpikesResponse, chunks_pb.SpikeChunk)


def cut_trains(data: bytes) -> CutAnswer[chunks_pb.TrainChunk]:
    """Parse a GetUnitSpikeTrainsResponse.

    Raises
    ------
    MalformedMessageError
        It is not one.
    """
    return _cut_answer(data, pb.GetUnitSpikeTrainsResponse, chunks_pb.TrainChunk)


def _cut_answer(
    data: bytes,
    response: type[pb.StreamSpikesResponse] | type[pb.GetUnitSpikeTrainsResponse],
    chunk: type[ChunkT],
) -> CutAnswer[ChunkT]:
    rest, records = _cut(memoryview(data), (_CHUNKS,))
    answer = _parse(response, rest)
    odd: Iterable[Any] = answer.chunks
    chunks = [CutChunk[ChunkT](whole, {}) for whole in odd]
    chunks += [_cut_chunk(record, chunk) for _, record in records]
    return CutAnswer(answer.revision, answer.spike_count, chunks)


def _cut_chunk(record: memoryview, chunk: type[ChunkT]) -> CutChunk[ChunkT]:
    names = _PART_NAMES[chunk.DESCRIPTOR]
    rest, parts = _cut(record, names)
    # Of a field that comes twice the last one counts, here as in protobuf.
    return CutChunk(_parse(chunk, rest), {names[number]: part for number, part in parts})


def _part_names(chunk: Descriptor) -> dict[int, str]:
    return {
        field.number: field.name
        for field in chunk.fields
        if field.type == FieldDescriptor.TYPE_BYTES
    }


_PART_NAMES = {
    chunk.DESCRIPTOR: _part_names(chunk.DESCRIPTOR)
    for chunk in (chunks_pb.SpikeChunk, chunks_pb.TrainChunk)
}


def _cut(
    data: memoryview, wanted: Container[int]
) -> tuple[bytes | memoryview, list[tuple[int, memoryview]]]:
    """Take the wanted fields out; return what is left, and their numbers and contents.

    Only fields of the wire type of bytes and messages are taken. Nothing is taken out
    of a message that is odd: has groups, is damaged, or spends bytes without need.
    """
    left: list[memoryview] = []
    taken: list[tuple[int, memoryview]] = []
    at = kept = 0
    try:
        while at < len(data):
            start = at
            tag, at = _varint(data, at, _LONGEST_TAG)
            number, wire_type = tag >> 3, tag & 7
            if wire_type == _LENGTH:
                length, at = _varint(data, at, _LONGEST_TAG)
                content, at = data[at : at + length], at + length
                if number in wanted:
                    left.append(data[kept:start])
                    taken.append((number, content))
                    kept = at
            elif wire_type == _VARINT:
                _, at = _varint(data, at, _LONGEST_VALUE)
            elif wire_type == _FIXED64:
                at += 8
            elif wire_type == _FIXED32:
                at += 4
            else:
                return data, []
    except IndexError:
        return data, []
    if at > len(data):
        return data, []
    return b"".join([*left, data[kept:]]), taken


def _varint(data: memoryview, at: int, longest: int) -> tuple[int, int]:
    """Return a number and where it ends; IndexError if it does not end in time."""
    byte = data[at]
    if byte < 0x80:
        return byte, at + 1
    value = shift = 0
    for position in range(at, at + longest):
        byte = data[position]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position + 1
        shift += 7
    raise IndexError


def _parse(kind: type[MessageT], data: bytes | memoryview) -> MessageT:
    try:
        return kind.FromString(bytes(data))
    except DecodeError as error:
        raise MalformedMessageError(
            f"the server sent bytes that are not a {kind.DESCRIPTOR.name}: {error}"
        ) from error
