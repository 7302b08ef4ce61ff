"""Gives names to what is in the store and to views, and takes them away."""

from __future__ import annotations

from sqlalchemy.engine import Connection

from spikewire.core.errors import ReadOnlyError, SortingExistsError, SpikewireError
from spikewire.wire.errors import with_metadata
from spikewire_server.library.catalogue import Catalogue, SortingRow, find, put, remove
from spikewire_server.library.entry import Origin
from spikewire_server.library.names import check_name
from spikewire_server.library.notes import adopt_staged
from spikewire_server.library.opened import revision_mismatch
from spikewire_server.library.opener import Opener, not_found
from spikewire_server.library.recordings import Recordings
from spikewire_server.library.roots import Roots
from spikewire_server.library.store import Store


class Publisher:
    """Changes which sorting has a name, in one transaction each."""

    def __init__(
        self,
        catalogue: Catalogue,
        store: Store,
        roots: Roots,
        opener: Opener,
        recordings: Recordings,
    ) -> None:
        self._recordings = recordings
        self._catalogue = catalogue
        self._store = store
        self._roots = roots
        self._opener = opener

    def check_writable(self, name: str) -> None:
        """Make sure that a name is one, and not below a root.

        Raises
        ------
        InvalidNameError, ReadOnlyError
            If it is not.
        """
        root = self._roots.root_of(check_name(name))
        if root is not None:
            raise with_metadata(
                ReadOnlyError(
                    f"{name!r} lies below the root {root.label!r}, which is read-only; names that "
                    f"do not begin with {root.label + '/'!r} can be written"
                ),
                name=name,
                label=root.label,
            )

    def publish(self, row: SortingRow, revision: str, staged: str, if_revision: str) -> bool:
        """Give a name to a sorting, and to it the notes that were staged.

        Content that the name has already is left as it is, so that a retry
        succeeds; only notes that differ are written.

        Parameters
        ----------
        row : SortingRow
            The sorting.
        revision : str
            Its revision.
        staged : str
            What its notes were staged under.
        if_revision : str
            The revision that may be replaced; empty for none.

        Returns
        -------
        bool
            Whether the row was written.

        Raises
        ------
        SortingExistsError
            If the name has other content, and none may be replaced.
        RevisionMismatchError
            If the name has other content than what may be replaced.
        """
        with self._catalogue.write() as connection:
            present = find(connection, row.name)
            actual = "" if present is None else self._revision_of(present)
            # Of views of what is being recorded the revision is another one in a moment.
            equal = present is not None and (
                actual == revision or (row.dump is not None and row.dump == present.dump)
            )
            if not equal:
                _check_replaceable(row.name, present is not None, actual, if_revision)
                put(connection, row)
            adopt_staged(connection, staged, row.name)
        if not equal and present is not None and present.object_id is not None:
            self._store.discard(present.object_id)
        return not equal

    def delete(self, name: str, if_revision: str) -> None:
        """Take a name away; what is being read can be read to its end.

        Raises
        ------
        InvalidNameError, ReadOnlyError, SortingNotFoundError
            If it cannot be deleted.
        RevisionMismatchError
            If a revision is given, and the content is of another.
        """
        self.check_writable(name)
        with self._catalogue.write() as connection:
            present = find(connection, name)
            if present is None:
                raise not_found(name)
            if if_revision and if_revision != (actual := self._revision_of(present)):
                raise revision_mismatch(name, if_revision, actual)
            remove(connection, name)
        if present.origin is Origin.ACQUISITION:
            self._recordings.deleted(present.acquisition_id or "")
        if present.object_id is not None:
            self._store.discard(present.object_id)

    def _revision_of(self, row: SortingRow) -> str:
        """Return the present revision; empty for a view that cannot be made now."""
        if row.origin is not Origin.VIEW:
            return row.revision or ""
        try:
            return self._opener.open(row.name).revision
        except SpikewireError:
            return ""


def check_unchanged(connection: Connection, name: str, origin: Origin, revision: str) -> None:
    """Make sure that a name of the catalogue was not given to something else meanwhile.

    Raises
    ------
    SortingNotFoundError, RevisionMismatchError
        If it was.
    """
    if origin is Origin.ROOT:
        return
    row = find(connection, name)
    if row is None:
        raise not_found(name)
    if row.acquisition_id is not None and revision.startswith(f"{row.acquisition_id}."):
        return  # of one recording, which may have been sealed meanwhile
    if row.origin is not origin or (row.revision is not None and row.revision != revision):
        raise revision_mismatch(name, revision, row.revision or "another one")


def _check_replaceable(name: str, exists: bool, actual: str, if_revision: str) -> None:
    if exists and not if_revision:
        raise with_metadata(
            SortingExistsError(
                f"{name!r} has other content already, of the revision {actual!r}; state it as "
                f"if_revision to replace it, or delete it first"
            ),
            name=name,
            revision=actual,
        )
    if if_revision != actual:
        raise revision_mismatch(name, if_revision, actual)
