"""One process per folder: a lock that the system releases when its holder dies."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path
from typing import IO

from spikewire.core.errors import StoreUnwritableError

if sys.platform == "win32":
    import msvcrt

    # A byte far behind the text: Windows keeps others from reading what is locked.
    _LOCKED_BYTE = 1 << 20

    def _lock(file: IO[str]) -> None:
        file.seek(_LOCKED_BYTE)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        file.seek(0)

else:
    import fcntl

    def _lock(file: IO[str]) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


class FolderLock:
    """The right to write into a folder; held until `close` or the end of the process.

    Parameters
    ----------
    path : Path
        The lock file. It names its holder and is not removed: that it is there
        says nothing, only whether it is locked does.
    what : str
        What the folder is, for the message of the error.

    Raises
    ------
    StoreUnwritableError
        If another process holds it; the message says which.
    """

    def __init__(self, path: Path, what: str) -> None:
        self._file = path.open("a+", encoding="utf-8")
        try:
            _lock(self._file)
        except OSError as error:
            self._file.seek(0)
            holder = self._file.read(200).strip() or "another process"
            self._file.close()
            raise StoreUnwritableError(f"the {what} {path.parent} is in use by {holder}") from error
        self._file.truncate(0)
        self._file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        self._file.flush()

    def close(self) -> None:
        """Give the right back."""
        self._file.close()
