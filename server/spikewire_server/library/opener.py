"""Opens sortings by name: finds where they lie, and for views what they are made from."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from spikewire.core.errors import DumpError, SortingNotFoundError
from spikewire.wire.dumps import MAX_DUMP_DEPTH
from spikewire.wire.errors import with_metadata
from spikewire_server.library.cache import Cache
from spikewire_server.library.catalogue import Catalogue, SortingRow, find
from spikewire_server.library.entry import Origin
from spikewire_server.library.facts import Facts, Look, Source
from spikewire_server.library.index import IndexKeeper
from spikewire_server.library.names import check_name
from spikewire_server.library.opened import OpenedSorting, revision_mismatch
from spikewire_server.library.overlay import Overlay
from spikewire_server.library.recordings import Recordings
from spikewire_server.library.roots import Found, Roots
from spikewire_server.library.sources import RootSource, StoreSource
from spikewire_server.library.store import Store
from spikewire_server.library.view_nodes import Node, ReaderNode, nesting
from spikewire_server.library.views import ViewSource, node_of, pins_at

if TYPE_CHECKING:
    from spikewire_server.settings import Settings


_MAX_RECENT = 256


class Opener:
    """Opens sortings of roots, store and views."""

    def __init__(
        self,
        settings: Settings,
        roots: Roots,
        store: Store,
        catalogue: Catalogue,
        indexes: IndexKeeper,
        recordings: Recordings,
    ) -> None:
        self._settings = settings
        self._roots = roots
        self._store = store
        self._catalogue = catalogue
        self._indexes = indexes
        self._recordings = recordings
        self._cache = Cache(settings.memory_bytes)
        self._recent = _Recent()
        self._pinned = _Recent()  # of what is recorded, the revision that was asked for last
        catalogue.on_change(self._recent.forget)
        catalogue.on_change(self._pinned.forget)

    def open(self, name: str, revision: str = "") -> OpenedSorting:
        """Open a sorting as it is now.

        Raises
        ------
        InvalidNameError
            If the name cannot be one.
        SortingNotFoundError
            If nothing has the name.
        NeedsSamplingFrequencyError
            If its files lack the rate and none is configured.
        FormatError
            If it cannot be read.
        RevisionMismatchError
            If it is not of the revision that is asked for.
        """
        pinned = self._pinned.get(name)
        if pinned is not None and pinned.revision == revision:
            return pinned
        opened = self._recent.get(name)
        state, pinned_state = self._recent.state, self._pinned.state
        if opened is None or not opened.is_current():
            opened = _Walk(self).open(check_name(name), revision)
            if opened.origin in (Origin.ROOT, Origin.STORE):
                self._recent.keep(name, opened, state)
        if revision not in ("", opened.revision):
            opened = _Walk(self).open(name, revision)  # may be of a recording that has ended
        if revision and opened.look.pins and not opened.look.watched:
            self._pinned.keep(name, opened, pinned_state)  # nothing of it can change
        return opened

    def at_hand(self, name: str, revision: str = "") -> OpenedSorting | None:
        """Return a sorting of the store that was opened a while ago, if it is still the same.

        For the event loop: no disk is asked. Files below roots would have to be looked at,
        and a lost network drive can hold up whoever looks for ever.
        """
        opened = self._recent.get(name)
        if opened is None or opened.origin is not Origin.STORE:
            return None
        return opened if revision in ("", opened.revision) else None

    def source(self, name: str) -> Source:
        """Return where a sorting lies; nothing is read yet.

        Raises
        ------
        InvalidNameError, SortingNotFoundError
            As `open`.
        """
        return self.source_in(_Walk(self), check_name(name))

    def root_source(self, found: Found) -> RootSource:
        """Return a sorting below a root as a source."""
        return RootSource(found, self._settings.sampling_frequency_of(found.name))

    def new_view(self, row: SortingRow) -> ViewSource:
        """Return a view that is not in the catalogue yet."""
        return _view_source(_Walk(self), row)

    def open_source(self, source: Source) -> OpenedSorting:
        """Open what a source has."""
        look = source.look()

        def load() -> Facts:
            return _read_facts(source, look)

        if look.settled:
            key = ("facts", source.name, look.spikes, look.labels)
            facts = self._cache.get(key, load, lambda facts: facts.nbytes)
        else:
            facts = load()
        overlay = Overlay(self._catalogue, source.name, facts)
        return OpenedSorting(source, look, facts, self._cache, self._indexes, overlay)

    def source_in(self, walk: _Walk, name: str, revision: str = "") -> Source:
        """Return where a sorting lies that a walk came to; recordings have many revisions."""
        if self._roots.root_of(name) is not None:
            return self.root_source(self._located(name))
        lost = None
        while True:
            with self._catalogue.read() as connection:
                row = find(connection, name)
            if row is None:
                raise not_found(name)
            if row.origin is Origin.VIEW:
                return _view_source(walk, row)
            if not revision and name in walk.pins:
                revision = f"{row.acquisition_id}.{walk.pins[name]}"
            if row.acquisition_id is not None and (
                row.origin is Origin.ACQUISITION or revision not in ("", row.revision)
            ):
                return self._recordings.source(name, row.acquisition_id, revision)
            lease = self._store.lease(row.object_id or "")
            if lease is not None or row == lost:  # lost, and not replaced in between
                return StoreSource(row, lease)
            lost = row

    def open_as(self, node: ReaderNode) -> OpenedSorting:
        """Open a sorting below a root with a reader that a client chose."""
        found = self._located(node.name)
        if node.reader is found.format.extractor and not node.options:
            return self.open_source(self.root_source(found))
        rate = self._settings.sampling_frequency_of(found.name)
        return self.open_source(RootSource(found, rate, node.reader, node.options))

    def _located(self, name: str) -> Found:
        found = self._roots.locate(name)
        if found is None:
            raise not_found(name)
        return found


class _Recent:
    """The sortings that were opened since the catalogue last changed.

    To look a name up costs more than to read a train. That a name still means the
    same is known because this process alone writes the catalogue.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._opened: dict[str, OpenedSorting] = {}
        self.state = 0

    def get(self, name: str) -> OpenedSorting | None:
        """Return what has a name, if it is known."""
        return self._opened.get(name)

    def keep(self, name: str, opened: OpenedSorting, state: int) -> None:
        """Remember what a name had in a state, unless the catalogue has changed since."""
        with self._lock:
            if state == self.state:
                if len(self._opened) >= _MAX_RECENT:
                    self._opened.clear()
                self._opened[name] = opened

    def forget(self) -> None:
        """Forget everything: the catalogue has changed."""
        with self._lock:
            self.state += 1
            self._opened.clear()


class _Walk:
    """The way from a view to its parents; each is opened once, also by way of other views.

    Parameters
    ----------
    opener : Opener
        Opens them.
    above : tuple of str
        The views that led here.
    depth : int
        How deep their dumps nest together.
    opened : mapping
        What was opened since the first view; shared by all that it led to. Weak, because
        who is opened refers to his walk: every walk holds its own parents.
    pins : mapping
        Up to which records recordings count that are named without a revision.
    """

    def __init__(
        self,
        opener: Opener,
        above: tuple[str, ...] = (),
        depth: int = 0,
        opened: WeakValueDictionary[tuple[str, str], OpenedSorting] | None = None,
        pins: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        self.pins = pins
        self._opener = opener
        self._above = above
        self._depth = depth
        self._opened = WeakValueDictionary() if opened is None else opened
        self._parents: dict[tuple[str, str] | int, OpenedSorting] = {}

    def below(self, name: str, node: Node) -> _Walk:
        """Return the way to the parents of a view."""
        depth = self._depth + max(nesting(node) - 1, 1)  # another name for a sorting is a view too
        return _Walk(self._opener, (*self._above, name), depth, self._opened, self.pins)

    def open(self, name: str, revision: str) -> OpenedSorting:
        """Open a sorting, of a revision if one is given."""
        if name in self._above:
            raise DumpError(f"{name!r} would be a view of itself")
        if self._depth > MAX_DUMP_DEPTH:
            raise DumpError(f"views of views nest more than {MAX_DUMP_DEPTH} deep")
        key = (name, revision)
        opened = self._opened.get(key)
        if opened is None:
            source = self._opener.source_in(self, name, revision)
            opened = self._opener.open_source(source)
            if revision not in ("", opened.revision):
                opened = self._as_of(revision, opened)
            self._opened[key] = opened
        self._parents[key] = opened
        return opened

    def _as_of(self, revision: str, opened: OpenedSorting) -> OpenedSorting:
        """Open a view again as it was made of recordings before."""
        pins = pins_at(revision, opened.look) if opened.origin is Origin.VIEW else None
        if pins and not self.pins.keys() & pins.keys():
            before = _Walk(self._opener, self._above, self._depth, pins=pins)
            opened = before.open(opened.name, "")
        if opened.revision != revision:
            raise revision_mismatch(opened.name, revision, opened.revision)
        return opened

    def open_as(self, node: ReaderNode) -> OpenedSorting:
        """Open a sorting below a root with a reader that a client chose."""
        if id(node) not in self._parents:
            self._parents[id(node)] = self._opener.open_as(node)
        return self._parents[id(node)]


def not_found(name: str) -> SortingNotFoundError:
    """Return the error of who asks for a name that nothing has."""
    return with_metadata(SortingNotFoundError(f"no sorting is called {name!r}"), name=name)


def _view_source(walk: _Walk, row: SortingRow) -> ViewSource:
    node = node_of(row)
    return ViewSource(row.name, node, row.update_time, walk.below(row.name, node))


def _read_facts(source: Source, look: Look) -> Facts:
    facts = source.facts(look)
    for watched, expected in look.watched.values():
        actual = watched.look().spikes
        if actual != expected:
            raise revision_mismatch(watched.name, expected, actual)
    return facts
