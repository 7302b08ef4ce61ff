"""Records of a file of the index: read whole, and checked when they are read first."""

from __future__ import annotations

import os
import threading
import weakref
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewire.core.errors import FormatError


class DamagedIndexError(FormatError):
    """A file of an index is not what was written; it must be built anew."""


class Records:
    """The records of one file, by number.

    They are read, and not mapped: pages of a mapping count as the memory of whoever
    touched them, and a sorting may be larger than the memory there is.

    Parameters
    ----------
    path : Path
        The file.
    table : structured array
        Says where each record lies, and its checksum: ``offset``, ``length``, ``crc``.

    Raises
    ------
    DamagedIndexError
        The file has another length than the table says.
    OSError
        It is missing.
    """

    def __init__(self, path: Path, table: NDArray[Any]) -> None:
        self._table = table
        self._path = path
        self._file = -1  # opened when a record is read: a sorting may have many segments
        size = int(table["offset"][-1] + table["length"][-1]) if len(table) else 0
        if path.stat().st_size != size:
            raise DamagedIndexError(f"{path.name} of the index has the wrong length")
        self._checked = np.zeros(len(table), dtype=bool)
        self._lock = threading.Lock()

    def read(self, number: int) -> bytes:
        """Return a record.

        Raises
        ------
        DamagedIndexError
            It is not what was written.
        """
        row = self._table[number]
        record = self._read_at(int(row["offset"]), int(row["length"]))
        if not self._checked[number]:
            if zlib.crc32(record) != row["crc"]:
                raise DamagedIndexError(f"record {number} of {self._path.name} is damaged")
            self._checked[number] = True
        return record

    def _read_at(self, offset: int, length: int) -> bytes:
        try:
            with self._lock:
                if self._file < 0:
                    self._file = os.open(self._path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
                    weakref.finalize(self, os.close, self._file)
                if not hasattr(os, "pread"):  # Windows
                    os.lseek(self._file, offset, os.SEEK_SET)
                    return os.read(self._file, length)
            return os.pread(self._file, length, offset)
        except OSError as error:
            raise DamagedIndexError(
                f"{self._path.name} of the index cannot be read: {error}"
            ) from error
