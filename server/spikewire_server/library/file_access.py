"""Open files by number, read and written at an offset, on every system."""

from __future__ import annotations

import os
import threading
from pathlib import Path


def open_file(path: Path, flags: int) -> int:
    """Open a file as the bytes that it holds; Windows would take it for text."""
    return os.open(path, flags | getattr(os, "O_BINARY", 0), 0o644)


def read_at(file: int, offset: int, length: int, seeking: threading.Lock) -> bytes:
    """Return what lies at an offset of an open file.

    The lock is for systems that have to seek first (Windows): who writes the file there
    holds it as well.
    """
    if hasattr(os, "pread"):
        return os.pread(file, length, offset)
    with seeking:
        os.lseek(file, offset, os.SEEK_SET)
        return os.read(file, length)


def write_at(file: int, offset: int, data: bytes | memoryview) -> None:
    """Write all of some data at an offset of an open file."""
    os.lseek(file, offset, os.SEEK_SET)
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest) :]
