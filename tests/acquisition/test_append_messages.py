"""AppendSpikesRequest is taken apart as protobuf does it; what is no batch is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikewire.core.errors import InvalidValueError, MalformedMessageError, SegmentIndexError
from spikewire.v1 import acquisition_service_pb2 as pb
from spikewire.v1.spike_train_pb2 import SpikeChunk
from spikewire_server.acquisition.append_messages import (
    Batch,
    BatchChecker,
    decode_batch,
    split,
)
from spikewire_server.acquisition.roster import Roster

CHUNKS = st.builds(
    SpikeChunk,
    segment_index=st.integers(0, 3),
    base_sample=st.integers(-(2**63), 2**63 - 1),
    spike_count=st.integers(0, 300),
    units=st.binary(max_size=300),
)
REQUESTS = st.builds(
    pb.AppendSpikesRequest,
    chunks=st.lists(CHUNKS, max_size=4),
    name=st.text(max_size=10),
    epoch=st.integers(0, 2**64 - 1),
    sequence=st.integers(0, 2**64 - 1),
    segment_started=st.none() | st.builds(pb.SegmentStarted, t_start_seconds=st.floats()),
)


@given(REQUESTS)
def test_the_parts_are_the_message(request_):
    batches, rest = split(request_.SerializeToString())
    for batch, chunk in zip(batches, request_.chunks, strict=True):
        assert SpikeChunk.FromString(batch.payload[batch.chunk_offset :]) == chunk
        assert list(pb.AppendSpikesRequest.FromString(batch.payload).chunks) == [chunk]
        assert list(pb.FollowSpikesResponse.FromString(batch.payload).chunks) == [chunk]
    assert rest.SerializeToString() == without_chunks(request_).SerializeToString()


def without_chunks(request_):
    copy = pb.AppendSpikesRequest()
    copy.CopyFrom(request_)
    copy.ClearField("chunks")
    return copy


@given(st.binary(max_size=60))
def test_any_bytes_are_a_message_or_malformed(data):
    try:
        batches, rest = split(data)
    except MalformedMessageError:
        return
    parts = b"".join(batch.payload for batch in batches) + rest.SerializeToString()
    assert pb.AppendSpikesRequest.FromString(parts).sequence == rest.sequence


@pytest.mark.parametrize("data", [b"\n\x03\x18\x01", b"\x9a\x06\x02a", b"\x95\x06abc"])
def test_a_message_that_ends_too_early_is_malformed(data):
    with pytest.raises(MalformedMessageError, match="middle"):
        split(data)


def test_unknown_fields_are_left_to_protobuf():
    unknown = b"\x9a\x06\x03abc" + b"\x95\x06\x01\x02\x03\x04" + b"\x91\x06" + bytes(8)
    batches, rest = split(unknown + pb.AppendSpikesRequest(sequence=7).SerializeToString())
    assert (batches, rest.sequence) == ([], 7)


def roster(units=4, segments=1):
    announced = Roster()
    announced.add_units(1, np.arange(units), 100)
    for number in range(segments):
        announced.start_segment(2 + number, None)
    return announced


def check(chunk, announced=None):
    payload = pb.AppendSpikesRequest(chunks=[chunk]).SerializeToString()
    (batch,), _ = split(payload)
    return BatchChecker().check(batch, announced or roster())


def test_what_a_batch_holds(batch):
    assert check(batch([-5, -5, 0, 1000], [0, 3, 1, 0])) == (0, 4, -5, 1000)
    assert check(batch([7], [2], segment=1), roster(segments=2)) == (1, 1, 7, 7)
    wide = batch([-(2**62), 0, 2**62], [0, 1, 2])
    assert check(wide) == (0, 3, -(2**62), 2**62)


def test_a_batch_reads_back(batch):
    chunk = batch([1, 5, 5], [2, 0, 1], segment=3)
    samples, units, segment = decode_batch(
        pb.AppendSpikesRequest(chunks=[chunk]).SerializeToString()
    )
    assert (samples.tolist(), units.tolist(), segment) == ([1, 5, 5], [2, 0, 1], 3)


def test_an_empty_batch_is_refused():
    with pytest.raises(InvalidValueError, match="empty"):
        check(SpikeChunk())


def test_a_unit_that_was_not_announced_is_refused(batch):
    with pytest.raises(MalformedMessageError, match="index 4"):
        check(batch([1], [4]))
    with pytest.raises(MalformedMessageError, match="index 9"):
        check(batch([1, 2], [0, 9]))


def test_a_segment_that_was_not_started_is_refused(batch):
    with pytest.raises(SegmentIndexError, match="segment 1 was not started"):
        check(batch([1], [0], segment=1))


def test_too_many_spikes_are_refused():
    with pytest.raises(InvalidValueError, match="262144"):
        check(SpikeChunk(spike_count=262_145))


def test_samples_beyond_int64_are_refused():
    with pytest.raises(MalformedMessageError, match="2\\*\\*63"):
        check(
            SpikeChunk(base_sample=2**63 - 2, spike_count=3, delta_width_bytes=1, deltas=b"\0\1\1")
        )
    with pytest.raises(MalformedMessageError, match="2\\*\\*63"):
        check(
            SpikeChunk(
                base_sample=2**62,
                spike_count=3,
                delta_width_bytes=8,
                deltas=b"".join(gap.to_bytes(8, "little") for gap in (0, 2**63, 2**63)),
            )
        )


def test_a_first_gap_is_refused():
    with pytest.raises(MalformedMessageError, match="first gap"):
        check(SpikeChunk(spike_count=2, delta_width_bytes=1, deltas=b"\1\1"))


def test_a_batch_that_is_no_chunk_is_refused():
    with pytest.raises(MalformedMessageError):
        BatchChecker().check(Batch(b"\x0a\x02\xff\xff", 2), roster())
