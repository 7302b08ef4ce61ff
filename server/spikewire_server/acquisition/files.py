"""Logs as files, one a log, behind one journal."""

from __future__ import annotations

import os
from collections.abc import Container, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import structlog

from spikewire.core.errors import FormatError, RevisionExpiredError
from spikewire_server.acquisition.file_log import FileLog, rows_path
from spikewire_server.acquisition.journal import (
    Entry,
    Journal,
    journals,
    next_path,
    read_entries,
    sync_data,
)
from spikewire_server.acquisition.log import SpikeLog
from spikewire_server.acquisition.record import Record
from spikewire_server.acquisition.row_file import Mark
from spikewire_server.library.file_access import open_file, write_at
from spikewire_server.library.object_writer import sync_folder, writing
from spikewire_server.library.removal import remove

log = structlog.get_logger(__name__)

_SUFFIX = ".log"
_JOURNAL_BYTES = 32 * 1024 * 1024


class FileLogs:
    """Keeps logs as files in a folder, which only this process uses.

    Parameters
    ----------
    folder : Path
        Made if it is not there.
    journal_bytes : int
        How long a file of the journal gets before the next one is begun.

    Raises
    ------
    StoreUnwritableError
        If the folder cannot be used.
    """

    def __init__(self, folder: Path, journal_bytes: int = _JOURNAL_BYTES) -> None:
        self._folder = folder
        self._journal_bytes = journal_bytes
        with writing():
            folder.mkdir(parents=True, exist_ok=True)
            self._replay()
            self._journal = Journal(next_path(folder))
        self._following: Future[Journal] | None = None  # the next file, once somebody writes
        self._unsynced: dict[FileLog, None] = {}  # what the journal is for; a set with an order
        self._syncing = ThreadPoolExecutor(1, thread_name_prefix="log-sync")

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
                remove(path)
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
        except OSError as error:
            raise FormatError(
                f"the log of the acquisition {acquisition_id} cannot be read: {error.strerror}"
            ) from error
        if to_append:
            with writing():
                opened.cut()
                # What a killed process wrote to it and not to the journal counts from now on.
                opened.sync()
        return opened

    def remove(self, acquisition_id: str) -> None:
        """Remove a log; who reads it reads on."""
        path = self._path(acquisition_id)
        remove(path)
        remove(rows_path(path))

    def commit(self, groups: Mapping[SpikeLog, Sequence[Record]]) -> dict[SpikeLog, OSError]:
        """Append records to logs and make them durable: of each log all, or none."""
        failed: dict[FileLog, OSError] = {}
        written: dict[FileLog, Entry] = {}
        for file, records in groups.items():
            assert isinstance(file, FileLog)
            try:
                data = file.write(records)
                written[file] = Entry(file.acquisition_id, file.size, data)
            except OSError as error:
                failed[file] = error
        try:
            self._journal.write(written.values())
        except OSError as error:
            failed |= dict.fromkeys(written, error)
        else:
            for file in written:
                file.accept(groups[file])
                self._unsynced[file] = None
        for file in failed:
            with suppress(OSError):  # else before the next record
                file.cut()
        if self._journal.size > self._journal.room:
            self._rotate()
        return dict(failed.items())

    def expire(self, keep: Container[str], before: float) -> None:
        """Remove the logs, but for some, that nothing was written to since a time."""
        for path in self._folder.glob("*" + _SUFFIX):
            with suppress(OSError):
                if path.stem not in keep and path.stat().st_mtime < before:
                    path.unlink()
                    rows_path(path).unlink(missing_ok=True)
                    log.info("log expired", acquisition=path.stem)

    def close(self) -> None:
        """Sync the logs, so that the journal is not needed any more."""
        self._syncing.shutdown()
        if self._following is not None:
            with suppress(OSError):
                unused = self._following.result()
                unused.close()
                unused.path.unlink()
        self._journal.close()
        _retire(self._journal.path, self._marks())

    def _rotate(self) -> None:
        """Go on with the next file of the journal when it is ready; this one does until then.

        The file before goes when the logs are synced.
        """
        if self._following is None:
            path = next_path(self._folder)
            self._following = self._syncing.submit(Journal, path, self._journal_bytes)
        if not self._following.done():
            return
        ready, self._following = self._following, None
        try:
            following = ready.result()
        except OSError as error:
            log.warning("journal not rotated", error=error.strerror)
            self._journal.room = self._journal.size + self._journal_bytes  # and then again
            return
        self._journal.close()
        self._syncing.submit(_retire, self._journal.path, self._marks())
        self._journal = following
        self._unsynced.clear()

    def _marks(self) -> list[tuple[FileLog, Mark]]:
        return [(target, target.mark) for target in self._unsynced]

    def _replay(self) -> None:
        """Put back into the logs what a crash of the machine took from them."""
        for path in journals(self._folder):
            files: dict[str, int] = {}
            try:
                for entry in read_entries(path):
                    self._put_back(entry, files)
                for file in files.values():
                    sync_data(file)
            finally:
                for file in files.values():
                    os.close(file)
            path.unlink()
        sync_folder(self._folder)

    def _put_back(self, entry: Entry, files: dict[str, int]) -> None:
        name = entry.acquisition_id
        if name not in files:
            try:
                files[name] = open_file(self._path(name), os.O_RDWR)
            except FileNotFoundError:  # removed since
                return
        write_at(files[name], entry.offset, entry.data)

    def _path(self, acquisition_id: str) -> Path:
        return self._folder / (acquisition_id + _SUFFIX)


def _retire(journal: Path, marks: list[tuple[FileLog, Mark]]) -> None:
    """Sync logs, and remove the file of the journal that was there for them."""
    try:
        for target, _ in marks:
            target.sync()
        journal.unlink()
    except OSError as error:  # it stays until the next start, which puts back what is in it
        log.error("log not synced, journal kept", journal=journal.name, error=error.strerror)
        return
    try:
        for target, mark in marks:
            target.save_rows(mark)
    except OSError as error:  # the next start takes longer
        log.warning("table of a log not saved", error=error.strerror)
