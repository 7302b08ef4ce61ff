"""Where `save(name=...)` saves: the folder for sortings that are named instead of placed."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path, PurePath

from spikewire.core.errors import InvalidNameError

_chosen: Path | None = None


def get_global_tmp_folder() -> Path:
    """The folder that `save(name=...)` saves in; made on first use, another in each process."""
    global _chosen
    if _chosen is None:
        base = Path(tempfile.gettempdir(), "spikewire_cache")
        base.mkdir(exist_ok=True)
        _chosen = Path(tempfile.mkdtemp(dir=base))
    _chosen.mkdir(parents=True, exist_ok=True)
    return _chosen


def set_global_tmp_folder(folder: str | os.PathLike[str]) -> None:
    """Let `save(name=...)` save in a folder of one's own, which is made when it is needed."""
    global _chosen
    _chosen = Path(folder).absolute()


def folder_named(name: str) -> Path:
    """The folder of a sorting that is saved by name.

    Raises
    ------
    InvalidNameError
        If the name is not that of one folder, but a path or nothing.
    """
    if name in ("", "..") or PurePath(name).name != name:
        raise InvalidNameError(f"name= takes the name of one folder, not {name!r}; say folder=")
    return get_global_tmp_folder() / name
