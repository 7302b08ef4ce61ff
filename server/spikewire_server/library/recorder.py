"""Sortings that are being recorded: their names, and their place in the store in the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from spikewire.core.errors import (
    SortingExistsError,
    StoreUnwritableError,
    UploadIncompleteError,
)
from spikewire.wire.clocks import clocks_to_bytes
from spikewire.wire.errors import with_metadata
from spikewire.wire.unit_ids import unit_ids_to_proto
from spikewire_server.library.catalogue import (
    Catalogue,
    SortingRow,
    find,
    put,
    recordings,
    replace,
)
from spikewire_server.library.entry import Origin
from spikewire_server.library.facts import Facts
from spikewire_server.library.names import check_key
from spikewire_server.library.notes import Content, Kind, write_note
from spikewire_server.library.opener import not_found
from spikewire_server.library.publishing import Publisher
from spikewire_server.library.spikes import SegmentSpikes
from spikewire_server.library.store import Store

if TYPE_CHECKING:
    from spikewire_server.settings import Settings


class Sealed(NamedTuple):
    """A recording that ended, whole."""

    acquisition_id: str
    facts: Facts
    segments: Sequence[SegmentSpikes]


class Recorder:
    """Gives recordings their names and, when they end, their place in the store."""

    def __init__(
        self, settings: Settings, catalogue: Catalogue, store: Store, publisher: Publisher
    ) -> None:
        self._settings = settings
        self._catalogue = catalogue
        self._store = store
        self._publisher = publisher

    def running(self) -> list[SortingRow]:
        """Return the sortings that are being recorded."""
        with self._catalogue.read() as connection:
            return recordings(connection)

    def begin(
        self,
        name: str,
        acquisition_id: str,
        sampling_frequency: float,
        annotations: Mapping[str, Any],
    ) -> None:
        """Give a name to a recording.

        Raises
        ------
        InvalidNameError, ReadOnlyError
            If it cannot have this name.
        SortingExistsError
            If something has it.
        """
        self._publisher.check_writable(name)
        row = SortingRow(
            name=name,
            origin=Origin.ACQUISITION,
            class_name="LiveSorting",
            update_time=datetime.now(UTC),
            acquisition_id=acquisition_id,
            sampling_frequency=sampling_frequency,
        )
        contents = {check_key(key): Content.of_annotation(annotations[key]) for key in annotations}
        for key, content in contents.items():
            content.check_size(key, self._settings.max_property_bytes)
        with self._catalogue.write() as connection:
            present = find(connection, name)
            if present is not None:
                raise name_taken(name, present.revision or "")
            put(connection, row)
            for key, content in contents.items():
                write_note(connection, name, Kind.ANNOTATION, key, content)

    def seal(self, name: str, sealed: Sealed, stop: Callable[[], bool]) -> None:
        """Copy a recording into the store, and let the name mean the copy; notes stay.

        Parameters
        ----------
        name : str
            Its name.
        sealed : Sealed
            What it is.
        stop : callable
            Asked again and again; once it answers True, nothing is copied.

        Raises
        ------
        UploadIncompleteError
            If it was stopped.
        SortingNotFoundError
            If the name means something else now.
        StoreUnwritableError
            If the disk is full or failing; the recording is as it was.
        """
        facts = sealed.facts
        counts = [segment.count(None, None) for segment in sealed.segments]
        writer = self._store.write(facts.sampling_frequency, facts.unit_ids, counts)
        try:
            for index, segment in enumerate(sealed.segments):
                for samples, unit_indices in segment.blocks(None, None):
                    if stop():
                        raise UploadIncompleteError(f"{name!r} is not in the store yet")
                    writer.write(index, samples, unit_indices)
            writer.finish()
        except BaseException:
            writer.abort()
            raise
        needed = False
        try:
            needed = self._publish(_sealed_row(name, sealed, writer.object_id, sum(counts)))
        except StoreUnwritableError:
            needed = True  # perhaps: if the catalogue has it not, the next start removes it
            raise
        finally:
            if not needed:
                writer.abort()

    def _publish(self, row: SortingRow) -> bool:
        """Let the name of a recording mean its copy; return whether it did not before."""
        with self._catalogue.write() as connection:
            present = find(connection, row.name)
            if present is None or present.acquisition_id != row.acquisition_id:
                raise not_found(row.name)
            if present.origin is Origin.STORE:
                return False
            replace(connection, row)
        return True


def _sealed_row(name: str, sealed: Sealed, object_id: str, spike_count: int) -> SortingRow:
    facts = sealed.facts
    return SortingRow(
        name=name,
        origin=Origin.STORE,
        class_name="NumpyFolderSorting",
        update_time=datetime.now(UTC),
        object_id=object_id,
        acquisition_id=sealed.acquisition_id,
        revision=facts.revision,
        sampling_frequency=facts.sampling_frequency,
        unit_ids=unit_ids_to_proto(facts.unit_ids).SerializeToString(),
        t_starts=list(facts.t_starts),
        clocks=clocks_to_bytes(facts.clocks),
        unit_count=len(facts.unit_ids),
        spike_count=spike_count,
    )


def name_taken(name: str, revision: str) -> SortingExistsError:
    """Return the error of who wants a name that something has."""
    return with_metadata(
        SortingExistsError(f"{name!r} exists already; record under another name, or delete it"),
        name=name,
        revision=revision,
    )
