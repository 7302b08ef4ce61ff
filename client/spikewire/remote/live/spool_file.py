"""One file of a spool: records behind headers, and where the last whole one ends."""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from spikewire.core.errors import FormatError
from spikewire.remote.live.records import Kind, Record

SUFFIX = ".spool"

# magic, checksum of what follows; bytes of the payload, spikes, sequence, time, kind
_HEADER = struct.Struct("<4sIIIQqB7x")
_CHECKED_FROM = 8
_MAGIC = b"SWs\x01"
_KINDS = frozenset(Kind)


def pack(record: Record) -> bytes:
    """Return a record as it lies in a file."""
    kind, sequence, payload, spike_count, time_ns = record
    fields = (len(payload), spike_count, sequence, time_ns, kind)
    checked = _HEADER.pack(_MAGIC, 0, *fields)[_CHECKED_FROM:] + payload
    return _MAGIC + zlib.crc32(checked).to_bytes(4, "little") + checked


class Unpacked(NamedTuple):
    """The whole records at the beginning of some data."""

    records: list[Record]
    end: int
    """Where the last one ends."""


def unpack(data: bytes) -> Unpacked:
    """Return the records in some data, up to the first one that is not whole.

    Raises
    ------
    FormatError
        One is of a kind that is not known.
    """
    records: list[Record] = []
    position = 0
    while len(data) - position >= _HEADER.size:
        magic, crc, length, spikes, sequence, time_ns, kind = _HEADER.unpack_from(data, position)
        start, end = position + _HEADER.size, position + _HEADER.size + length
        if magic != _MAGIC or end > len(data):
            break
        if zlib.crc32(memoryview(data)[position + _CHECKED_FROM : end]) != crc:
            break
        if kind not in _KINDS:
            raise FormatError(f"a spooled record is of the kind {kind}, of a later release")
        records.append(Record(Kind(kind), sequence, data[start:end], spikes, time_ns))
        position = end
    return Unpacked(records, position)


class SpoolFile:
    """A file that is appended to, until it is sealed.

    Parameters
    ----------
    path : Path
        Where it is.
    first_sequence, next_sequence : int
        The sequence of its first record, and the one behind its last.
    end : int
        Where its last whole record ends.
    stream : file, optional
        What it is written through; a file without one is sealed.
    """

    def __init__(
        self,
        path: Path,
        first_sequence: int,
        next_sequence: int,
        end: int,
        stream: io.FileIO | None = None,
    ) -> None:
        self.path = path
        self.first_sequence = first_sequence
        self.next_sequence = next_sequence
        self.end = end
        self._stream = stream

    @classmethod
    def create(cls, folder: Path, sequence: int) -> SpoolFile:
        """Make a file whose first record has this sequence."""
        path = folder / f"{sequence:020}{SUFFIX}"
        return cls(path, sequence, sequence, 0, io.FileIO(path, "w"))

    @classmethod
    def recover(cls, path: Path) -> SpoolFile:
        """Look into a file of a process that may have been killed while it wrote."""
        first = int(path.stem)
        records, end = unpack(path.read_bytes())
        return cls(path, first, records[-1].sequence + 1 if records else first, end)

    @property
    def is_sealed(self) -> bool:
        """Whether nothing more comes."""
        return self._stream is None

    def write(self, data: bytes, count: int, sync: bool) -> None:
        """Append so many records; if that fails, it is as it was before.

        Raises
        ------
        OSError
            The disk is full or failing.
        """
        stream = self._stream
        assert stream is not None
        try:
            stream.seek(self.end)  # what an earlier failure left behind it is overwritten
            _write_all(stream, data)
            if sync:
                os.fsync(stream.fileno())
                if not self.end:
                    _sync_folder(self.path.parent)
        except OSError:
            _cut(stream, self.end)
            raise
        self.end += len(data)
        self.next_sequence += count

    def seal(self) -> None:
        """Append nothing more."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None


def recover(folder: Path) -> list[SpoolFile]:
    """Return the files of a spool, in order; those without a whole record are removed."""
    files = []
    for path in sorted(_spool_files(folder)):
        file = SpoolFile.recover(path)
        if file.end:
            files.append(file)
        else:
            path.unlink()
    return files


def _spool_files(folder: Path) -> Iterable[Path]:
    return (path for path in folder.glob(f"*{SUFFIX}") if path.stem.isdecimal())


def _write_all(stream: io.FileIO, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        # A disk that fills up takes a part first, and refuses the rest.
        rest = rest[stream.write(rest) :]


def _cut(stream: io.FileIO, end: int) -> None:
    with suppress(OSError):
        stream.truncate(end)


def _sync_folder(folder: Path) -> None:
    # A new file's name is in its folder. Windows has no such call, and does it unasked.
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
