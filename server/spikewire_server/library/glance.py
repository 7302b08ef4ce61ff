"""Whether files that are not ours may have changed, without opening one of them."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import NamedTuple

_MAX_FOLDERS = 32
# Clocks of file systems are coarse, up to two seconds: what changed a moment ago may
# change again without its time changing.
_SETTLED_NS = 2_000_000_000


class _Status(NamedTuple):
    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int  # of every change, also of one that sets the mtime back


class Glance:
    """What the system said of some files, and of every folder that more could appear in.

    To look at a sorting is to list its folders, and to open and digest its files. Before
    and after every read, that took longer than a small read itself; while nothing of
    what is compared here differs, it would say the same again.

    Parameters
    ----------
    statuses : dict
        The status of each path; None if it was missing.
    """

    def __init__(self, statuses: dict[str, _Status | None]) -> None:
        self._statuses = statuses

    @classmethod
    def at(cls, base: Path, files: Iterable[Path]) -> Glance | None:
        """Glance at the files of a sorting, before they are looked at.

        Returns
        -------
        Glance or None
            None where a change could be missed: something has changed a moment ago, there
            are too many folders, or the system (Windows) keeps no time of changes.
        """
        if os.name == "nt":
            return None
        folder = base if base.is_dir() else base.parent
        below = list(islice(os.walk(folder), _MAX_FOLDERS + 1))
        if len(below) > _MAX_FOLDERS:
            return None
        paths = {place for place, _, _ in below} | {str(file) for file in files}
        paths |= {os.path.dirname(path) for path in paths}  # symbolic links lead elsewhere
        statuses = {path: _status(path) for path in paths}
        changes = (max(found.mtime_ns, found.ctime_ns) for found in statuses.values() if found)
        newest = max(changes, default=0)
        return cls(statuses) if time.time_ns() - newest > _SETTLED_NS else None

    def holds(self) -> bool:
        """Whether a glance would show the same now."""
        return all(_status(path) == status for path, status in self._statuses.items())


def _status(path: str) -> _Status | None:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return _Status(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
