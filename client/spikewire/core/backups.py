"""Where an old sorting waits while a new one takes its place."""

from __future__ import annotations

from pathlib import Path

BACKUP_SUFFIX = ".spikewire-backup"


def backup_path(path: Path) -> Path:
    """What is replaced at a path lies here between two renames.

    It is there after a save only if the machine stopped between them; then it is the
    whole old sorting.
    """
    return path.with_name(path.name + BACKUP_SUFFIX)


def missing(path: Path, what: str) -> str:
    """Say that nothing lies at a path, and where the old sorting does if a save was interrupted.

    Parameters
    ----------
    path : Path
    what : str
        What was looked for: "folder", "file".
    """
    message = f"there is no {what} {path}"
    if path.name and backup_path(path).exists():
        message += (
            "; a save that was to replace it was interrupted, and what was there before "
            f"lies in {backup_path(path)}"
        )
    return message
