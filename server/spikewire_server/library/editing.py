"""Changes properties and annotations of sortings, wherever these lie."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from spikewire_server.library.catalogue import Catalogue
from spikewire_server.library.names import check_key
from spikewire_server.library.notes import Content, Kind, delete_note, write_note
from spikewire_server.library.opened import OpenedSorting
from spikewire_server.library.opener import Opener
from spikewire_server.library.publishing import check_unchanged
from spikewire_server.library.upload import checked_property


class Editor:
    """Writes notes on sortings; what their files have is never touched."""

    def __init__(self, catalogue: Catalogue, opener: Opener, max_bytes: int) -> None:
        self._catalogue = catalogue
        self._opener = opener
        self._max_bytes = max_bytes

    def set_property(
        self, name: str, key: str, values: NDArray[Any], if_etag: str | None, revision: str
    ) -> str:
        """Write a property of the units of a revision, and return its new etag."""
        opened = self._opener.open(name, revision)
        values = checked_property(key, values, len(opened.unit_ids))
        content = Content.of_property(values, opened.unit_ids)
        return self._write(opened, Kind.PROPERTY, key, content, if_etag)

    def set_annotation(self, name: str, key: str, value: Any, if_etag: str | None) -> str:
        """Write an annotation, and return its new etag."""
        check_key(key)
        opened = self._opener.open(name)
        return self._write(opened, Kind.ANNOTATION, key, Content.of_annotation(value), if_etag)

    def delete(self, name: str, kind: Kind, key: str, if_etag: str | None) -> None:
        """Remove a property or annotation."""
        opened = self._opener.open(name)
        base_etag = opened.facts.etag(kind.value, key)
        with self._catalogue.write() as connection:
            check_unchanged(connection, name, opened.origin, opened.revision)
            delete_note(connection, name, kind, key, base_etag=base_etag, if_etag=if_etag)

    def _write(
        self, opened: OpenedSorting, kind: Kind, key: str, content: Content, if_etag: str | None
    ) -> str:
        content.check_size(key, self._max_bytes)
        name, base_etag = opened.name, opened.facts.etag(kind.value, key)
        with self._catalogue.write() as connection:
            check_unchanged(connection, name, opened.origin, opened.revision)
            return write_note(
                connection, name, kind, key, content, base_etag=base_etag, if_etag=if_etag
            )
