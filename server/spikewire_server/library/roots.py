"""Roots: folders of the operator's, in which sortings are found and never written.

A name below a root is looked up component by component in the listings of its folders.
It is never joined to a path unseen, so case, "..", drives and devices of the system mean
nothing in it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import structlog

from spikewire.extractors.formats import Format, recognise
from spikewire.extractors.saving import is_leftover
from spikewire_server.library.names import first_component, is_name

if TYPE_CHECKING:
    from spikewire_server.settings import Root


log = structlog.get_logger(__name__)


class Found(NamedTuple):
    """A sorting below a root."""

    name: str
    path: Path
    format: Format
    root: Root


class _Place(NamedTuple):
    """A file or folder below a root, and what leads to it."""

    name: str
    path: Path
    root: Root
    is_folder: bool
    real: Path
    """Where it lies when all links are followed."""
    above: frozenset[Path]
    """Where the folders lie that lead to it."""


class Roots:
    """Finds sortings below some folders.

    Parameters
    ----------
    roots : iterable of Root
        The folders, with labels that differ.
    store : Path
        The store's folder, which is passed over if it lies below a root.
    """

    def __init__(self, roots: Iterable[Root], store: Path) -> None:
        self._roots = {root.label: root for root in roots}
        self._store = store.resolve()
        self._complained: set[str] = set()  # of what was logged, so that scans do not repeat it

    @property
    def labels(self) -> Collection[str]:
        """The labels of all roots."""
        return self._roots.keys()

    def root_of(self, name: str) -> Root | None:
        """Return the root that a name belongs to, whether or not something is there."""
        return self._roots.get(first_component(name))

    def locate(self, name: str) -> Found | None:
        """Return the sorting that has a name now; None if there is none."""
        root = self.root_of(name)
        if root is None:
            return None
        place = _top(root)
        for component in name.split("/")[1:]:
            if not place.is_folder or self._format_of(place) is not None:
                return None  # what a sorting consists of has no names
            child = next(self._children(place, component), None)
            if child is None:
                return None
            place = child
        format_ = self._format_of(place)
        return None if format_ is None else Found(name, place.path, format_, root)

    def scan(self, stopped: Callable[[], bool] = lambda: False) -> Iterator[Found]:
        """Yield every sorting, in no particular order, until told to stop."""
        places = [_top(root) for root in self._roots.values()]
        while places and not stopped():
            place = places.pop()
            format_ = self._format_of(place)
            if format_ is not None:
                yield Found(place.name, place.path, format_, place.root)
            elif place.is_folder:
                places.extend(self._children(place))

    def _format_of(self, place: _Place) -> Format | None:
        try:
            return recognise(place.path)
        except OSError as error:
            self._complain("cannot be read and is left out", place.path, error.strerror)
            return None

    def _children(self, place: _Place, only: str | None = None) -> Iterator[_Place]:
        """Yield what may have names of its own in a folder, all or the one that is listed so."""
        try:
            with os.scandir(place.path) as listing:
                entries = [entry for entry in listing if only is None or entry.name == only]
        except OSError as error:
            self._complain("cannot be listed and is left out", place.path, error.strerror)
            return
        above = place.above | {place.real}
        for entry in entries:
            path = place.path / entry.name
            if entry.name.startswith(".") or is_leftover(path):
                continue
            name = f"{place.name}/{entry.name}"
            if not is_name(name):
                self._complain("has no possible name and is left out", path, repr(name))
                continue
            try:
                real = path.resolve(strict=True) if entry.is_symlink() else place.real / entry.name
                mode = entry.stat().st_mode
            except (OSError, RuntimeError):  # gone since, or a link to nothing or to itself
                continue
            if not real.is_relative_to(place.root.path):
                self._complain("leads out of the root and is not followed", path, str(real))
            elif real in above or real == self._store:
                continue
            elif stat.S_ISDIR(mode) or stat.S_ISREG(mode):
                yield _Place(name, path, place.root, stat.S_ISDIR(mode), real, above)

    def _complain(self, what: str, path: Path, why: str | None) -> None:
        key = f"{what} {path!r}"
        if key not in self._complained:
            self._complained.add(key)
            log.warning(what, path=ascii(str(path)), why=why)


def _top(root: Root) -> _Place:
    return _Place(root.label, root.path, root, True, root.path, frozenset())
