"""A journal: what was written to many files is on disk after one wait.

Records go to the files of their logs, which nobody waits for, and once more to
the journal, which is synced. After a crash of the machine the journal puts back
what the files lack. It is a series of files; one goes when the logs that were
written to during its time are synced themselves.

A file of it is full of zeros before it is used: to overwrite what is there, a disk
needs one write, to make a file longer it also has to write where the new part is.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import structlog

from spikewire_server.library.file_access import open_file, write_at
from spikewire_server.library.object_writer import sync_folder

log = structlog.get_logger(__name__)

# magic, checksum of what follows, bytes of data, where they lie in the log, which log
_ENTRY = struct.Struct("<4sIQQ16s")
_MAGIC = b"SWj\x01"
_CHECKED_FROM = 8
_SUFFIX = ".journal"
_ROOM_STEP = 1024 * 1024  # so that who waits for the disk meanwhile does not wait for long
sync_data: Callable[[int], None] = getattr(os, "fdatasync", os.fsync)
"""Waits until the bytes of an open file, and its length, are on disk."""


class Entry(NamedTuple):
    """What was written to a log at once."""

    acquisition_id: str
    offset: int
    data: bytes | memoryview


class Journal:
    """One file of the journal; written by one thread.

    Parameters
    ----------
    path : Path
        Where it is to be; not there yet.
    room : int
        How many bytes of zeros it begins with.

    Raises
    ------
    OSError
        If it cannot be made.
    """

    def __init__(self, path: Path, room: int = 0) -> None:
        self.path = path
        self.size = 0
        self.room = room
        self._is_torn = False
        self._file = open_file(path, os.O_RDWR | os.O_CREAT | os.O_EXCL)
        try:
            for start in range(0, room, _ROOM_STEP):
                write_at(self._file, start, bytes(min(_ROOM_STEP, room - start)))
                sync_data(self._file)
            sync_folder(path.parent)
        except BaseException:
            self.close()
            path.unlink()
            raise

    def write(self, entries: Iterable[Entry]) -> None:
        """Write entries, on disk when this returns; if it fails, none of them.

        Raises
        ------
        OSError
            If the disk is full or failing.
        """
        if self._is_torn:
            self._cut()
        data = b"".join(part for entry in entries for part in (_pack(entry), entry.data))
        self._is_torn = True
        try:
            write_at(self._file, self.size, data)
            sync_data(self._file)
        except OSError:
            self._cut()
            raise
        self._is_torn = False
        self.size += len(data)

    def close(self) -> None:
        """Write nothing more."""
        os.close(self._file)

    def _cut(self) -> None:
        os.truncate(self._file, self.size)
        sync_data(self._file)
        self._is_torn = False


def journals(folder: Path) -> list[Path]:
    """Return the files of the journal in a folder, oldest first."""
    return sorted(folder.glob("*" + _SUFFIX))


def next_path(folder: Path) -> Path:
    """Return where the next file of the journal goes."""
    present = journals(folder)
    number = int(present[-1].stem) + 1 if present else 1
    return folder / f"{number:012}{_SUFFIX}"


def read_entries(path: Path) -> Iterable[Entry]:
    """Yield the entries of a file of the journal, its torn end excepted."""
    data = memoryview(path.read_bytes())
    position = 0
    while position < len(data):
        entry = _unpack(data[position:])
        if entry is not None:
            yield entry
            position += _ENTRY.size + len(entry.data)
            continue
        if data[position:].tobytes().count(0) == len(data) - position:
            return  # the room that is left
        # The end of a crash, or damage: whether anything is lost, the logs can tell.
        following = path.read_bytes().find(_MAGIC, position + 1)
        log.warning("journal does not read", file=path.name, offset=position)
        position = following if following >= 0 else len(data)


def _pack(entry: Entry) -> bytes:
    fields = len(entry.data), entry.offset, bytes.fromhex(entry.acquisition_id)
    crc = zlib.crc32(_ENTRY.pack(_MAGIC, 0, *fields)[_CHECKED_FROM:])
    return _ENTRY.pack(_MAGIC, zlib.crc32(entry.data, crc), *fields)


def _unpack(data: memoryview) -> Entry | None:
    if len(data) < _ENTRY.size or data[: len(_MAGIC)] != _MAGIC:
        return None
    _, crc, length, offset, acquisition_id = _ENTRY.unpack_from(data)
    end = _ENTRY.size + length
    if len(data) < end or zlib.crc32(data[_CHECKED_FROM:end]) != crc:
        return None
    return Entry(acquisition_id.hex(), offset, data[_ENTRY.size : end])
