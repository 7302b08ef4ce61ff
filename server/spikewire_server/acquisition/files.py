"""Logs as files: one a log, only ever appended to."""

from __future__ import annotations

import os
import threading
import time
import weakref
import zlib
from collections.abc import Container, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import structlog

from spikewire.core.errors import FormatError, RevisionExpiredError
from spikewire_server.acquisition.log import SpikeLog
from spikewire_server.acquisition.record import (
    HEADER_BYTES,
    NUMBERED,
    Kind,
    Record,
    pack_header,
    unpack_header,
)
from spikewire_server.acquisition.recovery import read_records
from spikewire_server.acquisition.table import RecordTable
from spikewire_server.library.object_writer import sync_folder, writing
from spikewire_server.library.removal import remove

log = structlog.get_logger(__name__)

_SUFFIX = ".log"
_SYNC_THREADS = 16
_RECENT_BYTES = 8 * 1024 * 1024  # what was written last is still in the system's memory
_BINARY = getattr(os, "O_BINARY", 0)  # of Windows
_sync_data = getattr(os, "fdatasync", os.fsync)


class FileLog:
    """A log that is a file; read by any thread, written by one.

    Parameters
    ----------
    path : Path
        The file, which is there.

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
        self._size = 0
        # Two, so that on systems that cannot read at an offset readers do not move the writer.
        self._writer = os.open(path, os.O_RDWR | _BINARY)
        weakref.finalize(self, os.close, self._writer).atexit = False
        self._reader = os.open(path, os.O_RDONLY | _BINARY)
        weakref.finalize(self, os.close, self._reader).atexit = False
        self._seek_lock = threading.Lock()
        with path.open("rb", buffering=1 << 20) as file:
            for header, offset, payload in read_records(file, self.acquisition_id):
                self._count(header.record._replace(payload=payload), offset, header.time_ns)

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
        offset = self._offset_of(sequence) - HEADER_BYTES
        header = unpack_header(self._read_at(offset, HEADER_BYTES))
        if header is None:
            raise self._damaged()
        return header.time_ns

    def is_recent(self, sequence: int) -> bool:
        """Return whether a record was written so lately that reading it will not wait."""
        return self._size - self._offset_of(sequence) < _RECENT_BYTES

    def write(self, records: Sequence[Record]) -> None:
        """Write records behind those that there are; they count only after `accept`."""
        now = time.time_ns()
        group = self.records.next_sequence
        data = memoryview(
            b"".join(
                part
                for record in records
                for part in (pack_header(record, group, now), record.payload)
            )
        )
        os.lseek(self._writer, self._size, os.SEEK_SET)
        while data:
            data = data[os.write(self._writer, data) :]

    def sync(self) -> None:
        """Wait until what was written is on disk."""
        _sync_data(self._writer)

    def accept(self, records: Sequence[Record]) -> None:
        """Count records that were written and synced."""
        now = time.time_ns()
        for record in records:
            self._count(record, self._size + HEADER_BYTES, now)

    def cut(self) -> None:
        """Remove what is behind the last record that counts: a torn end."""
        excess = os.fstat(self._writer).st_size - self._size
        if excess > 0:
            log.warning("torn end of a log cut", acquisition=self.acquisition_id, bytes=excess)
            os.truncate(self._writer, self._size)

    def reject(self) -> None:
        """Forget what was written and could not be synced."""
        try:
            self.cut()
        except OSError as error:  # the next write begins at the same place all the same
            log.warning("log not cut", acquisition=self.acquisition_id, error=error.strerror)

    def _count(self, record: Record, offset: int, time_ns: int) -> None:
        if record.kind is Kind.STARTED:
            self.started, self.start_time_ns = record.payload, time_ns
        elif record.kind is Kind.EPOCH:
            self.epoch = int.from_bytes(record.payload, "little")
        self._size = offset + len(record.payload)
        if record.kind in NUMBERED:
            self.records.append(record, offset)

    def _offset_of(self, sequence: int) -> int:
        return int(self.records.rows_of(sequence, sequence + 1).offset[0])

    def _read_at(self, offset: int, length: int) -> bytes:
        if hasattr(os, "pread"):
            return os.pread(self._reader, length, offset)
        with self._seek_lock:  # Windows
            os.lseek(self._reader, offset, os.SEEK_SET)
            return os.read(self._reader, length)

    def _damaged(self) -> FormatError:
        return FormatError(f"the log of the acquisition {self.acquisition_id} is damaged")


class FileLogs:
    """Keeps logs as files in a folder.

    Parameters
    ----------
    folder : Path
        Made if it is not there.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with writing():
            folder.mkdir(parents=True, exist_ok=True)
        self._pool = ThreadPoolExecutor(_SYNC_THREADS, thread_name_prefix="log-sync")

    def create(self, acquisition_id: str, records: Sequence[Record]) -> FileLog:
        """Make a log of its first records, on disk when this returns."""
        path = self._path(acquisition_id)
        with writing():
            path.touch(exist_ok=False)
            try:
                created = FileLog(path)
                created.write(records)
                created.sync()
                sync_folder(self._folder)
            except BaseException:
                path.unlink(missing_ok=True)
                raise
        created.accept(records)
        return created

    def open(self, acquisition_id: str, *, to_append: bool) -> FileLog:
        """Open a log; one that is to be appended to loses its torn end."""
        try:
            opened = FileLog(self._path(acquisition_id))
        except FileNotFoundError as error:
            raise RevisionExpiredError(
                f"the log of the acquisition {acquisition_id} is no longer kept"
            ) from error
        if to_append:
            with writing():
                opened.cut()
        return opened

    def remove(self, acquisition_id: str) -> None:
        """Remove a log; who reads it reads on."""
        remove(self._path(acquisition_id))

    def commit(self, groups: Mapping[SpikeLog, Sequence[Record]]) -> dict[SpikeLog, OSError]:
        """Append records to logs and make them durable: each one, or none of a log."""
        failed: dict[SpikeLog, OSError] = {}
        written: dict[FileLog, Sequence[Record]] = {}
        for target, records in groups.items():
            assert isinstance(target, FileLog)
            try:
                target.write(records)
                written[target] = records
            except OSError as error:
                target.reject()
                failed[target] = error
        # At once: the file system makes one journal entry of what it is told together.
        for file, cause in self._sync(list(written)).items():
            if cause is not None:
                file.reject()
                failed[file] = cause
            else:
                file.accept(written[file])
        return failed

    def expire(self, keep: Container[str], before: float) -> None:
        """Remove the logs, but for some, that nothing was written to since a time."""
        for path in self._folder.glob("*" + _SUFFIX):
            with suppress(OSError):
                if path.stem not in keep and path.stat().st_mtime < before:
                    path.unlink()
                    log.info("log expired", acquisition=path.stem)

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown()

    def _sync(self, logs: list[FileLog]) -> dict[FileLog, OSError | None]:
        if len(logs) == 1:
            return {logs[0]: _sync_error(logs[0])}
        return dict(zip(logs, self._pool.map(_sync_error, logs), strict=True))

    def _path(self, acquisition_id: str) -> Path:
        return self._folder / (acquisition_id + _SUFFIX)


def _sync_error(target: FileLog) -> OSError | None:
    try:
        target.sync()
    except OSError as error:
        return error
    return None
