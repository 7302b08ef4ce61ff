"""SpikeChunk: spikes in time order, as the comments of spike_train.proto say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from spikewire.core.errors import InvalidValueError, MalformedMessageError
from spikewire.v1 import spike_train_pb2 as pb
from spikewire.wire.gaps import (
    MAX_CHUNK_SPIKES,
    NO_PARTS,
    PLAIN,
    UNSIGNED,
    ZSTD,
    decode_samples,
    encode_gaps,
    narrowest_width,
    pack_parts,
    read_parts,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from spikewire.wire.cutting import Parts
    from spikewire.wire.gaps import Codec, Int64Array

__all__ = ["MAX_CHUNK_SPIKES", "PLAIN", "ZSTD", "decode_spikes", "encode_spikes"]


def encode_spikes(
    samples: Int64Array,
    unit_indices: NDArray[np.integer[Any]],
    segment_index: int = 0,
    codec: Codec = PLAIN,
) -> Iterator[pb.SpikeChunk]:
    """Cut the spikes of one segment into chunks.

    Parameters
    ----------
    samples : ndarray of int64, shape (n,)
        Sample indices, ascending; they may be negative.
    unit_indices : ndarray of int, shape (n,)
        The unit of each spike, as a position in the sorting's unit ids.
    segment_index : int
        The segment that the spikes are in.
    codec : SpikeCodec
        `PLAIN`, or `ZSTD` for slow links.

    Yields
    ------
    SpikeChunk
        At most 262,144 spikes each; none at all if there are no spikes.

    Raises
    ------
    InvalidValueError
        The columns differ in length, the samples descend, or a unit index is
        negative or beyond 32 bits.
    """
    if len(samples) != len(unit_indices):
        raise InvalidValueError(
            f"there are {len(samples)} samples but {len(unit_indices)} unit indices"
        )
    for start in range(0, len(samples), MAX_CHUNK_SPIKES):
        stop = start + MAX_CHUNK_SPIKES
        yield _encode_chunk(samples[start:stop], unit_indices[start:stop], segment_index, codec)


def decode_spikes(
    chunk: pb.SpikeChunk,
    samples: Int64Array,
    unit_indices: Int64Array,
    unit_count: int,
    cut: Parts = NO_PARTS,
) -> None:
    """Decode one chunk into columns that the caller has allocated.

    Parameters
    ----------
    chunk : SpikeChunk
        What came over the wire.
    samples, unit_indices : ndarray of int64, shape (chunk.spike_count,)
        Filled with the sample index and the unit index of each spike.
    unit_count : int
        How many units the sorting has; unit indices must lie below it.
    cut : mapping, optional
        The fields that `cut_spikes` took out of the chunk.

    Raises
    ------
    MalformedMessageError
        The chunk breaks a rule of its format.
    """
    count = chunk.spike_count
    parts = read_parts(chunk, count, chunk.unit_width_bytes, cut)
    if not count:
        return
    decode_samples(parts, chunk.base_sample, samples)
    last_unit = chunk.base_unit + (int(parts.units.max()) if parts.units is not None else 0)
    if last_unit >= unit_count:
        raise MalformedMessageError(
            f"a chunk names the unit of index {last_unit}, but there are {unit_count} units"
        )
    if parts.units is None:
        unit_indices[...] = chunk.base_unit
    else:
        unit_indices[...] = parts.units
        if chunk.base_unit:
            unit_indices += chunk.base_unit


def _encode_chunk(
    samples: Int64Array, unit_indices: NDArray[np.integer[Any]], segment_index: int, codec: Codec
) -> pb.SpikeChunk:
    samples = np.ascontiguousarray(samples, dtype=np.int64)
    gaps = encode_gaps(ascending_gaps(samples))
    base_unit, unit_width, units = _encode_units(unit_indices)
    chunk = pb.SpikeChunk(
        segment_index=segment_index,
        base_sample=int(samples[0]),
        spike_count=samples.size,
        delta_width_bytes=gaps.width_bytes,
        unit_width_bytes=unit_width,
        base_unit=base_unit,
        exception_count=gaps.exception_count,
    )
    chunk.deltas = gaps.deltas
    chunk.units = units
    chunk.exception_positions = gaps.exception_positions
    chunk.exception_gaps = gaps.exception_gaps
    if codec == ZSTD:
        pack_parts(chunk)
    return chunk


def ascending_gaps(samples: Int64Array) -> NDArray[np.uint64]:
    """Return the gap of each sample to the one before it; the first is 0.

    Raises
    ------
    InvalidValueError
        A sample is smaller than the one before it.
    """
    if np.any(samples[1:] < samples[:-1]):
        raise InvalidValueError("the samples of a segment must ascend")
    gaps = np.empty(samples.size, dtype=np.uint64)
    gaps[:1] = 0
    # Modulo 2**64 the difference of two int64 is exact as an unsigned number.
    np.subtract(samples[1:].view(np.uint64), samples[:-1].view(np.uint64), out=gaps[1:])
    return gaps


def _encode_units(unit_indices: NDArray[np.integer[Any]]) -> tuple[int, int, bytes]:
    first, last = int(unit_indices.min()), int(unit_indices.max())
    if first < 0 or last >= 1 << 32:
        raise InvalidValueError(
            f"unit indices must lie between 0 and 2**32 - 1, not between {first} and {last}"
        )
    width = narrowest_width(last - first)
    if not width:
        return first, 0, b""
    if width == narrowest_width(last):
        return 0, width, unit_indices.astype(UNSIGNED[width]).tobytes()
    return first, width, (unit_indices - first).astype(UNSIGNED[width]).tobytes()
