"""What the files of an index look like."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

VERSION = 2
"""Written into every index; one of another version is built anew."""

TRAIN_BLOCK_BYTES = 1 << 20
"""How many bytes of trains one checksum covers."""

CHUNK_TABLE = np.dtype(
    [
        ("first_sample", "<i8"),
        ("last_sample", "<i8"),
        ("first_spike", "<i8"),
        ("offset", "<i8"),
        ("length", "<i8"),
        ("crc", "<u4"),
    ]
)
"""One row a chunk: what it spans, which of the segment's spikes is its first,
and where its record lies. The record's checksum is crc32."""


PACK_TABLE = np.dtype(
    [
        ("first_unit", "<i8"),
        ("last_unit", "<i8"),
        ("first_spike", "<i8"),
        ("offset", "<i8"),
        ("length", "<i8"),
        ("crc", "<u4"),
    ]
)
"""One row a pack of trains: the units it spans, which of the trains' spikes, one unit
after the other, is its first, and where its record lies."""


def description_path(folder: Path) -> Path:
    """Return where the description of an index lies."""
    return folder / "index.json"


def segment_path(folder: Path, segment: int, part: str) -> Path:
    """Return where a part of a segment lies; the parts are those that `index` names."""
    return folder / f"segment{segment}.{part}"


def checksum(tables: list[np.ndarray[Any, Any]]) -> str:
    """Return the checksum of the tables of a segment."""
    digest = hashlib.blake2b(digest_size=16)
    for table in tables:
        digest.update(table.tobytes())
    return digest.hexdigest()
