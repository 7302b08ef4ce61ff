"""The records that go over one AppendSpikes call."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator

from spikewire.remote.live.records import Record, messages
from spikewire.remote.live.spool import SpoolReader
from spikewire.remote.watchdog import Watch

WINDOW_BYTES = 4 * 1024 * 1024
"""How much may be on its way without an acknowledgement."""
MESSAGE_BYTES = 256 * 1024
"""How much is put into one message when there is a backlog; a larger record goes alone."""


class StreamClosedError(Exception):
    """The stream was closed from this side."""


class AppendStream:
    """Reads a spool into a call, and keeps account of what is on its way.

    Parameters
    ----------
    opening : bytes
        The message that says who writes what.
    reader : SpoolReader
        Where the first record that is not acknowledged is read next.
    changed : threading.Condition
        Guards the stream; notified when the spool has more.

    Attributes
    ----------
    in_flight : deque of (int, int, int, int)
        What was sent and not acknowledged: sequence, bytes, spikes and time of each record.
    """

    def __init__(self, opening: bytes, reader: SpoolReader, changed: threading.Condition) -> None:
        self._opening = opening
        self._reader = reader
        self._changed = changed
        self._closed = False
        self._bytes = 0
        self._watch: Watch | None = None
        self.in_flight: deque[Record] = deque()

    def requests(self, watch: Watch) -> Iterator[bytes]:
        """Yield the call's messages, in grpc's thread.

        Raises
        ------
        StreamClosedError
            It was closed: the call shall end.
        FormatError
            The spool is damaged.
        """
        self._watch = watch
        try:
            yield self._opening
            while True:
                with self._changed:
                    self._changed.wait_for(self._can_read)
                    if self._closed:
                        raise StreamClosedError
                records = self._reader.read(MESSAGE_BYTES)
                with self._changed:
                    self._sent(records)
                yield from messages(records)
        finally:
            self._reader.close()

    def acknowledge(self, next_sequence: int) -> list[Record]:
        """Return the records below a sequence that were on their way; they are no longer."""
        assert self._watch is not None
        arrived = []
        while self.in_flight and self.in_flight[0].sequence < next_sequence:
            arrived.append(self.in_flight.popleft())
            self._bytes -= len(arrived[-1].payload)
        if not self.in_flight:
            self._watch.received()
        elif arrived:
            self._watch.waiting()
        return arrived

    def close(self) -> None:
        """Send nothing more."""
        self._closed = True
        self._changed.notify_all()

    def _can_read(self) -> bool:
        return self._closed or (self._reader.has_more and self._bytes < WINDOW_BYTES)

    def _sent(self, records: list[Record]) -> None:
        assert self._watch is not None
        if records and not self.in_flight:
            self._watch.waiting()
        self.in_flight.extend(records)
        self._bytes += sum(len(record.payload) for record in records)
