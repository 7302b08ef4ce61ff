"""What a rig has appended and the server has not acknowledged: numbered records on disk."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from spikewire.core.errors import FormatError, SpoolFullError
from spikewire.core.folder_lock import FolderLock
from spikewire.remote.live.records import Draft, Record
from spikewire.remote.live.spool_file import SUFFIX, SpoolFile, pack, recover, unpack

FILE_BYTES = 4 * 1024 * 1024
"""From what size on a file is followed by another one: only whole files are removed."""
LABEL = "acquisition.txt"
"""The file beside the records that says what they belong to."""
_FEWEST_FILES = 8
"""Into how many files, at least, a full spool is divided, so that acknowledged ones make room."""


class Spool:
    """Records in the files of a folder, which one process may write.

    What `append` took survives the process, and a power cut if it is synced. Safe to
    use from many threads.

    Parameters
    ----------
    folder : Path
        Made if it is not there.
    max_bytes : int
        How large it may become.
    sync : bool
        Whether `append` waits until the disk has it.

    Raises
    ------
    StoreUnwritableError
        Another process has it.
    OSError
        It cannot be made or read.
    """

    def __init__(self, folder: Path, max_bytes: int, sync: bool = False) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._max_bytes = max_bytes
        self._file_bytes = min(FILE_BYTES, max_bytes // _FEWEST_FILES)
        self._sync = sync
        self._lock = threading.Lock()
        self._process_lock = FolderLock(folder / "lock", "spool")
        try:
            self._files = recover(folder)
        except BaseException:
            self._process_lock.close()
            raise
        self._next_sequence = self._files[-1].next_sequence if self._files else 1

    @property
    def next_sequence(self) -> int:
        """The sequence that the next record gets."""
        return self._next_sequence

    @property
    def size(self) -> int:
        """How many bytes the records take; asked without waiting for one that is written."""
        return sum(file.end for file in self._files.copy())

    def skip_to(self, sequence: int) -> None:
        """Give the next record no sequence below this one: those are elsewhere."""
        with self._lock:
            if sequence > self._next_sequence:
                self._seal()
                self._next_sequence = sequence

    def append(self, drafts: Sequence[Draft]) -> None:
        """Number records and write them: all or, if that fails, none.

        Raises
        ------
        SpoolFullError
            There is no room for them.
        """
        now = time.time_ns()
        with self._lock:
            data = b"".join(
                pack(Record(draft.kind, number, draft.payload, draft.spike_count, now))
                for number, draft in enumerate(drafts, self._next_sequence)
            )
            if self.size + len(data) > self._max_bytes:
                raise SpoolFullError(
                    f"the spool {self.folder} holds {self.size:,} bytes for the server, and "
                    f"{self._max_bytes:,} is its limit"
                )
            try:
                self._writable_file().write(data, len(drafts), self._sync)
            except OSError as error:
                raise SpoolFullError(
                    f"the spool {self.folder} cannot be written: {error.strerror or error}"
                ) from error
            self._next_sequence += len(drafts)

    def trim(self, sequence: int) -> None:
        """Remove the files, but for the last one, that hold only records below a sequence."""
        with self._lock:
            while len(self._files) > 1 and self._files[0].next_sequence <= sequence:
                try:
                    self._files[0].path.unlink(missing_ok=True)
                except PermissionError:  # on Windows, while somebody has it open
                    return
                del self._files[0]

    def close(self) -> None:
        """Let another process have it."""
        with self._lock:
            self._seal()
        self._process_lock.close()

    def remove(self) -> None:
        """Close it, and remove it from the disk."""
        with self._lock:
            self._seal()
        try:
            for path in [*self.folder.glob(f"*{SUFFIX}"), self.folder / LABEL]:
                path.unlink(missing_ok=True)
        finally:
            self._process_lock.close()
        with suppress(OSError):  # somebody may just be asking for the lock
            (self.folder / "lock").unlink()
            self.folder.rmdir()

    def find(self, sequence: int) -> tuple[SpoolFile, int] | None:
        """Return the file with the first record at or behind a sequence, and where it ends."""
        with self._lock:
            for file in self._files:
                if file.next_sequence > sequence:
                    return file, file.end
        return None

    def _writable_file(self) -> SpoolFile:
        if not self._files or self._files[-1].is_sealed or self._files[-1].end >= self._file_bytes:
            self._seal()
            self._files.append(SpoolFile.create(self.folder, self._next_sequence))
        return self._files[-1]

    def _seal(self) -> None:
        if self._files:
            self._files[-1].seal()


class SpoolReader:
    """Reads a spool from some record on, also while it grows; for one thread at a time.

    Parameters
    ----------
    spool : Spool
        What to read.
    sequence : int
        Where to begin.
    """

    def __init__(self, spool: Spool, sequence: int = 1) -> None:
        self._spool = spool
        self._sequence = sequence
        self._file: SpoolFile | None = None
        self._stream: io.FileIO | None = None

    @property
    def has_more(self) -> bool:
        """Whether there may be records that were not read."""
        return self._sequence < self._spool.next_sequence

    def read(self, max_bytes: int) -> list[Record]:
        """Return the next records: as many as fit, one if it is larger, none if there are none.

        Raises
        ------
        FormatError
            A file is damaged.
        """
        while (found := self._spool.find(self._sequence)) is not None:
            records = self._read(*found, max_bytes)
            if records:
                return records
        self._sequence = self._spool.next_sequence
        return []

    def close(self) -> None:
        """Let go of the file."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def _read(self, file: SpoolFile, end: int, max_bytes: int) -> list[Record]:
        if file is not self._file or self._stream is None:
            self.close()
            self._file, self._stream = file, io.FileIO(file.path)
        first, start = self._sequence, self._stream.tell()
        for size in (min(max_bytes, end - start), end - start):
            self._stream.seek(start)
            records, used = unpack(self._stream.read(size))
            if records:
                break
        else:
            raise FormatError(f"the spool file {file.path} is damaged at byte {start}")
        self._stream.seek(start + used)
        self._sequence = max(first, records[-1].sequence + 1)
        return [record for record in records if record.sequence >= first]
