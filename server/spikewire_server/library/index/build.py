"""Builds an index: one pass over the spikes, one over the chunks it wrote.

Nothing is synced to disk: an index is derived, and what a power cut leaves of it
is told by its checksums and built anew.
"""

from __future__ import annotations

import json
import os
import shutil
import uuid
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from spikewire.v1 import spike_train_service_pb2 as pb
from spikewire.wire.chunks import MAX_CHUNK_SPIKES, decode_spikes, encode_spikes
from spikewire_server.library.index.layout import (
    CHUNK_TABLE,
    TRAIN_BLOCK_BYTES,
    VERSION,
    checksum,
    description_path,
    segment_path,
)

Int64Array = NDArray[np.int64]
Columns = tuple[Int64Array, NDArray[Any]]

SCATTER_SPIKES = 4 * MAX_CHUNK_SPIKES
"""How many spikes are put in unit order at a time; this bounds the memory."""


class AbandonedError(Exception):
    """The build was told to stop."""


def build_index(
    folder: Path,
    revision: str,
    unit_count: int,
    segments: Iterable[Iterable[Columns]],
    stop: Callable[[], bool] = lambda: False,
) -> None:
    """Build the index of a sorting in O(chunk) memory; it appears whole or not at all.

    Parameters
    ----------
    folder : Path
        Where the index shall lie.
    revision : str
        The revision of the spikes.
    unit_count : int
        How many units there are.
    segments : iterable of iterable of (samples, unit_indices)
        The spikes of each segment in the order of the spike vector, in blocks
        of any size.
    stop : callable
        Asked between chunks; when it answers True the build is given up.

    Raises
    ------
    AbandonedError
        The build was told to stop.
    OSError
        The disk is full or failing; nothing of the index remains.
    """
    aside = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}")
    aside.mkdir(parents=True)
    try:
        described = [
            _build_segment(aside, number, unit_count, blocks, stop)
            for number, blocks in enumerate(segments)
        ]
        description = {
            "version": VERSION,
            "revision": revision,
            "unit_count": unit_count,
            "segments": described,
        }
        description_path(aside).write_text(json.dumps(description, indent=1))
        if folder.exists():  # a damaged one
            shutil.rmtree(folder)
        aside.rename(folder)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise


def _build_segment(
    folder: Path,
    segment: int,
    unit_count: int,
    blocks: Iterable[Columns],
    stop: Callable[[], bool],
) -> dict[str, Any]:
    counts = np.zeros(unit_count, dtype=np.int64)
    rows: list[tuple[int, ...]] = []
    with segment_path(folder, segment, "spikes").open("w+b") as file:
        for samples, unit_indices in _whole_chunks(blocks):
            if stop():
                raise AbandonedError
            counts += np.bincount(unit_indices, minlength=unit_count)
            rows.append(_write_chunk(file, segment, samples, unit_indices, rows))
        file.flush()
        table = np.array(rows, dtype=CHUNK_TABLE)
        base, width = _train_width(table)
        with segment_path(folder, segment, "trains").open("w+b") as trains:
            sums = _write_trains(trains, file, table, counts, base, width, stop)
    for part, values in (("chunks", table), ("counts", counts), ("sums", sums)):
        segment_path(folder, segment, part).write_bytes(values.tobytes())
    return {
        "spike_count": int(counts.sum()),
        "chunk_count": len(table),
        "base_sample": base,
        "train_width_bytes": width,
        "checksum": checksum([table, counts, sums]),
    }


def _whole_chunks(blocks: Iterable[Columns]) -> Iterator[Columns]:
    """Cut blocks of any size into full chunks, the last one excepted."""
    pending: list[Columns] = []
    count = 0
    for samples, unit_indices in blocks:
        start = 0
        while start < len(samples):
            stop = min(len(samples), start + MAX_CHUNK_SPIKES - count)
            pending.append((samples[start:stop], unit_indices[start:stop]))
            count += stop - start
            start = stop
            if count == MAX_CHUNK_SPIKES:
                yield _joined(pending)
                pending, count = [], 0
    if count:
        yield _joined(pending)


def _joined(pieces: list[Columns]) -> Columns:
    if len(pieces) == 1:
        return pieces[0]
    return (
        np.concatenate([samples for samples, _ in pieces]),
        np.concatenate([unit_indices for _, unit_indices in pieces]),
    )


def _write_chunk(
    file: BinaryIO,
    segment: int,
    samples: Int64Array,
    unit_indices: NDArray[Any],
    rows: list[tuple[int, ...]],
) -> tuple[int, ...]:
    (chunk,) = encode_spikes(samples, unit_indices, segment)
    record = pb.StreamSpikesResponse(chunks=[chunk]).SerializeToString()
    first_spike = rows[-1][2] + MAX_CHUNK_SPIKES if rows else 0
    offset = file.tell()
    file.write(record)
    return (
        int(samples[0]),
        int(samples[-1]),
        first_spike,
        offset,
        len(record),
        zlib.crc32(record),
    )


def _train_width(table: NDArray[Any]) -> tuple[int, int]:
    """Return what is taken off every sample of the trains, and the bytes of one."""
    if not len(table):
        return 0, 4
    first, last = int(table["first_sample"][0]), int(table["last_sample"][-1])
    return (first, 4) if last - first < 1 << 32 else (0, 8)


def _write_trains(
    trains: BinaryIO,
    spikes: BinaryIO,
    table: NDArray[Any],
    counts: Int64Array,
    base: int,
    width: int,
    stop: Callable[[], bool],
) -> NDArray[np.uint32]:
    """Scatter the spikes of the chunks into the trains; return the blocks' checksums."""
    total = int(counts.sum())
    if not total:
        return np.empty(0, dtype=np.uint32)
    dtype = np.dtype("<u4" if width == 4 else "<i8")
    # Claimed before it is mapped: a full disk must be an error here, and not a
    # signal at the first touch of a page.
    _claim(trains, total * width)
    out = np.asarray(np.memmap(trains, dtype=dtype, mode="r+", shape=(total,)))
    ends = np.cumsum(counts)
    position = ends - counts
    samples = np.empty(SCATTER_SPIKES, dtype=np.int64)
    unit_indices = np.empty(SCATTER_SPIKES, dtype=np.int64)
    label = np.min_scalar_type(max(len(counts) - 1, 0))
    for batch in range(0, len(table), SCATTER_SPIKES // MAX_CHUNK_SPIKES):
        if stop():
            raise AbandonedError
        filled = 0
        for row in table[batch : batch + SCATTER_SPIKES // MAX_CHUNK_SPIKES]:
            spikes.seek(int(row["offset"]))
            (chunk,) = pb.StreamSpikesResponse.FromString(spikes.read(int(row["length"]))).chunks
            end = filled + chunk.spike_count
            decode_spikes(chunk, samples[filled:end], unit_indices[filled:end], len(counts))
            filled = end
        units = unit_indices[:filled].astype(label)
        order = np.argsort(units, kind="stable")
        here = np.bincount(units, minlength=len(counts))
        grouped = (samples[:filled] - base).astype(dtype)[order]
        first = 0
        # Copying run by run beats one scatter twice: the runs are long.
        for unit in np.flatnonzero(here).tolist():
            count = int(here[unit])
            start = int(position[unit])
            out[start : start + count] = grouped[first : first + count]
            first += count
        position += here
    data = memoryview(out.data).cast("B")
    return np.array(
        [
            zlib.crc32(data[start : start + TRAIN_BLOCK_BYTES])
            for start in range(0, len(data), TRAIN_BLOCK_BYTES)
        ],
        dtype=np.uint32,
    )


def _claim(file: BinaryIO, size: int) -> None:
    """Make a file of this size whose blocks the disk has set aside."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, size)
        return
    zeros = bytes(TRAIN_BLOCK_BYTES)
    for start in range(0, size, TRAIN_BLOCK_BYTES):
        file.write(zeros[: size - start])
    file.flush()
