"""Where logs are kept: what every kind of place must do."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from typing import Protocol

from spikewire_server.acquisition.record import Record
from spikewire_server.acquisition.table import RecordTable


class SpikeLog(Protocol):
    """The durable records of one acquisition, to be read by any thread."""

    @property
    def acquisition_id(self) -> str:
        """Which acquisition it is the log of."""

    @property
    def started(self) -> bytes:
        """The payload of the record that began it."""

    @property
    def start_time_ns(self) -> int:
        """When it was begun, in nanoseconds since 1970."""

    @property
    def epoch(self) -> int:
        """The epoch of the writer that took over last; 1 if none did."""

    @property
    def records(self) -> RecordTable:
        """What is known of every numbered record."""

    def read(self, first: int, stop: int) -> list[memoryview]:
        """Return the payloads of the records `first` to `stop`, exclusive.

        Raises
        ------
        FormatError
            If one of them is damaged.
        """

    def time_ns(self, sequence: int) -> int:
        """Return when a record was written, in nanoseconds since 1970."""

    def is_recent(self, sequence: int) -> bool:
        """Return whether a record was written so lately that reading it will not wait."""


class LogStorage(Protocol):
    """Keeps logs."""

    def create(self, acquisition_id: str, records: Sequence[Record]) -> SpikeLog:
        """Make a log of its first records, on disk when this returns.

        Raises
        ------
        StoreUnwritableError
            If it cannot be written.
        """

    def open(self, acquisition_id: str, *, to_append: bool) -> SpikeLog:
        """Open a log; one that is to be appended to loses its torn end.

        Raises
        ------
        RevisionExpiredError
            If there is none.
        FormatError
            If a record that was acknowledged is damaged.
        """

    def commit(self, groups: Mapping[SpikeLog, Sequence[Record]]) -> Mapping[SpikeLog, OSError]:
        """Append records to logs and make them durable.

        Returns
        -------
        mapping
            The logs that could not be written, and why; these are as they were before.
        """

    def remove(self, acquisition_id: str) -> None:
        """Remove a log; who reads it reads on."""

    def expire(self, keep: Container[str], before: float) -> None:
        """Remove the logs, but for some, that nothing was written to since a time (seconds)."""

    def close(self) -> None:
        """Write nothing more."""
