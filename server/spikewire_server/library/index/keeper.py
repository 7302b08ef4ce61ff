"""Keeps the indexes: opens them, builds them in the background, drops the oldest."""

from __future__ import annotations

import hashlib
import os
import queue
import shutil
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from pathlib import Path

import structlog

from spikewire.core.errors import SpikewireError
from spikewire_server.library.index.build import Columns, build_index
from spikewire_server.library.index.layout import description_path
from spikewire_server.library.index.read import Index
from spikewire_server.library.index.records import DamagedIndexError
from spikewire_server.library.index.trains import AbandonedError

log = structlog.get_logger(__name__)

MAX_OPEN = 64
"""How many indexes are kept open; a closed one is opened again in a moment."""

Segments = Callable[[], Iterable[Iterable[Columns]]]


class IndexKeeper:
    """The indexes of a server, one a revision, within a budget of disk.

    An index is derived and may vanish at any moment: whoever holds one goes on
    with it, whoever asks later is answered without.

    Parameters
    ----------
    folder : Path
        Where the indexes lie; it is the keeper's own.
    max_bytes : int
        How much disk they may take; the least recently used ones go.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._lock = threading.Lock()  # guards the two below; never held while building
        self._open: OrderedDict[str, Index] = OrderedDict()
        self._wanted: set[str] = set()
        self._queue: queue.SimpleQueue[tuple[str, int, Segments] | None] = queue.SimpleQueue()
        self._stopped = threading.Event()
        self._told_of_failure = False
        self._builder = threading.Thread(target=self._build_all, name="indexer", daemon=True)

    def start(self) -> None:
        """Remove what a crash left half-built, and begin to build what is asked for."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for leftover in self._folder.glob(".*"):
            shutil.rmtree(leftover, ignore_errors=True)
        self._builder.start()

    def close(self) -> None:
        """Give up what is being built."""
        self._stopped.set()
        self._queue.put(None)
        if self._builder.is_alive():
            self._builder.join()
        with self._lock:
            self._open.clear()

    def opened(self, revision: str) -> Index | None:
        """Return the index of a revision if it is open; the disk is not asked."""
        with self._lock:
            index = self._open.get(revision)
            if index is not None:
                self._open.move_to_end(revision)
            return index

    def get(self, revision: str) -> Index | None:
        """Return the index of a revision, None if there is none (yet)."""
        index = self.opened(revision)
        if index is not None:
            return index
        folder = self._path(revision)
        if not description_path(folder).exists():
            return None
        try:
            index = Index(folder, revision)
        except DamagedIndexError as error:
            self.discard(revision, error)
            return None
        os.utime(folder)  # used now
        with self._lock:
            self._open[revision] = index
            while len(self._open) > MAX_OPEN:
                self._open.popitem(last=False)
        return index

    def want(self, revision: str, unit_count: int, segments: Segments) -> None:
        """Have the index of a revision built in the background, unless it is on its way.

        Parameters
        ----------
        segments : callable
            Gives the spikes of each segment, block by block, when their turn
            has come.
        """
        with self._lock:
            if revision in self._wanted:
                return
            self._wanted.add(revision)
        self._queue.put((revision, unit_count, segments))

    def discard(self, revision: str, error: DamagedIndexError) -> None:
        """Remove an index that was found damaged; whoever wants it has it built anew."""
        log.warning("index damaged, to be built anew", revision=revision, error=str(error))
        with self._lock:
            self._open.pop(revision, None)
            self._wanted.discard(revision)
        shutil.rmtree(self._path(revision), ignore_errors=True)

    def _path(self, revision: str) -> Path:
        # A revision may hold any text; a folder's name may not.
        return self._folder / hashlib.blake2b(revision.encode(), digest_size=16).hexdigest()

    def _build_all(self) -> None:
        while (wanted := self._queue.get()) is not None:
            revision, unit_count, segments = wanted
            try:
                self._build(revision, unit_count, segments)
            except AbandonedError:
                return
            except (OSError, SpikewireError) as error:
                self._tell(revision, error)
            except Exception:
                log.exception("indexing failed", revision=revision)
            finally:
                with self._lock:
                    self._wanted.discard(revision)

    def _build(self, revision: str, unit_count: int, segments: Segments) -> None:
        if self.get(revision) is not None:
            return
        build_index(self._path(revision), revision, unit_count, segments(), self._stopped.is_set)
        self._told_of_failure = False
        self._make_room(revision)

    def _tell(self, revision: str, error: Exception) -> None:
        """Log a failure once until one succeeds: a full disk fails at every read."""
        if not self._told_of_failure:
            log.warning("not indexed; served without", revision=revision, error=str(error))
        self._told_of_failure = True

    def _make_room(self, newest: str) -> None:
        kept = self._path(newest)
        folders = sorted(
            (path for path in self._folder.iterdir() if not path.name.startswith(".")),
            key=lambda path: path.stat().st_mtime_ns,
        )
        sizes = {path: sum(file.stat().st_size for file in path.iterdir()) for path in folders}
        excess = sum(sizes.values()) - self._max_bytes
        for folder in folders:
            if excess <= 0:
                return
            if folder != kept:
                log.info("index dropped to make room", index=folder.name, bytes=sizes[folder])
                shutil.rmtree(folder, ignore_errors=True)
                excess -= sizes[folder]
