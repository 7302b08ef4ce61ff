"""The library: every sorting of a server by its name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import structlog
from numpy.typing import NDArray

from spikewire.core.clocks import UnitClocks
from spikewire_server.library.catalogue import Catalogue, SortingRow, object_ids, page, sqlite_url
from spikewire_server.library.describing import describe
from spikewire_server.library.dumping import dump_of
from spikewire_server.library.editing import Editor
from spikewire_server.library.entry import Entry, Origin
from spikewire_server.library.index import IndexKeeper
from spikewire_server.library.listing import list_entries
from spikewire_server.library.notes import Kind, drop_staged
from spikewire_server.library.opened import OpenedSorting
from spikewire_server.library.opener import Opener
from spikewire_server.library.publishing import Publisher
from spikewire_server.library.recorder import Recorder
from spikewire_server.library.recordings import NoRecordings, Recordings
from spikewire_server.library.registering import Registrar
from spikewire_server.library.roots import Roots
from spikewire_server.library.scanner import Scanner
from spikewire_server.library.store import Store
from spikewire_server.library.upload import Upload, UploadHeader
from spikewire_server.library.views import ViewSource, shown_side_by_side

if TYPE_CHECKING:
    from spikewire_server.settings import Settings


log = structlog.get_logger(__name__)


class Library:
    """Sortings by name, from roots, store and views; safe to use from several threads.

    Parameters
    ----------
    settings : Settings
        Where they are, and how much is accepted.
    """

    _store: Store
    _catalogue: Catalogue
    _indexes: IndexKeeper
    _opener: Opener
    _publisher: Publisher
    _registrar: Registrar
    _editor: Editor
    _scanner: Scanner
    _recordings: Recordings
    recorder: Recorder
    """Gives names to what is being recorded; there once the library was started."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._roots = Roots(settings.roots, settings.store)

    def start(self, recordings: Recordings | None = None) -> None:
        """Take the store, remove what a crash left in it, and begin to scan the roots.

        Parameters
        ----------
        recordings : Recordings, optional
            Has the sortings that are being recorded.

        Raises
        ------
        StoreUnwritableError
            If the store cannot be used, or another process uses it.
        """
        self._store = Store(self._settings.store)
        try:
            url = self._settings.catalogue_url or sqlite_url(
                self._settings.store / "catalogue.sqlite"
            )
            self._catalogue = Catalogue(url)
            with self._catalogue.write() as connection:
                drop_staged(connection)
                self._store.clean(object_ids(connection))
        except BaseException:
            self._store.close()
            raise
        self._indexes = IndexKeeper(self._settings.store / "index", self._settings.index_bytes)
        self._indexes.start()
        self._recordings = recordings = recordings or NoRecordings()
        self._opener = Opener(
            self._settings, self._roots, self._store, self._catalogue, self._indexes, recordings
        )
        self._publisher = Publisher(
            self._catalogue, self._store, self._roots, self._opener, recordings
        )
        self.recorder = Recorder(self._settings, self._catalogue, self._store, self._publisher)
        self._registrar = Registrar(self._settings, self._catalogue, self._opener, self._publisher)
        self._editor = Editor(self._catalogue, self._opener, self._settings.max_property_bytes)
        self._warn_of_hidden_names()
        self._scanner = Scanner(self._roots, self._settings.scan_interval, self._opener)
        self._scanner.start()

    def close(self) -> None:
        """Stop scanning, and let another process have the store."""
        self._scanner.close()
        self._indexes.close()
        self._catalogue.close()
        self._store.close()

    def list(
        self, prefix: str = "", pattern: str = "", after: str = "", limit: int = 1000
    ) -> tuple[list[Entry], datetime | None]:
        """Return sortings in the order of their names, from the last scan; opens no file.

        Parameters
        ----------
        prefix : str
            What the names begin with.
        pattern : str
            A shell pattern that they match, in which "*" also matches "/"; empty for all.
        after : str
            The name that they follow.
        limit : int
            How many at most.

        Returns
        -------
        entries : list of Entry
            Without units, properties and annotations; counts where they are known.
        scan_time : datetime or None
            When the roots were scanned; None before the first scan has ended.
        """
        scan = self._scanner.scan
        entries = list_entries(
            scan.entries,
            self._catalogue,
            self._roots,
            self._recordings,
            prefix,
            pattern,
            after,
            limit,
        )
        return entries, scan.time

    def describe(self, name: str) -> Entry:
        """Return a description of a sorting as it is now, with its state if it cannot be read.

        Raises
        ------
        InvalidNameError
            If the name cannot be one.
        SortingNotFoundError
            If nothing has the name.
        """
        return describe(self._opener, self._opener.source(name))

    def open(self, name: str, revision: str = "") -> OpenedSorting:
        """Open a sorting as it is now; see `Opener.open`."""
        return self._opener.open(name, revision)

    def at_hand(self, name: str, revision: str = "") -> OpenedSorting | None:
        """Return a sorting that `open` would return at once; see `Opener.at_hand`."""
        return self._opener.at_hand(name, revision)

    def side_by_side(self, name: str) -> Sequence[str] | None:
        """Return the names of the sortings whose units a view shows; see `shown_side_by_side`."""
        source = self._opener.source(name)
        return shown_side_by_side(source.node) if isinstance(source, ViewSource) else None

    def get_property(self, name: str, key: str, revision: str = "") -> tuple[NDArray[Any], str]:
        """Return the values of a property, shape (units, ...), and its etag.

        Raises
        ------
        PropertyNotFoundError
            If there is none; and what `open` raises.
        """
        return self.open(name, revision).overlay.property(key)

    def set_property(
        self,
        name: str,
        key: str,
        values: NDArray[Any],
        if_etag: str | None = None,
        revision: str = "",
    ) -> str:
        """Set a property of all units of a revision, and return its new etag.

        Parameters
        ----------
        values : ndarray, shape (units, ...)
            One value a unit.
        if_etag : str, optional
            Write only if this is the property's etag, "" meaning that there is none.
        revision : str
            The revision whose units are meant; empty for the present one.

        Raises
        ------
        ContractError, InvalidTypeError, InvalidNameError, LimitExceededError
            If the sorting cannot have such a property.
        EtagMismatchError
            If the property's etag is another; and what `open` raises.
        """
        return self._editor.set_property(name, key, values, if_etag, revision)

    def delete_property(self, name: str, key: str, if_etag: str | None = None) -> None:
        """Remove a property.

        Raises
        ------
        PropertyNotFoundError, EtagMismatchError
            If there is none, or its etag is another; and what `open` raises.
        """
        self._editor.delete(name, Kind.PROPERTY, key, if_etag)

    def get_annotations(self, name: str) -> Sequence[tuple[str, Any, str]]:
        """Return key, value and etag of all annotations."""
        return self.open(name).overlay.annotations()

    def set_annotation(self, name: str, key: str, value: Any, if_etag: str | None = None) -> str:
        """Set an annotation, and return its new etag; `if_etag` as for `set_property`.

        Raises
        ------
        InvalidTypeError, InvalidValueError, InvalidNameError, LimitExceededError
            If there can be no such annotation.
        EtagMismatchError
            If the annotation's etag is another; and what `open` raises.
        """
        return self._editor.set_annotation(name, key, value, if_etag)

    def delete_annotation(self, name: str, key: str, if_etag: str | None = None) -> None:
        """Remove an annotation.

        Raises
        ------
        AnnotationNotFoundError, EtagMismatchError
            If there is none, or its etag is another; and what `open` raises.
        """
        self._editor.delete(name, Kind.ANNOTATION, key, if_etag)

    def begin_upload(
        self,
        name: str,
        sampling_frequency: float,
        unit_ids: NDArray[Any],
        t_starts: Sequence[float | None],
        spike_counts: Sequence[int],
        annotations: Mapping[str, Any],
        if_revision: str = "",
        clocks: Sequence[UnitClocks | None] = (),
    ) -> Upload:
        """Begin to take a sorting into the store.

        Parameters
        ----------
        name : str
            The name that it shall have.
        sampling_frequency : float
            In Hz.
        unit_ids : ndarray, shape (units,)
            The ids.
        t_starts, spike_counts : sequences
            For each segment the time of sample 0 in seconds, or None, and the
            number of spikes that will come.
        annotations : mapping
            The annotations.
        if_revision : str
            The revision of what may be replaced under the name; empty for none.
        clocks : sequence of UnitClocks or None
            For each segment how samples become seconds, where sync points say it; may be empty.

        Raises
        ------
        InvalidNameError, ReadOnlyError, InvalidValueError, ContractError, LimitExceededError
            If no such sorting can be taken.
        StoreUnwritableError
            If the disk is full or failing.
        """
        self._publisher.check_writable(name)
        header = UploadHeader.checked(
            sampling_frequency, unit_ids, t_starts, spike_counts, clocks, self._settings
        )

        def publish(upload: Upload) -> bool:
            row = SortingRow(
                name=name,
                origin=Origin.STORE,
                class_name="NumpyFolderSorting",
                update_time=datetime.now(UTC),
                object_id=upload.object_id,
                revision=upload.revision,
                sampling_frequency=header.sampling_frequency,
                unit_ids=header.unit_ids_proto,
                t_starts=list(header.t_starts),
                clocks=header.clocks,
                unit_count=len(header.unit_ids),
                spike_count=sum(header.spike_counts),
            )
            return self._publisher.publish(row, upload.revision, upload.object_id, if_revision)

        return Upload(
            header,
            annotations,
            self._store,
            self._catalogue,
            self._settings,
            publish,
            lambda: self.describe(name),
        )

    def save(
        self,
        source_name: str,
        source_revision: str,
        name: str,
        if_revision: str = "",
        stop: Callable[[], bool] = lambda: False,
    ) -> Entry:
        """Copy a sorting, with its properties and annotations, into the store.

        Parameters
        ----------
        source_name, source_revision : str
            What to copy; an empty revision means the present one.
        name, if_revision : str
            As for `begin_upload`.
        stop : callable
            Asked again and again; once it answers True, nothing is saved.

        Raises
        ------
        UploadIncompleteError
            If it was stopped; and what `open` and `begin_upload` raise.
        """
        self._publisher.check_writable(name)
        opened = self.open(source_name, source_revision)
        facts = opened.facts
        with self.begin_upload(
            name,
            facts.sampling_frequency,
            facts.unit_ids,
            facts.t_starts,
            [int(opened.counts(segment).sum()) for segment in range(opened.segment_count)],
            {key: value for key, value, _ in opened.overlay.annotations()},
            if_revision,
            facts.clocks,
        ) as upload:
            upload.write_all_of(opened, stop)
            return upload.commit()

    def register(self, name: str, dump: Mapping[str, Any], if_revision: str = "") -> Entry:
        """Make a view from a dump dict; `name` and `if_revision` as for `begin_upload`.

        Raises
        ------
        UnknownClassError, DumpError
            If the dump makes no sorting on this server.
        """
        self._registrar.register(name, dump, if_revision)
        return self.describe(name)

    def dump(self, name: str) -> dict[str, Any]:
        """Return the dump dict of a sorting, its parents pinned at their present revisions.

        Paths in it are names, and parents are `SortingReference` or nested dumps.
        """
        return dump_of(self._opener, name)

    def delete(self, name: str, if_revision: str = "") -> None:
        """Remove a sorting of the store or a view; whoever reads it may read on.

        Raises
        ------
        InvalidNameError, ReadOnlyError, SortingNotFoundError
            If it cannot be deleted.
        RevisionMismatchError
            If a revision is given, and the content is of another.
        """
        self._publisher.delete(name, if_revision)

    def _warn_of_hidden_names(self) -> None:
        with self._catalogue.read() as connection:
            for label in self._roots.labels:
                rows = page(connection, label, "", 2)
                if any(self._roots.root_of(row.name) is not None for row in rows):
                    log.warning("a root hides names of the store that begin alike", label=label)
