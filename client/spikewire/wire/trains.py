"""TrainChunk: spike trains unit by unit, as the comments of spike_train.proto say."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from spikewire.core.errors import InvalidValueError, MalformedMessageError
from spikewire.v1 import spike_train_pb2 as pb
from spikewire.wire.gaps import (
    MAX_CHUNK_SPIKES,
    NO_PARTS,
    PLAIN,
    ZSTD,
    ChunkParts,
    decode_samples,
    encode_gaps,
    integrate,
    pack_parts,
    read_parts,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from spikewire.wire.cutting import Parts
    from spikewire.wire.gaps import Codec, Int64Array

MAX_CHUNK_TRAINS = 65_536
"""How many trains `encode_trains` puts into one chunk at most."""


_LONG_TRAIN = 2048
"""From how many spikes a train on average it is faster to decode them one by one."""


class _Piece(NamedTuple):
    unit_index: int
    samples: NDArray[np.integer[Any]]


def encode_trains(
    trains: Iterable[tuple[int, NDArray[np.integer[Any]]]],
    segment_index: int = 0,
    codec: Codec = PLAIN,
    base: int = 0,
) -> Iterator[pb.TrainChunk]:
    """Pack the trains of many units of one segment into chunks.

    Parameters
    ----------
    trains : iterable of (int, ndarray of int64 or uint32)
        Unit index and ascending samples, in the order in which they shall
        come; read one by one, so a generator keeps memory low.
    segment_index : int
        The segment that the spikes are in.
    codec : SpikeCodec
        `PLAIN`, or `ZSTD` for slow links.
    base : int
        Added to every sample: narrow samples are encoded twice as fast.

    Yields
    ------
    TrainChunk
        At most 262,144 spikes each; a longer train goes on in the next one.

    Raises
    ------
    InvalidValueError
        The samples of a train descend.
    """
    pieces: list[_Piece] = []
    room = MAX_CHUNK_SPIKES
    for unit_index, samples in trains:
        start = 0
        while True:
            piece = _Piece(unit_index, samples[start : start + room])
            pieces.append(piece)
            start += len(piece.samples)
            room -= len(piece.samples)
            if room == 0 or len(pieces) == MAX_CHUNK_TRAINS:
                yield _encode_chunk(pieces, segment_index, codec, base)
                pieces = []
                room = MAX_CHUNK_SPIKES
            if start == len(samples):
                break
    if pieces:
        yield _encode_chunk(pieces, segment_index, codec, base)


def train_counts(chunk: pb.TrainChunk) -> tuple[list[int], list[int]]:
    """Return the unit index of each train of a chunk, and its number of spikes.

    Raises
    ------
    MalformedMessageError
        The two differ in length, or the spikes are more than a chunk may hold.
    """
    unit_indices, counts = list(chunk.unit_indices), list(chunk.spike_counts)
    if not len(unit_indices) == len(counts) == len(chunk.base_samples):
        raise MalformedMessageError(
            f"a chunk of trains has {len(unit_indices)} units, {len(counts)} spike counts "
            f"and {len(chunk.base_samples)} base samples"
        )
    if sum(counts) > MAX_CHUNK_SPIKES:
        raise MalformedMessageError(
            f"a chunk says it holds {sum(counts)} spikes; at most {MAX_CHUNK_SPIKES} are legal"
        )
    return unit_indices, counts


def decode_trains(
    chunk: pb.TrainChunk, trains: Sequence[Int64Array], cut: Parts = NO_PARTS
) -> None:
    """Decode one chunk into arrays that the caller has allocated.

    Parameters
    ----------
    chunk : TrainChunk
        What came over the wire.
    trains : sequence of ndarray of int64
        One for each train, as long as `train_counts` says; filled with its samples.
    cut : mapping, optional
        The fields that `cut_trains` took out of the chunk.

    Raises
    ------
    MalformedMessageError
        The chunk breaks a rule of its format.
    """
    parts = read_parts(chunk, sum(train.size for train in trains), 0, cut)
    filled = [place for place, train in enumerate(trains) if train.size]
    bases = [chunk.base_samples[place] for place in filled]
    trains = [trains[place] for place in filled]
    if len(trains) == 1:
        decode_samples(parts, bases[0], trains[0])
    elif sum(train.size for train in trains) < len(trains) * _LONG_TRAIN:
        if trains:
            _decode_many(parts, np.array(bases, dtype=np.int64), trains)
    else:
        _decode_each(parts, bases, trains)


def _decode_each(parts: ChunkParts, bases: Sequence[int], trains: Sequence[Int64Array]) -> None:
    ends = np.cumsum([train.size for train in trains])
    exceptions = [0, *np.searchsorted(parts.positions, ends).tolist()]
    start = 0
    for place, (base, train) in enumerate(zip(bases, trains, strict=True)):
        stop = start + train.size
        some = slice(exceptions[place], exceptions[place + 1])
        decode_samples(
            ChunkParts(
                parts.deltas[start:stop] if parts.deltas is not None else None,
                None,
                parts.positions[some] - start,
                parts.gaps[some],
            ),
            base,
            train,
        )
        start = stop


def _decode_many(parts: ChunkParts, bases: Int64Array, trains: Sequence[Int64Array]) -> None:
    counts = np.array([train.size for train in trains], dtype=np.int64)
    ends = np.cumsum(counts)
    starts = ends - counts
    first_gaps = parts.deltas[starts] if parts.deltas is not None else np.zeros(1, np.uint8)
    if np.any(first_gaps) or _meet(starts, parts.positions):
        raise MalformedMessageError("the first gap of a train is not 0")
    # One sum over all trains, modulo 2**64; each train then is moved to its base on its
    # way to where it belongs.
    sums = np.empty(ends[-1], dtype=np.int64)
    integrate(parts, 0, sums)
    moves = bases - sums[starts]
    for train, start, move in zip(trains, starts.tolist(), moves, strict=True):
        np.add(sums[start : start + train.size], move, out=train)
    # A sum beyond int64 has wrapped to a smaller number; see decode_samples.
    if np.any(sums[ends - 1] + moves < bases) or (
        parts.is_wide and any(np.any(train[1:] < train[:-1]) for train in trains)
    ):
        raise MalformedMessageError("the samples of a train add up to more than 2**63 - 1")


def _meet(numbers: Int64Array, ascending: Int64Array) -> bool:
    """Whether a number is among the ascending ones."""
    places = np.searchsorted(ascending, numbers)
    within = places < ascending.size
    return bool(np.any(ascending[places[within]] == numbers[within]))


def _encode_chunk(
    pieces: Sequence[_Piece], segment_index: int, codec: Codec, base: int
) -> pb.TrainChunk:
    counts = [len(piece.samples) for piece in pieces]
    if len(pieces) == 1:
        ((_, samples),) = pieces
        starts = [0] if len(samples) else []
    else:
        samples = np.concatenate([piece.samples for piece in pieces])
        ends = accumulate(counts)
        starts = [end - count for end, count in zip(ends, counts, strict=True) if count]
    gaps = encode_gaps(_gaps(samples, starts))
    bases = [int(piece.samples[0]) + base if len(piece.samples) else 0 for piece in pieces]
    chunk = pb.TrainChunk(
        segment_index=segment_index,
        unit_indices=[piece.unit_index for piece in pieces],
        spike_counts=counts,
        base_samples=bases,
        delta_width_bytes=gaps.width_bytes,
        exception_count=gaps.exception_count,
    )
    chunk.deltas = gaps.deltas
    chunk.exception_positions = gaps.exception_positions
    chunk.exception_gaps = gaps.exception_gaps
    if codec == ZSTD:
        pack_parts(chunk)
    return chunk


def _gaps(
    samples: NDArray[np.integer[Any]], starts: Sequence[int]
) -> NDArray[np.unsignedinteger[Any]]:
    """Return the gap of each sample to the one before it; 0 where a train starts."""
    if samples.dtype != np.uint32:
        samples = samples.astype(np.int64, copy=False)
    descends = samples[1:] < samples[:-1]
    if len(starts) > 1:
        descends[np.array(starts[1:]) - 1] = False  # the next train may begin anywhere
    if descends.any():
        raise InvalidValueError("the samples of a train must ascend")
    # Modulo 2**32 or 2**64 the differences are exact as unsigned numbers.
    unsigned = samples if samples.dtype == np.uint32 else samples.view(np.uint64)
    gaps = np.empty_like(unsigned)
    np.subtract(unsigned[1:], unsigned[:-1], out=gaps[1:])
    gaps[starts] = 0
    return gaps
