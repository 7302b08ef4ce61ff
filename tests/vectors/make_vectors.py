"""Writes the test vectors: messages of spikes, and what is in them.

    python tests/vectors/make_vectors.py

Each vector is two files. ``NAME.binpb`` is a serialized message. ``NAME.json`` says of
which type, and either what a decoder must make of it or why it must be refused. Numbers
beyond 2**53 are strings there, for languages whose JSON numbers are doubles.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import zstandard
from google.protobuf.message import Message

from spikewire.v1 import spike_train_pb2 as chunks_pb
from spikewire.v1 import spike_train_service_pb2 as pb
from spikewire.wire.chunks import PLAIN, ZSTD, encode_spikes
from spikewire.wire.trains import encode_trains

FOLDER = Path(__file__).parent
INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1


class Vector(NamedTuple):
    """A message, and what is said of it."""

    name: str
    message: Message
    says: dict[str, Any]

    def text(self) -> str:
        """What the JSON file has."""
        said = {"message": self.message.DESCRIPTOR.full_name, **self.says}
        return json.dumps(_exact(said)) + "\n"


def vectors() -> Iterator[Vector]:
    """Make all vectors."""
    yield from spike_chunks()
    yield from train_chunks()
    yield from streams()
    yield from invalid_spike_chunks()
    yield from invalid_train_chunks()


def spike_chunks() -> Iterator[Vector]:
    """SpikeChunks of every width, with and without exceptions and zstd."""
    steps = np.tile([1, 0, 3, 7, 2, 30, 0, 11], 8)  # samples come twice, too
    narrow = np.cumsum(steps)
    units = np.arange(64) * 5 % 8
    yield spikes("spikes_one", [1234], [7])
    yield spikes("spikes_one_unit", narrow, np.full(64, 3))
    yield spikes("spikes_same_sample", np.full(9, 41), [3, 1, 2, 2, 0, 5, 4, 1, 1])
    yield spikes("spikes_same_sample_and_unit", [41, 41, 41], [6, 6, 6])
    yield spikes("spikes_negative", narrow - 200, units)
    yield spikes("spikes_segment", narrow, units, segment=4_000_000_000)
    for bits, factor in ((8, 1), (16, 100), (32, 10_000_000), (64, 10**12)):
        yield spikes(f"spikes_gaps_of_{bits}_bits", narrow * factor, units)
    for bits, factor in ((8, 1), (16, 1_000), (32, 500_000_000)):
        yield spikes(f"spikes_units_of_{bits}_bits", narrow, units * factor)
        yield spikes(f"spikes_units_of_{bits}_bits_zstd", narrow, units * factor, codec=ZSTD)
    yield spikes("spikes_units_above_a_base", narrow, units * 25 + 70_000)
    yield spikes("spikes_units_up_to_the_last", narrow, units + 2**32 - 8)
    for bits, factor, wide in ((8, 1, 300), (16, 1_000, 100_000), (32, 10_000_000, 2**40)):
        gaps = steps * factor
        gaps[[5, 40]] = wide, wide + 1
        samples = np.cumsum(gaps)
        yield spikes(f"spikes_exceptions_to_{bits}_bits", samples, units)
        yield spikes(f"spikes_exceptions_to_{bits}_bits_zstd", samples, units, codec=ZSTD)
    yield spikes(
        "spikes_extremes", [INT64_MIN, INT64_MIN, 0, INT64_MAX, INT64_MAX], [0, 1] * 2 + [2]
    )
    yield Vector("spikes_none", chunks_pb.SpikeChunk(), spikes_said([], [], 0))


def train_chunks() -> Iterator[Vector]:
    """TrainChunks of every width, with and without exceptions and zstd."""
    train = np.cumsum(np.tile([1, 0, 3, 7, 2, 30, 0, 11], 4))
    yield trains("trains_one_spike", [(9, [-5])])
    yield trains("trains_one_unit", [(2**32 - 1, train)])
    yield trains("trains_many_units", [(70_000 + unit, train[unit % 32 :]) for unit in range(40)])
    yield trains("trains_not_in_order_of_units", [(4, train), (1, train + 9), (3, train - 99)])
    yield trains("trains_empty_ones", [(0, []), (1, train), (2, []), (3, [5]), (4, [])])
    yield trains("trains_all_empty", [(0, []), (1, [])])
    yield trains("trains_same_samples", [(0, [7, 7, 7]), (1, [7, 7])])
    yield trains("trains_segment", [(0, train)], segment=3)
    yield trains("trains_extremes", [(0, [INT64_MIN, 0, INT64_MAX]), (1, [INT64_MAX]), (2, [0])])
    yield Vector("trains_none", chunks_pb.TrainChunk(), trains_said([], 0))
    for bits, factor, wide in ((8, 1, 300), (16, 1_000, 100_000), (32, 10_000_000, 2**40)):
        few = train * factor
        many = np.concatenate([few, few[-1] + wide + few])
        for codec, end in ((PLAIN, ""), (ZSTD, "_zstd")):
            yield trains(f"trains_gaps_of_{bits}_bits{end}", [(0, few), (1, few - 70)], codec=codec)
            some = [(0, few), (1, many), (2, many[3:])]
            yield trains(f"trains_exceptions_to_{bits}_bits{end}", some, codec=codec)
    yield trains("trains_gaps_of_64_bits", [(0, train * 10**12)])


def streams() -> Iterator[Vector]:
    """Whole answers: a first message that has no spikes, chunks that are cut by a window."""
    samples = np.cumsum(np.tile([1, 0, 3, 7, 2, 30, 0, 11], 8))
    units = np.arange(64) * 5 % 8
    window = slice(*np.searchsorted(samples, (40, 300)))
    yield Vector(
        "stream_first_message",
        pb.StreamSpikesResponse(revision="4f1e", spike_count=2**40),
        {"revision": "4f1e", "spike_count": 2**40, "chunks": []},
    )
    cuts = [window.start, 20, 21, window.stop]
    pieces = [
        spikes("", samples[start:stop], units[start:stop], segment=1)
        for start, stop in pairwise(cuts)
    ]
    yield Vector(
        "stream_window",
        pb.StreamSpikesResponse(chunks=[piece.message for piece in pieces]),
        {"revision": "", "spike_count": 0, "chunks": [piece.says for piece in pieces]},
    )
    pieces = [
        trains("", [(2, samples[:5]), (5, samples[:20])]),
        trains("", [(5, samples[20:]), (6, samples)]),
    ]
    yield Vector(
        "stream_trains_go_on_in_the_next_chunk",
        pb.GetUnitSpikeTrainsResponse(chunks=[piece.message for piece in pieces]),
        {"revision": "", "spike_count": 0, "chunks": [piece.says for piece in pieces]},
    )


def invalid_spike_chunks() -> Iterator[Vector]:
    """SpikeChunks that a decoder refuses."""
    good: dict[str, Any] = {
        "base_sample": 10,
        "spike_count": 3,
        "delta_width_bytes": 1,
        "deltas": b"\0\1\2",
        "unit_width_bytes": 1,
        "units": b"\0\1\2",
    }

    def bad(name: str, why: str, **changes: Any) -> Vector:
        return Vector(f"invalid_{name}", chunks_pb.SpikeChunk(**good | changes), {"invalid": why})

    def wide(position: int, gap: int, **changes: Any) -> dict[str, Any]:
        return changes | {
            "exception_count": 1,
            "exception_positions": position.to_bytes(4, "little"),
            "exception_gaps": gap.to_bytes(8, "little"),
        }

    beyond = "the sum is beyond 2**63 - 1"
    yield bad("deltas_short", "2 deltas for 3 spikes", deltas=b"\0\1")
    yield bad("units_long", "4 units for 3 spikes", units=b"\0\1\2\3")
    yield bad(
        "parts_shifted",
        "2 deltas and 4 units for 3 spikes: together as long as they should be",
        deltas=b"\0\1",
        units=b"\2\0\1\2",
    )
    yield bad("deltas_of_3_bytes", "no such width", delta_width_bytes=3, deltas=bytes(9))
    yield bad("units_of_3_bytes", "no such width", unit_width_bytes=3, units=bytes(9))
    yield bad(
        "too_many_spikes",
        "more than 262,144 spikes",
        spike_count=262_145,
        delta_width_bytes=0,
        deltas=b"",
        unit_width_bytes=0,
        units=b"",
    )
    yield bad("codec", "no such codec", codec=9)
    yield bad("first_gap", "the first gap is not 0", deltas=b"\1\1\2")
    yield bad("exceptions_missing", "1 exception is announced, none is there", exception_count=1)
    yield bad("exception_beyond_the_end", "position 3 of 3 spikes", **wide(3, 1))
    yield bad("exception_at_the_first", "the first gap is not 0", **wide(0, 1))
    yield bad("sum_beyond_int64", beyond, base_sample=INT64_MAX - 2)
    yield bad("sum_beyond_int64_by_an_exception", beyond, **wide(1, 2**63 - 12))
    yield bad("gap_beyond_int64", beyond, **wide(1, 2**64 - 1))
    yield bad(
        "sum_beyond_uint64",
        beyond,
        base_sample=0,
        delta_width_bytes=8,
        deltas=bytes(8) + b"\xff" * 16,
    )
    packed: dict[str, Any] = {"codec": ZSTD, "deltas": b"", "units": b""}
    for name, why, data in (
        ("zstd_damaged", "not a zstd frame", b"not a frame"),
        ("zstd_short", "5 bytes where the counts say 6", zstandard.compress(bytes(5))),
        ("zstd_long", "7 bytes where the counts say 6", zstandard.compress(bytes(7))),
        ("zstd_bomb", "16 MiB where the counts say 6 bytes", zstandard.compress(bytes(1 << 24))),
    ):
        yield bad(name, why, **packed, packed=data)


def invalid_train_chunks() -> Iterator[Vector]:
    """TrainChunks that a decoder refuses."""
    good: dict[str, Any] = {
        "unit_indices": [0, 1],
        "spike_counts": [2, 1],
        "base_samples": [5, 3],
        "delta_width_bytes": 1,
        "deltas": b"\0\1\0",
    }

    def bad(name: str, why: str, **changes: Any) -> Vector:
        message = chunks_pb.TrainChunk(**good | changes)
        return Vector(f"invalid_trains_{name}", message, {"invalid": why})

    yield bad("counts_missing", "2 units, 1 count", spike_counts=[3])
    yield bad("bases_missing", "2 units, 1 base sample", base_samples=[5])
    yield bad("deltas_short", "3 deltas for 4 spikes", spike_counts=[2, 2])
    yield bad("first_gap", "the first gap of the second train is not 0", deltas=b"\0\1\2")
    yield bad("sum_beyond_int64", "the sum is beyond 2**63 - 1", base_samples=[INT64_MAX, 3])
    yield bad(
        "too_many_spikes",
        "more than 262,144 spikes in all",
        spike_counts=[200_000, 200_000],
        delta_width_bytes=0,
        deltas=b"",
    )
    yield bad("codec", "no such codec", codec=9)


def spikes(
    name: str,
    samples: Any,
    units: Any,
    segment: int = 0,
    codec: chunks_pb.SpikeCodec.ValueType = PLAIN,
) -> Vector:
    """Make the vector of a SpikeChunk."""
    samples, units = np.asarray(samples, np.int64), np.asarray(units, np.int64)
    (chunk,) = encode_spikes(samples, units, segment, codec)
    return Vector(name, chunk, spikes_said(samples.tolist(), units.tolist(), segment))


def spikes_said(samples: list[int], units: list[int], segment: int) -> dict[str, Any]:
    """Say what is in a SpikeChunk."""
    return {"segment_index": segment, "samples": samples, "unit_indices": units}


def trains(
    name: str,
    of_units: list[tuple[int, Any]],
    segment: int = 0,
    codec: chunks_pb.SpikeCodec.ValueType = PLAIN,
) -> Vector:
    """Make the vector of a TrainChunk."""
    each = [(unit, np.asarray(train, np.int64)) for unit, train in of_units]
    (chunk,) = encode_trains(each, segment, codec)
    return Vector(
        name, chunk, trains_said([(unit, train.tolist()) for unit, train in each], segment)
    )


def trains_said(of_units: list[tuple[int, list[int]]], segment: int) -> dict[str, Any]:
    """Say what is in a TrainChunk."""
    said = [{"unit_index": unit, "samples": samples} for unit, samples in of_units]
    return {"segment_index": segment, "trains": said}


def _exact(value: Any) -> Any:
    match value:
        case dict():
            return {key: _exact(item) for key, item in value.items()}
        case list():
            return [_exact(item) for item in value]
        case int():
            return value if abs(value) <= 2**53 else str(value)
    return value


if __name__ == "__main__":
    for old in (*FOLDER.glob("*.json"), *FOLDER.glob("*.binpb")):
        old.unlink()
    for vector in vectors():
        (FOLDER / f"{vector.name}.json").write_text(vector.text(), "utf-8")
        (FOLDER / f"{vector.name}.binpb").write_bytes(vector.message.SerializeToString())
