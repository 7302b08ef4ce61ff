"""The store: the server's own folder, one subfolder an object, laid out by id.

An object holds the spikes of one sorting, never changes, and is what
`spikewire.NumpyFolderSorting` reads; what may change is in the catalogue.
"""

from __future__ import annotations

import secrets
import threading
import weakref
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import structlog
from numpy.typing import NDArray

from spikewire.core.errors import StoreUnwritableError
from spikewire.core.folder_lock import FolderLock
from spikewire_server.library.object_writer import ObjectWriter
from spikewire_server.library.removal import remove

log = structlog.get_logger(__name__)


class Lease:
    """Keeps the files of an object until `close`, or until nobody refers to the lease."""

    def __init__(self, store: Store, object_id: str) -> None:
        self.path = store.path_of(object_id)
        self._close = weakref.finalize(self, store._release, object_id)
        self._close.atexit = False  # the next start removes what is left

    def close(self) -> None:
        """Let the files go if the object was discarded."""
        self._close()


class Store:
    """A folder of objects, written by one process at a time.

    Parameters
    ----------
    folder : Path
        Made if it is not there.

    Raises
    ------
    StoreUnwritableError
        If it cannot be made, or another process has it.
    """

    def __init__(self, folder: Path) -> None:
        self._objects = folder / "objects"
        self._uploads = folder / "uploads"
        try:
            self._objects.mkdir(parents=True, exist_ok=True)
            self._uploads.mkdir(exist_ok=True)
            self._process_lock = FolderLock(folder / "lock", "store")
        except OSError as error:
            if isinstance(error, StoreUnwritableError):
                raise
            raise StoreUnwritableError(
                f"the store {folder} cannot be used: {error.strerror}"
            ) from error
        # Guards the two below, and is held while files are removed: an object must not be
        # leased between the last look at its readers and the removal. Reentrant, because
        # the garbage collector may release a lease in the middle of anything.
        self._lock = threading.RLock()
        self._readers: Counter[str] = Counter()
        self._discarded: set[str] = set()

    def close(self) -> None:
        """Let another process have the folder."""
        self._process_lock.close()

    def clean(self, object_ids: set[str]) -> None:
        """Remove what a process that died left behind: all but these objects."""
        leftovers = [*self._uploads.iterdir()]
        leftovers += [path for path in self._objects.iterdir() if path.name not in object_ids]
        for path in leftovers:
            log.info("leftover removed", object=path.name)
            remove(path)

    def path_of(self, object_id: str) -> Path:
        """Return the folder of an object."""
        return self._objects / object_id

    def lease(self, object_id: str) -> Lease | None:
        """Return a lease on an object; None if it was discarded."""
        with self._lock:
            if object_id in self._discarded or not self.path_of(object_id).is_dir():
                return None
            self._readers[object_id] += 1
        return Lease(self, object_id)

    def discard(self, object_id: str) -> None:
        """Remove the files of an object, now or when its last reader is done."""
        with self._lock:
            self._discarded.add(object_id)
            if not self._readers[object_id]:
                self._drop(object_id)

    def _release(self, object_id: str) -> None:
        with self._lock:
            self._readers[object_id] -= 1
            if not self._readers[object_id] and object_id in self._discarded:
                self._drop(object_id)

    def _drop(self, object_id: str) -> None:
        del self._readers[object_id]
        self._discarded.remove(object_id)
        remove(self.path_of(object_id))

    def write(
        self, sampling_frequency: float, unit_ids: NDArray[Any], spike_counts: Sequence[int]
    ) -> ObjectWriter:
        """Return a writer of a new object.

        Raises
        ------
        StoreUnwritableError
            If nothing can be written.
        """
        object_id = secrets.token_hex(16)
        return ObjectWriter(
            self._uploads / object_id,
            self.path_of(object_id),
            sampling_frequency,
            unit_ids,
            spike_counts,
        )
