"""Builds an index: one pass over the spikes, one over the chunks it wrote, one over the trains.

Nothing is synced to disk: an index is derived, and what a power cut leaves of it
is told by its checksums and built anew.
"""

from __future__ import annotations

import json
import shutil
import uuid
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from spikewire.v1 import spike_train_service_pb2 as pb
from spikewire.wire.chunks import MAX_CHUNK_SPIKES, encode_spikes
from spikewire_server.library.index.ahead import ahead
from spikewire_server.library.index.layout import (
    CHUNK_TABLE,
    VERSION,
    checksum,
    description_path,
    segment_path,
)
from spikewire_server.library.index.trains import (
    AbandonedError,
    mapped_trains,
    scatter,
    write_packs,
)

Int64Array = NDArray[np.int64]
Columns = tuple[Int64Array, NDArray[Any]]


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
    with segment_path(folder, segment, "spikes").open("w+b") as file:
        chunks, counts = _write_spikes(file, segment, unit_count, blocks, stop)
        base, width = _train_width(chunks)
        with mapped_trains(
            segment_path(folder, segment, "trains"), int(counts.sum()), width
        ) as trains:
            scatter(file, chunks, counts, base, trains, stop)
            sums = trains.checksums()
            with segment_path(folder, segment, "packed").open("wb") as packed:
                packs = write_packs(packed, segment, trains, counts, base, stop)
    tables = {"chunks": chunks, "packs": packs, "counts": counts, "sums": sums}
    for part, values in tables.items():
        segment_path(folder, segment, part).write_bytes(values.tobytes())
    return {
        "spike_count": int(counts.sum()),
        "chunk_count": len(chunks),
        "base_sample": base,
        "train_width_bytes": width,
        "checksum": checksum(list(tables.values())),
    }


def _write_spikes(
    file: BinaryIO,
    segment: int,
    unit_count: int,
    blocks: Iterable[Columns],
    stop: Callable[[], bool],
) -> tuple[NDArray[Any], Int64Array]:
    """Write the chunks; return their table, and how many spikes each unit has."""
    counts = np.zeros(unit_count, dtype=np.int64)
    rows: list[tuple[int, ...]] = []
    for samples, unit_indices in ahead(_whole_chunks(blocks)):
        if stop():
            raise AbandonedError
        counts += np.bincount(unit_indices, minlength=unit_count)
        rows.append(_write_chunk(file, segment, samples, unit_indices, rows))
    file.flush()
    return np.array(rows, dtype=CHUNK_TABLE), counts


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
