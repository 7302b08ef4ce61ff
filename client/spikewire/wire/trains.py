"""TrainChunk: spike trains unit by unit, as the comments of spike_train.proto say."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from spikewire.core.errors import InvalidValueError, MalformedMessageError
from spikewire.v1 import spike_train_pb2 as pb
from spikewire.wire.gaps import (
    MAX_CHUNK_SPIKES,
    PLAIN,
    ZSTD,
    compress,
    encode_gaps,
    integrate,
    read_parts,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from spikewire.wire.gaps import Codec, Int64Array

MAX_CHUNK_TRAINS = 65_536
"""How many trains `encode_trains` puts into one chunk at most."""


class _Piece(NamedTuple):
    unit_index: int
    samples: Int64Array


def encode_trains(
    trains: Iterable[tuple[int, Int64Array]],
    segment_index: int = 0,
    codec: Codec = PLAIN,
) -> Iterator[pb.TrainChunk]:
    """Pack the trains of many units of one segment into chunks.

    Parameters
    ----------
    trains : iterable of (int, ndarray of int64)
        Unit index and ascending samples, in the order in which they shall
        come; read one by one, so a generator keeps memory low.
    segment_index : int
        The segment that the spikes are in.
    codec : SpikeCodec
        `PLAIN`, or `ZSTD` for slow links.

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
                yield _encode_chunk(pieces, segment_index, codec)
                pieces = []
                room = MAX_CHUNK_SPIKES
            if start == len(samples):
                break
    if pieces:
        yield _encode_chunk(pieces, segment_index, codec)


def decode_trains(chunk: pb.TrainChunk, samples: Int64Array) -> tuple[Int64Array, Int64Array]:
    """Decode one chunk into a column that the caller has allocated.

    Parameters
    ----------
    chunk : TrainChunk
        What came over the wire.
    samples : ndarray of int64, shape (`train_spike_count(chunk)`,)
        Filled with the sample indices, one train after the other.

    Returns
    -------
    unit_indices, spike_counts : ndarray of int64, shape (trains,)
        The unit of each train, and how many of the samples are its.

    Raises
    ------
    MalformedMessageError
        The chunk breaks a rule of its format.
    """
    unit_indices = np.array(chunk.unit_indices, dtype=np.int64)
    counts = np.array(chunk.spike_counts, dtype=np.int64)
    bases = np.array(chunk.base_samples, dtype=np.int64)
    if not unit_indices.size == counts.size == bases.size:
        raise MalformedMessageError(
            f"a chunk of trains has {unit_indices.size} units, {counts.size} spike counts "
            f"and {bases.size} base samples"
        )
    parts = read_parts(chunk, int(counts.sum()))
    if not samples.size:
        return unit_indices, counts

    filled = counts > 0
    ends = np.cumsum(counts)[filled]
    starts = ends - counts[filled]
    bases = bases[filled]
    first_gaps = np.zeros(starts.size, np.uint64) if parts.deltas is None else parts.deltas[starts]
    if np.any(first_gaps) or np.any(np.isin(starts, parts.positions)):
        raise MalformedMessageError("the first gap of a train is not 0")
    # One sum over all trains, modulo 2**64; then every train is moved to its base.
    integrate(parts, 0, samples)
    samples += np.repeat(bases - samples[starts], counts[filled])
    # A sum beyond int64 has wrapped to a smaller number; see decode_spikes.
    if np.any(samples[ends - 1] < bases) or (parts.is_wide and _descends(samples, starts)):
        raise MalformedMessageError("the samples of a train add up to more than 2**63 - 1")
    return unit_indices, counts


def train_spike_count(chunk: pb.TrainChunk) -> int:
    """Return how many spikes a chunk says it holds, in all its trains.

    Raises
    ------
    MalformedMessageError
        They are more than a chunk may hold.
    """
    count = sum(chunk.spike_counts)
    if count > MAX_CHUNK_SPIKES:
        raise MalformedMessageError(
            f"a chunk says it holds {count} spikes; at most {MAX_CHUNK_SPIKES} are legal"
        )
    return count


def _descends(samples: Int64Array, starts: Int64Array) -> bool:
    descends = samples[1:] < samples[:-1]
    descends[starts[1:] - 1] = False  # the next train may begin anywhere
    return bool(descends.any())


def _encode_chunk(pieces: Sequence[_Piece], segment_index: int, codec: Codec) -> pb.TrainChunk:
    samples = np.concatenate([piece.samples for piece in pieces], dtype=np.int64)
    counts = np.array([len(piece.samples) for piece in pieces])
    starts = (np.cumsum(counts) - counts)[counts > 0]
    bases = np.zeros(len(pieces), dtype=np.int64)
    bases[counts > 0] = samples[starts]

    if _descends(samples, starts):
        raise InvalidValueError("the samples of a train must ascend")
    differences = np.zeros(samples.size, dtype=np.uint64)
    np.subtract(samples[1:].view(np.uint64), samples[:-1].view(np.uint64), out=differences[1:])
    differences[starts] = 0
    gaps = encode_gaps(differences)

    chunk = pb.TrainChunk(
        segment_index=segment_index,
        unit_indices=[piece.unit_index for piece in pieces],
        spike_counts=counts.tolist(),
        base_samples=bases.tolist(),
        delta_width_bytes=gaps.width_bytes,
        exception_count=gaps.exception_count,
        codec=codec,
    )
    if codec == ZSTD:
        chunk.packed = compress((gaps.deltas, gaps.exception_positions, gaps.exception_gaps))
    else:
        chunk.deltas = gaps.deltas
        chunk.exception_positions = gaps.exception_positions
        chunk.exception_gaps = gaps.exception_gaps
    return chunk
