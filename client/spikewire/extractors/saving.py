"""Saves that are whole or absent, and keys that can be file names everywhere."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from spikewire.core.backups import BACKUP_SUFFIX, backup_path
from spikewire.core.errors import InvalidNameError, SortingExistsError
from spikewire.extractors.exchange import exchange

_PARTIAL_SUFFIX = ".spikewire-partial"

# 255 bytes is the limit of a name in most file systems; ".npy" is added to it.
_MAX_KEY_BYTES = 240
_NOT_PORTABLE = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f]')
_WINDOWS_DEVICES = frozenset(
    ["con", "prn", "aux", "nul"]
    + [f"{port}{digit}" for port in ("com", "lpt") for digit in "0123456789¹²³"]
)


def is_leftover(path: Path) -> bool:
    """Whether this is a save under way or interrupted, not a sorting to list."""
    return path.name.endswith((BACKUP_SUFFIX, _PARTIAL_SUFFIX))


@contextmanager
def new_folder(path: str | os.PathLike[str], *, overwrite: bool = False) -> Iterator[Path]:
    """Make a folder that appears at ``path`` only when it is whole.

    Yields a folder beside it to write into. When the block ends, everything in
    it is synced to disk and renamed to ``path``; when the block raises, it is
    removed and ``path`` is as it was.

    Parameters
    ----------
    path : str or Path
        The folder to make; missing parents are made.
    overwrite : bool, default: False
        Whether an existing folder is replaced. It is there until the new one is
        whole.

    Raises
    ------
    SortingExistsError
        If something is there already and is not to be overwritten.
    """
    with _aside(path, overwrite) as (path, aside):
        aside.mkdir()
        yield aside
        for folder, _, names in os.walk(aside):
            for name in names:
                _sync(Path(folder, name))
            _sync(Path(folder))


@contextmanager
def new_file(path: str | os.PathLike[str], *, overwrite: bool = False) -> Iterator[Path]:
    """Make a file that appears at ``path`` only when it is whole.

    As `new_folder`, for one file. Yields the path to write to.

    Raises
    ------
    SortingExistsError
        If something is there already and is not to be overwritten.
    """
    with _aside(path, overwrite) as (path, aside):
        yield aside
        _sync(aside)


def check_file_names(keys: Iterable[str]) -> None:
    """Check that property keys can be names of files on every system.

    Parameters
    ----------
    keys : iterable of str
        The keys that are to become ``<key>.npy``.

    Raises
    ------
    InvalidNameError
        If a key cannot be the name of a file on some system, or two of them
        differ by case or Unicode form only and so would be one file on some.
    """
    seen: dict[str, str] = {}
    for key in keys:
        problem = _name_problem(key)
        if problem:
            raise InvalidNameError(f"the property key {key!r} cannot become a file name: {problem}")
        folded = unicodedata.normalize("NFC", key).casefold()
        if folded in seen:
            raise InvalidNameError(
                f"the property keys {seen[folded]!r} and {key!r} differ by case or Unicode form "
                "only, and would be one file on some systems"
            )
        seen[folded] = key


def _name_problem(key: str) -> str:
    if not key:
        return "it is empty"
    if match := _NOT_PORTABLE.search(key):
        return f"it contains {match[0]!r}"
    if key[0] in ". " or key[-1] in ". ":
        return "it begins or ends with a space or a dot"
    if key.partition(".")[0].rstrip().casefold() in _WINDOWS_DEVICES:
        return "Windows reserves it for a device"
    try:
        length = len(key.encode())
    except UnicodeEncodeError:
        return "it is not valid Unicode"
    return f"it is longer than {_MAX_KEY_BYTES} bytes" if length > _MAX_KEY_BYTES else ""


@contextmanager
def _aside(path: str | os.PathLike[str], overwrite: bool) -> Iterator[tuple[Path, Path]]:
    """Yield the path and a free one beside it, which is renamed to it in the end."""
    path = Path(path).absolute()
    _refuse_existing(path, overwrite)
    new_parents = [parent for parent in path.parents if not parent.exists()]
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}{_PARTIAL_SUFFIX}")
    try:
        yield path, aside
        _refuse_existing(path, overwrite)
        _replace(aside, path)
    except BaseException:
        _remove(aside)
        for parent in new_parents:
            with suppress(OSError):
                parent.rmdir()
        raise


def _refuse_existing(path: Path, overwrite: bool) -> None:
    if not overwrite and os.path.lexists(path):
        raise SortingExistsError(f"{path} exists already; give overwrite=True to replace it")


def _replace(new: Path, path: Path) -> None:
    """Put ``new`` where ``path`` is; a folder cannot be renamed onto a full one."""
    backup = backup_path(path)
    if os.path.lexists(path) and exchange(new, path):
        _sync(path.parent)
        _remove(new)
    elif os.path.lexists(path):
        _remove(backup)
        os.replace(path, backup)
        try:
            os.replace(new, path)
        except BaseException:
            os.replace(backup, path)
            raise
    else:
        os.replace(new, path)
    _sync(path.parent)
    _remove(backup)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    """Wait until the disk has it; Windows can neither open nor sync a folder."""
    if os.name == "nt" and path.is_dir():
        return
    handle = os.open(path, os.O_RDWR if path.is_file() and os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
