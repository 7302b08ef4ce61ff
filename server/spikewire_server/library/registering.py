"""Makes views from the dumps of clients."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from spikewire.core.dump import SortingReference
from spikewire.core.errors import DumpError, SortingNotFoundError, SpikewireError
from spikewire.wire.dumps import dump_to_proto
from spikewire_server.library.catalogue import Catalogue, SortingRow
from spikewire_server.library.entry import Origin
from spikewire_server.library.names import check_key
from spikewire_server.library.notes import Content, Kind, drop_staged, staging_name, write_note
from spikewire_server.library.opened import OpenedSorting
from spikewire_server.library.opener import Opener
from spikewire_server.library.publishing import Publisher
from spikewire_server.library.upload import check_unit_count, checked_property
from spikewire_server.library.view_nodes import class_path_of, metadata_in, node_to_dump, parse_dump
from spikewire_server.library.views import BrokenViewError

if TYPE_CHECKING:
    from spikewire_server.settings import Settings


class Registrar:
    """Makes views."""

    def __init__(
        self, settings: Settings, catalogue: Catalogue, opener: Opener, publisher: Publisher
    ) -> None:
        self._settings = settings
        self._catalogue = catalogue
        self._opener = opener
        self._publisher = publisher
        # Held from the evaluation of a view until it has its name: two that are registered
        # at once must not become views of each other.
        self._lock = threading.Lock()

    def register(self, name: str, dump: Mapping[str, Any], if_revision: str) -> None:
        """Give a name to what a dump means, after it was evaluated once.

        Its annotations and properties become notes, so that they can be changed like
        those of any other sorting; the rest is kept as it is.

        Raises
        ------
        UnknownClassError, DumpError
            If the dump makes no sorting on this server.
        SpikewireError
            What the parents or the view itself raise.
        """
        self._publisher.check_writable(name)
        node = parse_dump(dump)
        if not isinstance(node, SortingReference):
            node = replace(node, annotations={}, properties={})
        row = SortingRow(
            name=name,
            origin=Origin.VIEW,
            class_name=class_path_of(node).rpartition(".")[2],
            update_time=datetime.now(UTC),
            dump=dump_to_proto(node_to_dump(node)).SerializeToString(),
        )
        staged = token_hex(16)
        with self._lock:
            opened = _evaluated(self._opener, row)
            check_unit_count(len(opened.unit_ids), self._settings)
            try:
                self._stage_notes(staged, dump, opened.unit_ids)
                self._publisher.publish(row, opened.revision, staged, if_revision)
            except SpikewireError:
                with self._catalogue.write() as connection:
                    drop_staged(connection, staged)
                raise

    def _stage_notes(self, staged: str, dump: Mapping[str, Any], unit_ids: NDArray[Any]) -> None:
        annotations, properties = metadata_in(dump)
        notes: list[tuple[Kind, str, Content]] = []
        for key, value in annotations.items():
            notes.append((Kind.ANNOTATION, check_key(key), Content.of_annotation(value)))
        for key, value in properties.items():
            values = checked_property(key, value, len(unit_ids))
            notes.append((Kind.PROPERTY, key, Content.of_property(values, unit_ids)))
        with self._catalogue.write() as connection:
            for kind, key, content in notes:
                content.check_size(key, self._settings.max_property_bytes)
                write_note(connection, staging_name(staged), kind, key, content)


def _evaluated(opener: Opener, row: SortingRow) -> OpenedSorting:
    try:
        return opener.open_source(opener.new_view(row))
    except BrokenViewError as error:
        # That the view "cannot be made now" is no news to who is just making it.
        if isinstance(error.reason, SortingNotFoundError):
            raise DumpError(f"the dump refers to what is not here: {error.reason}") from error
        raise error.reason from error
