"""Builds the trains of an index: puts the spikes of its chunks in unit order, and packs them."""

from __future__ import annotations

import mmap
import os
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from spikewire.v1 import spike_train_service_pb2 as pb
from spikewire.wire.chunks import MAX_CHUNK_SPIKES, decode_spikes
from spikewire.wire.trains import encode_trains
from spikewire_server.library.index.ahead import ahead
from spikewire_server.library.index.layout import PACK_TABLE, TRAIN_BLOCK_BYTES

Int64Array = NDArray[np.int64]

_POSITION_BITS = (MAX_CHUNK_SPIKES - 1).bit_length()
_CHUNKS_IN_MEMORY = 64
"""After how many chunks the pages of the trains that were written are let go."""


class AbandonedError(Exception):
    """The build was told to stop."""


class MappedTrains:
    """The samples of all trains, one unit after the other, in a file that is being written.

    Attributes
    ----------
    samples : ndarray, shape (spikes,)
        They, at their width.
    """

    def __init__(self, mapping: mmap.mmap | None, dtype: np.dtype[Any]) -> None:
        self._mapping = mapping
        self._bytes = memoryview(mapping or b"")
        self.samples: NDArray[np.integer[Any]] = np.frombuffer(self._bytes, dtype)

    def let_go(self) -> None:
        """Take the pages out of this process's memory; the file keeps what is in them."""
        if self._mapping is not None and hasattr(mmap, "MADV_DONTNEED"):
            self._mapping.madvise(mmap.MADV_DONTNEED)

    def checksums(self) -> NDArray[np.uint32]:
        """Return the checksum of each block."""
        sums = []
        for start in range(0, len(self._bytes), TRAIN_BLOCK_BYTES):
            sums.append(zlib.crc32(self._bytes[start : start + TRAIN_BLOCK_BYTES]))
            if len(sums) % _CHUNKS_IN_MEMORY == 0:
                self.let_go()
        return np.array(sums, dtype=np.uint32)


@contextmanager
def mapped_trains(path: Path, spike_count: int, width: int) -> Iterator[MappedTrains]:
    """Make the file of the trains, at so many bytes a sample, and map it.

    Raises
    ------
    OSError
        The disk is full.
    """
    dtype = np.dtype("<u4" if width == 4 else "<i8")
    with path.open("w+b") as file:
        if not spike_count:
            yield MappedTrains(None, dtype)
            return
        # Claimed before it is mapped: a full disk must be an error here, and not a
        # signal at the first touch of a page.
        _claim(file, spike_count * width)
        yield MappedTrains(mmap.mmap(file.fileno(), 0), dtype)


def scatter(
    spikes: BinaryIO,
    chunks: NDArray[Any],
    counts: Int64Array,
    base: int,
    trains: MappedTrains,
    stop: Callable[[], bool],
) -> None:
    """Write the spikes of the chunks to where their trains are, less `base`.

    Raises
    ------
    AbandonedError
        The build was told to stop.
    """
    position = np.cumsum(counts) - counts
    out = trains.samples
    in_order = ahead(_in_unit_order(spikes, chunks, len(counts), base, out.dtype))
    for number, (grouped, here) in enumerate(in_order, 1):
        if stop():
            raise AbandonedError
        present = np.flatnonzero(here)
        first = 0
        # Copying run by run beats one scatter twice: the runs are long.
        for start, count in zip(position[present].tolist(), here[present].tolist(), strict=True):
            last = first + count
            out[start : start + count] = grouped[first:last]
            first = last
        position += here
        if number % _CHUNKS_IN_MEMORY == 0:
            trains.let_go()


def _in_unit_order(
    spikes: BinaryIO, chunks: NDArray[Any], unit_count: int, base: int, dtype: np.dtype[Any]
) -> Iterator[tuple[NDArray[np.integer[Any]], Int64Array]]:
    """Yield the samples of each chunk, one unit after the other, and how many each unit has."""
    samples = np.empty(MAX_CHUNK_SPIKES, dtype=np.int64)
    unit_indices = np.empty(MAX_CHUNK_SPIKES, dtype=np.int64)
    spikes.seek(0)
    for row in chunks:
        (chunk,) = pb.StreamSpikesResponse.FromString(spikes.read(int(row["length"]))).chunks
        size = chunk.spike_count
        decode_spikes(chunk, samples[:size], unit_indices[:size], unit_count)
        order = _by_unit(unit_indices[:size], unit_count)
        counts = np.bincount(unit_indices[:size], minlength=unit_count)
        yield (samples[:size] - base).astype(dtype).take(order), counts


def _by_unit(unit_indices: Int64Array, unit_count: int) -> NDArray[np.unsignedinteger[Any]]:
    """Return the stable order of the spikes of a chunk by unit.

    Numbers made of unit and position are sorted several times as fast as by a stable
    argsort of the units.
    """
    width = np.dtype("u4" if unit_count <= 1 << (32 - _POSITION_BITS) else "u8").type
    keys = unit_indices.astype(width)
    keys <<= width(_POSITION_BITS)
    keys |= np.arange(keys.size, dtype=width)
    keys.sort()
    keys &= width((1 << _POSITION_BITS) - 1)
    return keys


def write_packs(
    packed: BinaryIO,
    segment: int,
    trains: MappedTrains,
    counts: Int64Array,
    base: int,
    stop: Callable[[], bool],
) -> NDArray[Any]:
    """Write the trains as they are sent; return the table of the packs.

    Raises
    ------
    AbandonedError
        The build was told to stop.
    """
    ends = np.cumsum(counts)
    each = (
        (unit, trains.samples[end - count : end])
        for unit, (end, count) in enumerate(zip(ends.tolist(), counts.tolist(), strict=True))
    )
    rows: list[tuple[int, ...]] = []
    first_spike = offset = 0
    for chunk in ahead(encode_trains(each, segment, base=base)):
        if stop():
            raise AbandonedError
        record = pb.GetUnitSpikeTrainsResponse(chunks=[chunk]).SerializeToString()
        packed.write(record)
        units = chunk.unit_indices
        rows.append((units[0], units[-1], first_spike, offset, len(record), zlib.crc32(record)))
        first_spike += sum(chunk.spike_counts)
        offset += len(record)
        if len(rows) % _CHUNKS_IN_MEMORY == 0:
            trains.let_go()
    return np.array(rows, dtype=PACK_TABLE)


def _claim(file: BinaryIO, size: int) -> None:
    """Make a file of this size whose blocks the disk has set aside."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, size)
        return
    zeros = bytes(TRAIN_BLOCK_BYTES)
    for start in range(0, size, TRAIN_BLOCK_BYTES):
        file.write(zeros[: size - start])
    file.flush()
