"""Spools that nobody will go on with: found by what they say of themselves, and removed."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from spikewire.core.errors import (
    NotRecordingError,
    RevisionExpiredError,
    SortingNotFoundError,
    SpikewireError,
)
from spikewire.core.folder_lock import FolderLock
from spikewire.remote.calls import call
from spikewire.remote.channel import Connection
from spikewire.remote.live.spool import LABEL, remove_spool
from spikewire.remote.live.spool_file import SUFFIX
from spikewire.remote.methods import GET_ACQUISITION
from spikewire.remote.target import Target
from spikewire.v1 import acquisition_service_pb2 as pb

log = logging.getLogger(__name__)

KEEP_SECONDS = 30 * 24 * 3600
"""How long a spool is kept that has nowhere to go: somebody may want what was never sent."""


def label_spool(folder: Path, target: Target, name: str) -> None:
    """Note beside a spool what it belongs to."""
    with suppress(OSError):  # of a disk without room: then the spool is kept for ever
        (folder / LABEL).write_text(f"{target}\n{name}\n", encoding="utf-8")


def remove_old_spools(connection: Connection, spools: Path) -> None:
    """Remove the spools of a server that it would not take any more, a month after their end.

    What keeps one from being looked at keeps it.
    """
    for folder, name in _left_spools(connection.target, spools):
        try:
            if not _is_recorded(connection, name, folder.name):
                lock = FolderLock(folder / "lock", "spool")  # not while somebody goes on with it
                remove_spool(folder, lock)
                log.warning("removed the spool %s: %r is no longer recorded", folder, name)
        except (SpikewireError, OSError) as error:
            log.debug("the spool %s is kept: %s", folder, error)


def _left_spools(target: Target, spools: Path) -> Iterator[tuple[Path, str]]:
    left_before = time.time() - KEEP_SECONDS
    for label in spools.glob(f"*/{LABEL}"):
        with suppress(OSError, ValueError):
            written = [label, *label.parent.glob(f"*{SUFFIX}")]
            if max(path.stat().st_mtime for path in written) < left_before:
                where, name = label.read_text(encoding="utf-8").splitlines()
                if where == str(target):
                    yield label.parent, name


def _is_recorded(connection: Connection, name: str, acquisition_id: str) -> bool:
    try:
        request = pb.GetAcquisitionRequest(name=name)
        acquisition = connection.run(call(GET_ACQUISITION, request)).acquisition
    except (SortingNotFoundError, NotRecordingError, RevisionExpiredError):
        return False
    return acquisition.acquisition_id == acquisition_id and not acquisition.finished
