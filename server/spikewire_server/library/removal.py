"""Removes what nobody needs any more."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

import structlog

log = structlog.get_logger(__name__)


def remove(path: Path) -> None:
    """Remove a file or folder, or as much of it as goes; the next start tries the rest again."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink(missing_ok=True)
    if os.path.lexists(path):
        log.warning("a leftover stays until the next start", path=str(path))
