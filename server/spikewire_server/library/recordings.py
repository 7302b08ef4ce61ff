"""What the library asks of the room where sortings are recorded."""

from __future__ import annotations

from typing import Protocol

from spikewire.core.errors import SortingNotFoundError
from spikewire.wire.errors import with_metadata
from spikewire_server.library.facts import Facts, Source


class Recordings(Protocol):
    """Sortings that are being recorded, or were and whose records are kept."""

    def source(self, name: str, acquisition_id: str, revision: str) -> Source:
        """Return a recording up to a record; an empty revision means the last one.

        Raises
        ------
        RevisionMismatchError
            If the revision is none of the acquisition.
        RevisionExpiredError
            If its records are no longer kept.
        """

    def facts(self, acquisition_id: str) -> Facts | None:
        """Return what is known of a recording that goes on; None where a file would be opened."""

    def deleted(self, acquisition_id: str) -> None:
        """Take note that the name of a recording is gone."""


class NoRecordings:
    """The recordings of a library that takes none."""

    def source(self, name: str, acquisition_id: str, revision: str) -> Source:
        """Refuse."""
        raise with_metadata(SortingNotFoundError(f"{name!r} is not recorded here"), name=name)

    def facts(self, acquisition_id: str) -> None:
        """Know nothing."""

    def deleted(self, acquisition_id: str) -> None:
        """Do nothing."""
