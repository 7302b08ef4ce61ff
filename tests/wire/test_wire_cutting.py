"""Messages that are cut by hand mean what protobuf says that they mean."""

from __future__ import annotations

import numpy as np
import pytest
from google.protobuf.message import DecodeError
from hypothesis import example, given
from hypothesis import strategies as st

from spikewire.core.errors import MalformedMessageError
from spikewire.v1 import spike_train_pb2 as chunks_pb
from spikewire.v1 import spike_train_service_pb2 as pb
from spikewire.wire.chunks import ZSTD, decode_spikes, encode_spikes
from spikewire.wire.cutting import cut_spikes, cut_trains
from spikewire.wire.trains import decode_trains, encode_trains, train_counts

NOTHING = st.nothing()
ANSWERS = {
    cut_spikes: pb.StreamSpikesResponse,
    cut_trains: pb.GetUnitSpikeTrainsResponse,
}


def varint(value: int, padding: int = 0) -> bytes:
    """The bytes of a number, with more of them than needed if wanted."""
    groups = [value >> shift & 0x7F for shift in range(0, max(value.bit_length(), 1), 7)]
    groups += [0] * padding
    return bytes([group | 0x80 for group in groups[:-1]] + groups[-1:])


@st.composite
def fields(draw, inner=NOTHING):
    """One field of a message, known or not, of any wire type, tidy or not."""
    number = draw(st.one_of(st.integers(1, 16), st.integers(0, 2**29 + 5)))
    wire_type = draw(st.sampled_from([0, 1, 2, 2, 2, 3, 5, 7]))
    tag = varint(number << 3 | wire_type, draw(st.sampled_from([0, 0, 0, 1, 6])))
    match wire_type:
        case 0:
            return tag + varint(draw(st.integers(0, 2**64 - 1)), draw(st.sampled_from([0, 0, 1])))
        case 1:
            return tag + draw(st.binary(min_size=8, max_size=8))
        case 2:
            content = draw(st.one_of(st.binary(max_size=12), inner))
            return tag + varint(len(content), draw(st.sampled_from([0, 0, 0, 1, 9]))) + content
        case 3:
            return tag + varint(number << 3 | 4)
        case 5:
            return tag + draw(st.binary(min_size=4, max_size=4))
    return tag


chunks = st.lists(fields(), max_size=8).map(b"".join)
messages = st.lists(
    st.one_of(fields(chunks), chunks.map(lambda c: b"\n" + varint(len(c)) + c)), max_size=6
).map(b"".join)


@pytest.mark.parametrize("cut", ANSWERS)
@given(data=st.one_of(messages, st.binary(max_size=60)))
@example(data=b"\n\x05\x18\x03\x42\x02a")  # a part longer than its chunk
@example(data=b"\n\x06\x42\x01a\x42\x01b")  # of a part that comes twice the last counts
@example(data=b"\x12\x01\xff")  # a revision that is not Unicode
@example(data=b"\n\x00\x80")
def test_what_is_cut_is_what_protobuf_parses(cut, data):
    try:
        expected = ANSWERS[cut].FromString(data)
    except DecodeError:
        with pytest.raises(MalformedMessageError):
            cut(data)
        return
    answer = cut(data)
    assert (answer.revision, answer.spike_count) == (expected.revision, expected.spike_count)
    assert len(answer.chunks) == len(expected.chunks)
    for (chunk, parts), whole in zip(answer.chunks, expected.chunks, strict=True):
        for name, part in parts.items():
            assert not getattr(chunk, name)
            setattr(chunk, name, bytes(part))
        assert chunk.SerializeToString(deterministic=True) == whole.SerializeToString(
            deterministic=True
        )


@pytest.mark.parametrize("codec", [0, ZSTD])
def test_parts_of_ordinary_messages_are_not_copied(codec):
    samples = np.arange(0, 5000, 5)
    (chunk,) = encode_spikes(samples, samples % 3, 0, codec)
    data = pb.StreamSpikesResponse(chunks=[chunk], revision="r").SerializeToString()
    ((rest, parts),) = cut_spikes(data).chunks
    assert all(part.obj is data for part in parts.values())
    assert rest.ByteSize() < 20
    decoded, units = np.empty_like(samples), np.empty_like(samples)
    decode_spikes(rest, decoded, units, 3, parts)
    np.testing.assert_array_equal(decoded, samples)
    np.testing.assert_array_equal(units, samples % 3)


def test_trains_are_decoded_from_parts():
    trains = [np.arange(0, 10**6, 1000), np.array([5, 2**40]), np.empty(0, np.int64)]
    (chunk,) = encode_trains(enumerate(trains))
    data = pb.GetUnitSpikeTrainsResponse(chunks=[chunk]).SerializeToString()
    ((rest, parts),) = cut_trains(data).chunks
    decoded = [np.empty(count, np.int64) for count in train_counts(rest)[1]]
    decode_trains(rest, decoded, parts)
    for train, expected in zip(decoded, trains, strict=True):
        np.testing.assert_array_equal(train, expected)


def test_a_part_that_was_cut_out_is_checked_like_any_other():
    chunk = chunks_pb.SpikeChunk(spike_count=2, delta_width_bytes=1)
    with pytest.raises(MalformedMessageError, match="bytes of deltas"):
        decode_spikes(chunk, np.empty(2, np.int64), np.empty(2, np.int64), 1, {"deltas": b"\0"})
