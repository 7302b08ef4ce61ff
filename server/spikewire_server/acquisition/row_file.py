"""Keeps the table of a log in a file beside it, so that a start need not read the whole log.

The file is derived: whatever of it does not read is made up for by reading the log.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from spikewire_server.acquisition.table import TYPES, RecordTable, Rows

# magic, checksum of what follows; rows in the block; and of the log behind them: the next
# sequence, the size, the epoch
_BLOCK = struct.Struct("<4sIQQQQ")
_MAGIC = b"SWt\x01"
_CHECKED_FROM = 8


class Mark(NamedTuple):
    """How far a log was at some time."""

    next_sequence: int = 1
    size: int = 0
    epoch: int = 1


class RowFile:
    """The file of one log's table; for one thread at a time.

    Parameters
    ----------
    path : Path
        Where it is, or is to be.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._size = 0
        self._next_sequence = 1

    def load(self, records: RecordTable) -> Mark:
        """Fill an empty table with what is in the file, and return how far that is."""
        mark = Mark()
        try:
            data = memoryview(self._path.read_bytes())
        except FileNotFoundError:
            return mark
        while (block := _unpack(data[self._size :], mark.next_sequence)) is not None:
            rows, mark, size = block
            records.extend(rows)
            self._size += size
        self._next_sequence = mark.next_sequence
        return mark

    def save(self, records: RecordTable, mark: Mark) -> None:
        """Add the rows up to a mark, which is on disk.

        Raises
        ------
        OSError
            If the disk is full or failing.
        """
        if mark.next_sequence == self._next_sequence:
            return
        data = _pack(records.rows_of(self._next_sequence, mark.next_sequence), mark)
        with self._path.open("r+b" if self._path.exists() else "w+b") as file:
            file.seek(self._size)
            file.truncate()
            file.write(data)
        self._size += len(data)
        self._next_sequence = mark.next_sequence


def _pack(rows: Rows, mark: Mark) -> bytes:
    data = b"".join(column.tobytes() for column in rows)
    header = _BLOCK.pack(_MAGIC, 0, len(rows.kind), *mark)
    crc = zlib.crc32(data, zlib.crc32(header[_CHECKED_FROM:]))
    return _BLOCK.pack(_MAGIC, crc, len(rows.kind), *mark) + data


def _unpack(data: memoryview, sequence: int) -> tuple[Rows, Mark, int] | None:
    """Return rows, mark and size of a block that begins with a sequence; None if it is none."""
    if len(data) < _BLOCK.size or data[: len(_MAGIC)] != _MAGIC:
        return None
    _, crc, count, *place = _BLOCK.unpack_from(data)
    mark = Mark(*place)
    row_bytes = sum(np.dtype(dtype).itemsize for dtype in TYPES)
    end = _BLOCK.size + count * row_bytes
    if (
        sequence + count != mark.next_sequence
        or len(data) < end
        or zlib.crc32(data[_CHECKED_FROM:end]) != crc
    ):
        return None
    columns = []
    offset = _BLOCK.size
    for dtype in TYPES:
        columns.append(np.frombuffer(data, dtype, count, offset))
        offset += columns[-1].nbytes
    return Rows(*columns), mark, end
