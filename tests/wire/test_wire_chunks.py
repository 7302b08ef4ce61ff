"""SpikeChunk and TrainChunk: what is decoded is what was encoded, or an error."""

from __future__ import annotations

import numpy as np
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from spikewire.core.errors import InvalidValueError, MalformedMessageError
from spikewire.v1 import spike_train_pb2 as pb
from spikewire.wire.chunks import MAX_CHUNK_SPIKES, PLAIN, ZSTD, decode_spikes, encode_spikes
from spikewire.wire.trains import MAX_CHUNK_TRAINS, decode_trains, encode_trains, train_counts

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1

# Runs of narrow gaps with a wide one here and there: every width, with exceptions.
gaps = st.lists(
    st.one_of(
        st.integers(0, 3),
        st.integers(0, 300),
        st.integers(0, 70_000),
        st.integers(0, 2**33),
    ),
    max_size=60,
)
starts = st.integers(-(2**62), 2**61)
codecs = st.sampled_from([PLAIN, ZSTD])


@st.composite
def trains(draw):
    steps = draw(gaps)
    return draw(starts) + np.cumsum(np.array(steps, dtype=np.int64))


def decode_all(chunks, unit_count=2**32):
    samples, units = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for chunk in chunks:
        chunk = pb.SpikeChunk.FromString(chunk.SerializeToString())
        samples.append(np.empty(chunk.spike_count, np.int64))
        units.append(np.empty(chunk.spike_count, np.int64))
        decode_spikes(chunk, samples[-1], units[-1], unit_count)
    return np.concatenate(samples), np.concatenate(units)


def decode_all_trains(chunks):
    found: dict[int, list] = {}
    for chunk in chunks:
        units, counts = train_counts(chunk)
        pieces = [np.empty(count, np.int64) for count in counts]
        decode_trains(chunk, pieces)
        for unit, piece in zip(units, pieces, strict=True):
            found.setdefault(unit, []).append(piece)
    return {unit: np.concatenate(pieces) for unit, pieces in found.items()}


@given(samples=trains(), codec=codecs, data=st.data())
def test_spikes_round_trip(samples, codec, data):
    highest = data.draw(st.sampled_from([0, 200, 300, 70_000, 2**32 - 1]))
    units = np.array(
        data.draw(
            st.lists(
                st.integers(max(highest - 70_000, 0), highest),
                min_size=len(samples),
                max_size=len(samples),
            )
        ),
        dtype=np.int64,
    )
    chunks = list(encode_spikes(samples, units, 7, codec))
    assert all(chunk.segment_index == 7 for chunk in chunks)
    decoded_samples, decoded_units = decode_all(chunks)
    np.testing.assert_array_equal(decoded_samples, samples)
    np.testing.assert_array_equal(decoded_units, units)


@given(many=st.lists(trains(), max_size=6), codec=codecs)
def test_trains_round_trip(many, codec):
    chunks = list(encode_trains(enumerate(many), 3, codec))
    assert all(chunk.segment_index == 3 for chunk in chunks)
    decoded = decode_all_trains(chunks)
    assert sorted(decoded) == list(range(len(many)))
    for unit, samples in enumerate(many):
        np.testing.assert_array_equal(decoded[unit], samples)


@given(samples=trains())
def test_comments_of_the_proto_are_enough_to_decode(samples):
    """The reference decoder that spike_train.proto gives to other languages."""
    for chunk in encode_spikes(samples, np.arange(len(samples)) % 5):
        width = chunk.delta_width_bytes
        count = chunk.spike_count
        gap = [0] * count
        if width:
            gap = [
                int.from_bytes(chunk.deltas[i * width : (i + 1) * width], "little")
                for i in range(count)
            ]
        for j in range(chunk.exception_count):
            position = int.from_bytes(chunk.exception_positions[4 * j : 4 * j + 4], "little")
            assert gap[position] == 0
            gap[position] = int.from_bytes(chunk.exception_gaps[8 * j : 8 * j + 8], "little")
        assert [chunk.base_sample + sum(gap[: i + 1]) for i in range(count)] == samples.tolist()


def test_no_spikes_make_no_chunk():
    assert list(encode_spikes(np.empty(0, np.int64), np.empty(0, np.int64))) == []


def test_one_spike_needs_no_bytes():
    (chunk,) = encode_spikes(np.array([-5]), np.array([9]))
    assert (chunk.deltas, chunk.units, chunk.base_sample, chunk.base_unit) == (b"", b"", -5, 9)
    assert [column.tolist() for column in decode_all([chunk])] == [[-5], [9]]


def test_extremes_of_int64():
    samples = np.array([INT64_MIN, INT64_MIN, 0, INT64_MAX, INT64_MAX])
    decoded, _ = decode_all(encode_spikes(samples, np.zeros(5, np.int64)))
    np.testing.assert_array_equal(decoded, samples)
    assert decode_all_trains(encode_trains([(0, samples), (1, samples)]))[1].tolist() == (
        samples.tolist()
    )


def test_long_segments_are_cut_and_every_chunk_stands_alone():
    samples = np.arange(2 * MAX_CHUNK_SPIKES + 10)
    chunks = list(encode_spikes(samples, samples % 3))
    assert [chunk.spike_count for chunk in chunks] == [MAX_CHUNK_SPIKES, MAX_CHUNK_SPIKES, 10]
    np.testing.assert_array_equal(decode_all(chunks[1:])[0], samples[MAX_CHUNK_SPIKES:])


def test_a_long_train_goes_on_in_the_next_chunk():
    long = np.arange(MAX_CHUNK_SPIKES + 5)
    chunks = list(encode_trains([(4, np.array([1, 2])), (5, long), (6, np.array([3]))]))
    assert [list(chunk.unit_indices) for chunk in chunks] == [[4, 5], [5, 6]]
    np.testing.assert_array_equal(decode_all_trains(chunks)[5], long)


def test_long_trains_keep_their_own_exceptions():
    steps = np.full(3000, 20)
    steps[17] = 2**40
    trains = {unit: np.cumsum(steps) + unit for unit in range(3)}
    chunks = list(encode_trains(trains.items()))
    assert [chunk.exception_count for chunk in chunks] == [3]
    for unit, train in decode_all_trains(chunks).items():
        np.testing.assert_array_equal(train, trains[unit])


def test_a_chunk_has_so_many_trains_at_most():
    none = np.empty(0, np.int64)
    chunks = encode_trains((unit, none) for unit in range(MAX_CHUNK_TRAINS + 1))
    assert [len(chunk.unit_indices) for chunk in chunks] == [MAX_CHUNK_TRAINS, 1]


def test_trains_are_read_one_chunk_ahead_only():
    read = []

    def source():
        for unit in range(5):
            read.append(unit)
            yield unit, np.arange(MAX_CHUNK_SPIKES)

    next(encode_trains(source()))
    assert read == [0]


def test_narrow_gaps_stay_narrow_beside_a_few_wide_ones():
    steps = np.full(10_000, 20)
    steps[[17, 4000]] = 2**40
    (chunk,) = encode_spikes(np.cumsum(steps), np.arange(10_000) % 200)
    assert (chunk.delta_width_bytes, chunk.unit_width_bytes, chunk.exception_count) == (1, 1, 2)
    assert chunk.ByteSize() < 20_100


def test_many_wide_gaps_are_no_exceptions():
    (chunk,) = encode_spikes(np.cumsum(np.full(1000, 300)), np.zeros(1000, np.int64))
    assert (chunk.delta_width_bytes, chunk.exception_count) == (2, 0)


def test_high_unit_indices_are_sent_above_a_base():
    (chunk,) = encode_spikes(np.arange(3), np.array([70_000, 70_001, 70_200]))
    assert (chunk.base_unit, chunk.unit_width_bytes) == (70_000, 1)


@pytest.mark.parametrize(
    ("samples", "units"),
    [
        ([3, 2], [0, 0]),
        ([INT64_MIN, 5, 4, INT64_MAX], [0, 0, 0, 0]),
        ([1, 2], [0]),
        ([1], [-1]),
        ([1], [2**32]),
    ],
)
def test_what_cannot_be_encoded_is_refused(samples, units):
    with pytest.raises(InvalidValueError):
        list(encode_spikes(np.array(samples), np.array(units)))


def test_descending_trains_are_refused():
    with pytest.raises(InvalidValueError, match="ascend"):
        list(encode_trains([(0, np.array([5])), (1, np.array([3, 2]))]))


def plain(**changes):
    fields = {
        "base_sample": 10,
        "spike_count": 3,
        "delta_width_bytes": 1,
        "deltas": b"\0\1\2",
        "unit_width_bytes": 1,
        "units": b"\0\1\2",
    } | changes
    return pb.SpikeChunk(**fields)


def exception(position, gap, **changes):
    return plain(
        exception_count=1,
        exception_positions=position.to_bytes(4, "little"),
        exception_gaps=gap.to_bytes(8, "little"),
        **changes,
    )


def wide_gaps(*gaps):
    return np.array(gaps, "<u8").tobytes()


def frame_that_states(size):
    """The header of a zstd frame, and nothing of what it announces."""
    return b"\x28\xb5\x2f\xfd\xe0" + size.to_bytes(8, "little")


def frame_without_size(data):
    stream = zstandard.ZstdCompressor().compressobj()
    return stream.compress(data) + stream.flush()


@pytest.mark.parametrize(
    ("chunk", "message"),
    [
        (plain(deltas=b"\0\1"), "bytes of deltas"),
        (plain(units=b"\0\1\2\3"), "bytes of units"),
        (plain(units=b"\0\1\3"), "index 3"),
        (plain(base_unit=1), "index 3"),
        (plain(base_unit=2**32 - 1), "units"),
        (plain(delta_width_bytes=3), "deltas of 3 bytes"),
        (plain(unit_width_bytes=8), "units of 8 bytes"),
        (plain(delta_width_bytes=0), "bytes of deltas"),
        (plain(codec=9), "codec 9"),
        (plain(packed=b"x"), "packed"),
        (plain(deltas=b"\1\1\2"), "first gap"),
        (plain(base_sample=INT64_MAX - 2), "add up"),
        (plain(spike_count=MAX_CHUNK_SPIKES + 1), "at most"),
        (plain(spike_count=2**32 - 1), "at most"),
        (plain(exception_count=1), "exception_positions"),
        (plain(exception_count=2**32 - 1), "exceptions"),
        (exception(3, 1), "ascending order"),
        (exception(0, 1), "first gap"),
        (exception(1, 2**64 - 1), "add up"),
        (exception(1, 2**63 - 12), "add up"),
        (plain(delta_width_bytes=8, deltas=bytes(8) + b"\xff" * 16, base_sample=0), "add up"),
        # Around the whole of 64 bits, and behind the base again.
        (plain(delta_width_bytes=8, deltas=wide_gaps(0, 2**63, 2**63 + 5)), "add up"),
        (
            plain(exception_count=2, exception_positions=b"\1\0\0\0" * 2, exception_gaps=bytes(16)),
            "ascending order",
        ),
        (plain(codec=ZSTD, packed=b"no zstd"), "damaged"),
        (plain(codec=ZSTD, packed=zstandard.compress(b"\0" * 7)), "7 bytes"),
        (plain(codec=ZSTD, packed=zstandard.compress(bytes(6)) + b"more"), "damaged"),
        (plain(codec=ZSTD, packed=zstandard.compress(bytes(10**8))), "100000000 bytes"),
        (plain(codec=ZSTD, packed=frame_that_states(2**62)), "from 4611686018427387904 bytes"),
        (
            pb.SpikeChunk(spike_count=3, codec=ZSTD, packed=frame_without_size(b"x")),
            "unpacks to 1 bytes",
        ),
    ],
)
def test_malformed_chunks_are_refused(chunk, message):
    samples, units = np.empty(3, np.int64), np.empty(3, np.int64)
    with pytest.raises(MalformedMessageError, match=message):
        decode_spikes(chunk, samples, units, unit_count=3)


def test_a_frame_that_does_not_state_its_size_is_bounded():
    packed = frame_without_size(bytes(10**8))
    with pytest.raises(MalformedMessageError):
        decode_spikes(
            plain(codec=ZSTD, packed=packed), np.empty(3, np.int64), np.empty(3, np.int64), 3
        )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"spike_counts": [2]}, "spike counts"),
        ({"base_samples": [0, 0, 0]}, "base samples"),
        ({"spike_counts": [2, 2]}, "bytes of deltas"),
        ({"deltas": b"\0\1\2"}, "first gap"),
        (
            {
                "exception_count": 1,
                "exception_positions": b"\2\0\0\0",
                "exception_gaps": b"\1" + bytes(7),
            },
            "first gap",
        ),
        ({"base_samples": [INT64_MAX, 0]}, "add up"),
        (
            {
                "spike_counts": [3, 1],
                "delta_width_bytes": 8,
                "deltas": wide_gaps(0, 2**63, 2**63 + 5, 0),
            },
            "add up",
        ),
        (
            {
                "exception_count": 1,
                "exception_positions": b"\1\0\0\0",
                "exception_gaps": b"\xff" * 8,
            },
            "add up",
        ),
    ],
)
def test_malformed_trains_are_refused(changes, message):
    fields = {
        "unit_indices": [0, 1],
        "spike_counts": [2, 1],
        "base_samples": [5, 3],
        "delta_width_bytes": 1,
        "deltas": b"\0\1\0",
    } | changes
    chunk = pb.TrainChunk(**fields)
    with pytest.raises(MalformedMessageError, match=message):
        decode_trains(chunk, [np.empty(count, np.int64) for count in train_counts(chunk)[1]])


def test_trains_say_no_more_than_a_chunk_holds():
    with pytest.raises(MalformedMessageError, match="at most"):
        train_counts(
            pb.TrainChunk(unit_indices=[0, 1], spike_counts=[2**32 - 1, 1], base_samples=[0, 0])
        )


@given(data=st.binary(max_size=200), count=st.integers(0, 300))
def test_noise_is_decoded_or_refused(data, count):
    try:
        chunk = pb.SpikeChunk.FromString(data)
    except Exception:
        chunk = pb.SpikeChunk(spike_count=count, delta_width_bytes=1, codec=ZSTD, packed=data)
    if chunk.spike_count > MAX_CHUNK_SPIKES:
        return
    samples = np.empty(chunk.spike_count, np.int64)
    try:
        decode_spikes(chunk, samples, np.empty_like(samples), 5)
    except MalformedMessageError:
        return
    assert np.all(np.diff(samples.astype(object)) >= 0)
