"""Where spools are if the user does not say it."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def default_spool_folder() -> Path:
    """Return the folder for spools of this user.

    It lies where the system keeps a user's data: below ``%LOCALAPPDATA%`` on Windows,
    ``~/Library/Application Support`` on macOS, ``$XDG_DATA_HOME`` (``~/.local/share``)
    elsewhere.
    """
    if sys.platform == "win32":
        data = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        data = Path.home() / "Library" / "Application Support"
    else:
        data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(data) / "spikewire" / "spool"
