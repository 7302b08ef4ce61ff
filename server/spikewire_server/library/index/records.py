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
from spikewire_server.library.file_access import open_file, read_at


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
                    self._file = open_file(self._path, os.O_RDONLY)
                    weakref.finalize(self, os.close, self._file)
            return read_at(self._file, offset, length, self._lock)
        except OSError as error:
            raise DamagedIndexError(
                f"{self._path.name} of the index cannot be read: {error}"
            ) from error
