"""Sends what is in a spool until the server has it: the thread behind a writer."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import closing

from spikewire.core.errors import DeadlineExceededError, ServerUnavailableError
from spikewire.remote.backoff import Backoff
from spikewire.remote.channel import Connection
from spikewire.remote.live.append_stream import AppendStream, StreamClosedError
from spikewire.remote.live.retrying import may_pass
from spikewire.remote.live.spool import Spool, SpoolReader
from spikewire.remote.live.stats import WriterStats
from spikewire.remote.methods import APPEND_SPIKES
from spikewire.remote.steps import Operation, Wait

log = logging.getLogger(__name__)

_STOP_SECONDS = 5.0


class Sender:
    """Keeps a stream to the server, over as many calls as it takes.

    Parameters
    ----------
    connection : Connection
        The way to the server.
    name : str
        The acquisition's.
    opening : bytes
        The message that begins a call.
    spool : Spool
        What to send: what is in it, and what comes.
    sequence : int
        The first record that the server does not have.
    on_progress : callable, optional
        Called in the sender's thread after each acknowledgement, and when the
        connection is lost.
    """

    def __init__(
        self,
        connection: Connection,
        name: str,
        opening: bytes,
        spool: Spool,
        sequence: int,
        on_progress: Callable[[WriterStats], object] | None,
    ) -> None:
        self._connection = connection
        self._name = name
        self._opening = opening
        self._spool = spool
        self._on_progress = on_progress
        self._changed = threading.Condition()  # guards what follows
        self._acknowledged = sequence  # what is below is on the server's disk
        self._stopped = False
        self._failure: Exception | None = None
        self._stream: AppendStream | None = None
        self._streams = 0
        self._is_connected = True
        self._last_error = ""
        self._known = sequence  # up to which sequence it was told of records
        self._arrivals: list[tuple[int, Future[None]]] = []  # who waits for which sequence
        self._waiting_since_ns = 0  # when the oldest record came that is not on its way
        self._spikes_appended = 0
        self._spikes_acknowledged = 0
        # A daemon: what it has not sent when the program ends is in the spool.
        self._thread = threading.Thread(
            target=self._run, name=f"spikewire-writer-{name}", daemon=True
        )

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def appended(self, spike_count: int) -> None:
        """Take note that the spool has more."""
        with self._changed:
            if self._acknowledged >= self._known:
                self._waiting_since_ns = time.time_ns()
            self._known = self._spool.next_sequence
            self._spikes_appended += spike_count
            self._changed.notify_all()

    def stop(self) -> None:
        """End; what is not acknowledged stays in the spool."""
        with self._changed:
            self._stopped = True
            self._settle()
            if self._stream is not None:
                self._stream.close()
            self._changed.notify_all()
        self._thread.join(_STOP_SECONDS)  # a call that hangs ends later, and the thread with it

    def check(self) -> None:
        """Raise what keeps records from ever being sent, if there is such a thing."""
        if self._failure is not None:
            raise self._failure.with_traceback(None)

    def wait(self, sequence: int, deadline: float) -> Operation[None]:
        """Wait until all records below a sequence are on the server's disk.

        Raises
        ------
        DeadlineExceededError
            They are not at the deadline, a `time.monotonic`.
        SpikewireError
            They cannot be sent.
        """
        with self._changed:
            if self._acknowledged >= sequence:
                return
            arrival: Future[None] = Future()
            self._arrivals.append((sequence, arrival))
            self._settle()
        try:
            yield Wait(arrival, _seconds_until(deadline))
        except TimeoutError as error:
            raise DeadlineExceededError(self._lateness(sequence)) from error
        finally:
            arrival.cancel()  # of use if nobody waits any more
        self.check()
        if self._acknowledged < sequence:
            raise ServerUnavailableError("the writer was closed")

    @property
    def stats(self) -> WriterStats:
        """How far it is."""
        with self._changed:
            return WriterStats(
                self._spikes_appended,
                self._spikes_acknowledged,
                self._lag_seconds(),
                self._spool.size,
                self._is_connected,
                max(self._streams - 1, 0),
                self._last_error,
            )

    def _lag_seconds(self) -> float:
        if self._acknowledged >= self._spool.next_sequence:
            return 0.0
        in_flight = self._stream.in_flight if self._stream is not None else None
        since_ns = in_flight[0].time_ns if in_flight else self._waiting_since_ns
        return max(time.time_ns() - since_ns, 0) / 1e9  # the clock may have been set back

    def _run(self) -> None:
        backoff = Backoff(sys.maxsize)
        try:
            while self._wait_for_records():
                try:
                    self._send(backoff)
                except Exception as error:
                    if self._connection.is_closed or not may_pass(error):
                        raise
                    self._lost(error)
                with self._changed:
                    self._changed.wait_for(lambda: self._stopped, backoff.pause())
        except StreamClosedError:
            pass
        except Exception as error:
            self._fail(error)

    def _wait_for_records(self) -> bool:
        # A stream is opened when there is something to send: after the last record, the
        # server ends streams, and there shall be no other.
        with self._changed:
            self._changed.wait_for(
                lambda: self._stopped or self._acknowledged < self._spool.next_sequence
            )
            return not self._stopped

    def _send(self, backoff: Backoff) -> None:
        with self._changed:
            reader = SpoolReader(self._spool, self._acknowledged)
            stream = AppendStream(self._opening, reader, self._changed)
            self._stream = stream
            self._streams += 1
        try:
            with closing(self._connection.exchange(APPEND_SPIKES, stream.requests)) as responses:
                for response in responses:
                    backoff.progressed()
                    self._take(stream, response.next_sequence)
            if self._acknowledged < self._spool.next_sequence:  # else it has said what it had to
                raise ServerUnavailableError("the server ended the stream")
        finally:
            with self._changed:
                stream.close()
                if stream.in_flight:
                    self._waiting_since_ns = stream.in_flight[0].time_ns
                self._stream = None

    def _take(self, stream: AppendStream, next_sequence: int) -> None:
        with self._changed:
            arrived = stream.acknowledge(next_sequence)
            self._is_connected = True
            if arrived:
                self._acknowledged = arrived[-1].sequence + 1
                self._spikes_acknowledged += sum(record.spike_count for record in arrived)
                if not stream.in_flight:
                    self._waiting_since_ns = time.time_ns()
                self._settle()
                self._changed.notify_all()
        self._spool.trim(self._acknowledged)
        self._report()

    def _settle(self) -> None:
        """Tell those who wait for what has arrived, or all if nothing arrives any more."""
        is_over = self._stopped or self._failure is not None
        waiting = []
        for sequence, arrival in self._arrivals:
            if not is_over and self._acknowledged < sequence:
                if not arrival.cancelled():
                    waiting.append((sequence, arrival))
            elif arrival.set_running_or_notify_cancel():
                arrival.set_result(None)
        self._arrivals = waiting

    def _lateness(self, sequence: int) -> str:
        with self._changed:
            count, why = sequence - self._acknowledged, self._last_error
        return (
            f"{count} records were not acknowledged in time, and stay in the spool"
            f"{': ' if why else ''}{why}"
        )

    def _lost(self, error: Exception) -> None:
        with self._changed:
            if self._is_connected:
                log.warning(
                    "the writer of %r lost its server, and goes on when it is back: %s",
                    self._name,
                    error,
                )
            self._is_connected = False
            self._last_error = str(error)
        self._report()

    def _fail(self, error: Exception) -> None:
        with self._changed:
            left = self._spikes_appended - self._spikes_acknowledged
            note = f"{left} spikes were not acknowledged, and stay in {self._spool.folder}"
            log.error("the writer of %r cannot go on: %s (%s)", self._name, error, note)
            error.add_note(note)
            self._failure = error
            self._is_connected = False
            self._last_error = str(error)
            self._settle()
            self._changed.notify_all()
        self._report()

    def _report(self) -> None:
        if self._on_progress is None:
            return
        try:
            self._on_progress(self.stats)
        except Exception:  # of the user's code; recording goes on
            log.exception("on_progress of the writer of %r failed", self._name)


def _seconds_until(deadline: float) -> float | None:
    seconds = deadline - time.monotonic()
    return seconds if seconds < threading.TIMEOUT_MAX else None
