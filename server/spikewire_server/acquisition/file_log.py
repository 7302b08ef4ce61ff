"""A log that is a file."""

from __future__ import annotations

import os
import threading
import time
import weakref
import zlib
from collections.abc import Sequence
from pathlib import Path

import structlog

from spikewire.core.errors import FormatError
from spikewire_server.acquisition.journal import sync_data
from spikewire_server.acquisition.record import (
    HEADER_BYTES,
    NUMBERED,
    Kind,
    Record,
    pack_header,
    unpack_header,
)
from spikewire_server.acquisition.recovery import Found, read_records
from spikewire_server.acquisition.row_file import Mark, RowFile
from spikewire_server.acquisition.table import RecordTable
from spikewire_server.library.file_access import open_file, read_at, write_at

log = structlog.get_logger(__name__)

_RECENT_BYTES = 8 * 1024 * 1024  # what was written last is still in the system's memory


class FileLog:
    """A log that is a file, read by any thread and written by one.

    Parameters
    ----------
    path : Path
        The file, which is there; named by the acquisition.

    Raises
    ------
    FormatError
        If a record that was acknowledged is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.acquisition_id = path.stem
        self.started = b""
        self.start_time_ns = 0
        self.epoch = 1
        self.records = RecordTable()
        self.size = 0
        """Where the last record that counts ends."""
        self._is_torn = False
        self._written_ns = 0
        self._last_group = 1 << 63, 0  # its first sequence, and when it was written
        # Kept open by whoever reads, also when the file was removed.
        self._file = open_file(path, os.O_RDWR)
        weakref.finalize(self, os.close, self._file).atexit = False
        self._seek_lock = threading.Lock()  # for systems that cannot read at an offset
        self._row_file = RowFile(rows_path(path))
        self._recover(path)

    @property
    def mark(self) -> Mark:
        """How far it is now."""
        return Mark(self.records.next_sequence, self.size, self.epoch)

    def read(self, first: int, stop: int) -> list[memoryview]:
        """Return the payloads of the records `first` to `stop`, exclusive."""
        rows = self.records.rows_of(first, stop)
        if not len(rows.kind):
            return []
        start = int(rows.offset[0])
        data = memoryview(self._read_at(start, int(rows.offset[-1]) + int(rows.length[-1]) - start))
        payloads = []
        for offset, length, crc, kind in zip(
            (rows.offset - start).tolist(),
            rows.length.tolist(),
            rows.crc.tolist(),
            rows.kind.tolist(),
            strict=True,
        ):
            payload = data[offset : offset + length]
            if len(payload) != length or zlib.crc32(payload, kind) != crc:
                raise self._damaged()
            payloads.append(payload)
        return payloads

    def time_ns(self, sequence: int) -> int:
        """Return when a record was written, in nanoseconds since 1970."""
        first, time_ns = self._last_group
        if sequence >= first:  # what followers who keep up ask for
            return time_ns
        offset = self._offset_of(sequence) - HEADER_BYTES
        header = unpack_header(self._read_at(offset, HEADER_BYTES))
        if header is None:
            raise self._damaged()
        return header.time_ns

    def is_recent(self, sequence: int) -> bool:
        """Return whether a record was written so lately that reading it will not wait."""
        return self.size - self._offset_of(sequence) < _RECENT_BYTES

    def write(self, records: Sequence[Record]) -> bytes:
        """Write records behind the last that counts, and return their bytes.

        They are to be accepted, or the log is to be cut, before the next ones.

        Raises
        ------
        OSError
            If the disk is full or failing.
        """
        if self._is_torn:
            self.cut()
        now = self._written_ns = time.time_ns()
        group = self.records.next_sequence
        data = b"".join(
            part for record in records for part in (pack_header(record, group, now), record.payload)
        )
        self._is_torn = True
        with self._seek_lock:
            write_at(self._file, self.size, data)
        return data

    def accept(self, records: Sequence[Record]) -> None:
        """Count records that were written and are on disk."""
        self._last_group = self.records.next_sequence, self._written_ns
        for record in records:
            self._count(record, self.size + HEADER_BYTES, self._written_ns)
        self._is_torn = False

    def cut(self) -> None:
        """Remove what is behind the last record that counts.

        Raises
        ------
        OSError
            If the disk is failing.
        """
        excess = os.fstat(self._file).st_size - self.size
        if excess > 0:
            os.truncate(self._file, self.size)
            log.warning("torn end of a log cut", acquisition=self.acquisition_id, bytes=excess)
        self._is_torn = False

    def sync(self) -> None:
        """Wait until what was written is on disk."""
        sync_data(self._file)

    def save_rows(self, mark: Mark) -> None:
        """Let the next start begin to read at a mark, up to which all is on disk.

        Raises
        ------
        OSError
            If the disk is full or failing.
        """
        self._row_file.save(self.records, mark)

    def _recover(self, path: Path) -> None:
        mark = self._row_file.load(self.records)
        with path.open("rb", buffering=1 << 20) as file:
            if mark.size:
                self._take_up(next(read_records(file, self.acquisition_id), None))
                self.size, self.epoch = mark.size, mark.epoch
            if os.fstat(file.fileno()).st_size < mark.size:
                raise self._damaged()
            for found in read_records(
                file,
                self.acquisition_id,
                mark.next_sequence,
                self.records.spike_count,
                mark.size,
            ):
                self._take_up(found)

    def _take_up(self, found: Found | None) -> None:
        if found is None:
            raise self._damaged()
        record = found.header.record._replace(payload=found.payload)
        self._count(record, found.offset, found.header.time_ns)

    def _count(self, record: Record, offset: int, time_ns: int) -> None:
        if record.kind is Kind.STARTED:
            self.started, self.start_time_ns = record.payload, time_ns
        elif record.kind is Kind.EPOCH:
            self.epoch = int.from_bytes(record.payload, "little")
        self.size = offset + len(record.payload)
        if record.kind in NUMBERED:
            self.records.append(record, offset)

    def _offset_of(self, sequence: int) -> int:
        return int(self.records.rows_of(sequence, sequence + 1).offset[0])

    def _read_at(self, offset: int, length: int) -> bytes:
        return read_at(self._file, offset, length, self._seek_lock)

    def _damaged(self) -> FormatError:
        return FormatError(f"the log of the acquisition {self.acquisition_id} is damaged")


def rows_path(path: Path) -> Path:
    """Return where the table of a log is kept."""
    return path.with_suffix(".rows")
