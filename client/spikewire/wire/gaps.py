"""The part that SpikeChunk and TrainChunk share: gaps at their narrowest width.

A column of ascending samples travels as the gap of each spike to the one before
it, in as few bytes as the chunk allows; a few wide gaps among many narrow ones
travel beside them as exceptions.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
import zstandard

from spikewire.core.errors import MalformedMessageError
from spikewire.v1 import spike_train_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from spikewire.wire.cutting import Part, Parts

    Codec: TypeAlias = pb.SpikeCodec.ValueType
    Int64Array: TypeAlias = NDArray[np.int64]

MAX_CHUNK_SPIKES = 262_144
"""How many spikes one chunk holds at most."""

PLAIN = pb.SPIKE_CODEC_UNSPECIFIED
ZSTD = pb.SPIKE_CODEC_ZSTD

NO_PARTS: Parts = MappingProxyType({})
"""What was cut out of a chunk that is whole."""

_PART_NAMES = ("deltas", "units", "exception_positions", "exception_gaps")
UNSIGNED = {width: np.dtype(f"<u{width}") for width in (1, 2, 4, 8)}
_EXCEPTION_BYTES = 12  # a position of 4 bytes and a gap of 8
_PROBES = 2048
_INTEGRATE_BLOCK = 32_768  # int64 of one block stay in the second-level cache
_ZSTD_LEVEL = 1  # higher levels cost speed and save less than 5 %


class EncodedGaps(NamedTuple):
    """Gaps, ready for the fields of a chunk."""

    width_bytes: int
    deltas: bytes
    exception_count: int
    exception_positions: bytes
    exception_gaps: bytes


class ChunkParts(NamedTuple):
    """The parts of a chunk, unpacked, their lengths checked."""

    deltas: NDArray[np.unsignedinteger] | None  # None: all gaps are 0
    units: NDArray[np.unsignedinteger] | None  # None: all units are the base unit
    positions: Int64Array
    gaps: NDArray[np.uint64]

    @property
    def is_wide(self) -> bool:
        """Whether the gaps of one chunk may add up to more than 2**63."""
        if self.deltas is not None and self.deltas.itemsize == 8:
            return True
        # Gaps of up to 4 bytes, 2**18 of them, add up to less than 2**50.
        return self.gaps.size * int(self.gaps.max(initial=0)) >= 1 << 62


def narrowest_width(maximum: int) -> int:
    """Return how many bytes (0, 1, 2, 4 or 8) a value up to `maximum` needs."""
    bytes_needed = (maximum.bit_length() + 7) // 8
    return bytes_needed if bytes_needed < 3 else 4 if bytes_needed < 5 else 8


def encode_gaps(gaps: NDArray[np.unsignedinteger[Any]]) -> EncodedGaps:
    """Encode gaps at the width that costs the fewest bytes, exceptions included."""
    width = narrowest_width(int(gaps.max())) if gaps.size else 0
    cost, chosen, exception_count = gaps.size * width, width, 0
    probe = gaps[:: gaps.size // _PROBES + 1]
    for narrower in (1, 2, 4):
        if narrower >= width:
            break
        limit = gaps.dtype.type((1 << 8 * narrower) - 1)
        # A look at some gaps tells where a look at all of them would be in vain.
        exceptional = np.count_nonzero(probe > limit) * _EXCEPTION_BYTES
        if exceptional > 2 * probe.size * (width - narrower):
            continue
        count = int(np.count_nonzero(gaps > limit))
        if gaps.size * narrower + count * _EXCEPTION_BYTES < cost:
            cost, chosen, exception_count = (
                gaps.size * narrower + count * _EXCEPTION_BYTES,
                narrower,
                count,
            )
    if chosen == 0:
        return EncodedGaps(0, b"", 0, b"", b"")
    deltas = gaps.astype(UNSIGNED[chosen])
    if not exception_count:
        return EncodedGaps(chosen, deltas.tobytes(), 0, b"", b"")
    positions = np.flatnonzero(gaps > gaps.dtype.type((1 << 8 * chosen) - 1))
    deltas[positions] = 0
    return EncodedGaps(
        chosen,
        deltas.tobytes(),
        exception_count,
        positions.astype("<u4").tobytes(),
        gaps[positions].astype("<u8").tobytes(),
    )


def pack_parts(chunk: pb.SpikeChunk | pb.TrainChunk) -> None:
    """Pack the parts of a plain chunk into one zstd frame that states its size, in place."""
    names = [name for name in _PART_NAMES if name in chunk.DESCRIPTOR.fields_by_name]
    parts = b"".join(getattr(chunk, name) for name in names)
    chunk.packed = zstandard.ZstdCompressor(level=_ZSTD_LEVEL).compress(parts)
    chunk.codec = ZSTD
    for name in names:
        setattr(chunk, name, b"")


def read_parts(
    chunk: pb.SpikeChunk | pb.TrainChunk, spike_count: int, unit_width: int, cut: Parts
) -> ChunkParts:
    """Unpack the parts of a chunk and check them against its counts.

    Parameters
    ----------
    chunk : SpikeChunk or TrainChunk
        What came over the wire.
    spike_count, unit_width : int
        How many spikes it says it has, and the bytes of one of its units.
    cut : mapping
        Fields that were cut out of the chunk, by name.

    Raises
    ------
    MalformedMessageError
        The codec or a width is unknown, a length differs from what the counts
        say, or an exception lies out of place.
    """
    delta_width = chunk.delta_width_bytes
    exception_count = chunk.exception_count
    if spike_count > MAX_CHUNK_SPIKES:
        raise MalformedMessageError(
            f"a chunk says it holds {spike_count} spikes; at most {MAX_CHUNK_SPIKES} are legal"
        )
    if delta_width not in (0, 1, 2, 4, 8):
        raise MalformedMessageError(f"a chunk has deltas of {delta_width} bytes: not 0, 1, 2, 4, 8")
    if unit_width not in (0, 1, 2, 4):
        raise MalformedMessageError(f"a chunk has units of {unit_width} bytes: not 0, 1, 2, 4")
    if exception_count > spike_count:
        raise MalformedMessageError(
            f"a chunk of {spike_count} spikes has {exception_count} exceptions"
        )
    sizes = (
        spike_count * delta_width,
        spike_count * unit_width,
        exception_count * 4,
        exception_count * 8,
    )

    def field(name: str) -> Part:
        return cut[name] if name in cut else getattr(chunk, name, b"")  # trains have no units

    if chunk.codec == PLAIN:
        fields = [field(name) for name in _PART_NAMES]
        if field("packed"):
            raise MalformedMessageError("a plain chunk has packed bytes")
    elif chunk.codec == ZSTD:
        fields = _split(_decompress(field("packed"), sum(sizes)), sizes)
    else:
        raise MalformedMessageError(f"a chunk has the codec {chunk.codec}, which is unknown here")
    for name, part, size in zip(_PART_NAMES, fields, sizes, strict=True):
        if len(part) != size:
            raise MalformedMessageError(
                f"a chunk of {spike_count} spikes has {len(part)} bytes of {name}, not {size}"
            )
    deltas = np.frombuffer(fields[0], UNSIGNED[delta_width]) if delta_width else None
    units = np.frombuffer(fields[1], UNSIGNED[unit_width]) if unit_width else None
    positions = np.frombuffer(fields[2], UNSIGNED[4]).astype(np.int64)
    if positions.size and (positions[-1] >= spike_count or np.any(positions[1:] <= positions[:-1])):
        raise MalformedMessageError(
            "the exceptions of a chunk do not lie in ascending order within it"
        )
    return ChunkParts(deltas, units, positions, np.frombuffer(fields[3], UNSIGNED[8]))


def decode_samples(parts: ChunkParts, base: int, out: Int64Array) -> None:
    """Write the samples of one run of gaps, the first of which is 0, from `base` on.

    Raises
    ------
    MalformedMessageError
        The first gap is not 0, or the samples add up to more than an int64 holds.
    """
    integrate(parts, base, out)
    if out[0] != base:
        raise MalformedMessageError("the first gap of a chunk is not 0")
    # Gaps are never negative, so a sum that left the range of int64 has wrapped to
    # a smaller number. Narrow gaps cannot wrap twice: the last sum tells.
    if out[-1] < base or (parts.is_wide and np.any(out[1:] < out[:-1])):
        raise MalformedMessageError("the samples of a chunk add up to more than 2**63 - 1")


def integrate(parts: ChunkParts, base: int, out: Int64Array) -> None:
    """Write ``base + gap[0] + ... + gap[i]`` to ``out[i]``, modulo 2**64.

    Block by block: cast, then add up in place, so that every block is touched
    while it is in the cache (1.7 times as fast as one call of `numpy.cumsum`).
    """
    positions, gaps = parts.positions, parts.gaps.view(np.int64)
    deltas = parts.deltas
    if deltas is not None and deltas.itemsize == 8:
        deltas = deltas.view(np.int64)  # they add up modulo 2**64: their sign is no matter
    total: Any = base
    for start in range(0, out.size, _INTEGRATE_BLOCK):
        block = out[start : start + _INTEGRATE_BLOCK]
        block[...] = 0 if deltas is None else deltas[start : start + _INTEGRATE_BLOCK]
        if positions.size:
            some = slice(*np.searchsorted(positions, (start, start + block.size)))
            block[positions[some] - start] = gaps[some]
        block[:1] += total  # arrays wrap, numbers would warn
        np.add.accumulate(block, out=block)
        total = block[-1]


def _decompress(packed: Part, size: int) -> bytes:
    # zstandard allocates what the frame's own header claims, so look at it first.
    try:
        stated = zstandard.frame_content_size(packed)
        if stated not in (-1, size):
            raise MalformedMessageError(
                f"a chunk is packed from {stated} bytes, but its counts say {size}"
            )
        return zstandard.ZstdDecompressor().decompress(
            packed, max_output_size=max(size, 1), allow_extra_data=False
        )
    except zstandard.ZstdError as error:
        raise MalformedMessageError(f"the packed bytes of a chunk are damaged: {error}") from error


def _split(raw: bytes, sizes: Sequence[int]) -> list[Part]:
    if len(raw) != sum(sizes):
        raise MalformedMessageError(
            f"a chunk unpacks to {len(raw)} bytes, but its counts say {sum(sizes)}"
        )
    pieces: list[Part] = []
    start = 0
    for size in sizes:
        pieces.append(memoryview(raw)[start : start + size])
        start += size
    return pieces
