"""Ends streams whose peer has gone silent."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Watch:
    """One stream, and since when its peer has been waited for."""

    def __init__(self, cancel: Callable[[], object]) -> None:
        self._cancel = cancel
        self._waiting_since: float | None = None
        self.stalled = False

    def waiting(self) -> None:
        """Begin to wait for the peer."""
        self._waiting_since = time.monotonic()

    def received(self) -> None:
        """End to wait: the peer did something."""
        self._waiting_since = None

    def check(self, limit: float) -> None:
        """Cancel the stream if its peer has been silent for `limit` seconds."""
        since = self._waiting_since
        if since is not None and time.monotonic() - since > limit:
            self.stalled = True
            self._cancel()


class Watchdog:
    """Looks after all streams of a channel from one thread.

    A stream as a whole may last for ever, so it has no deadline; grpc knows no
    limit for the time between two messages.

    Parameters
    ----------
    limit : float
        How many seconds a peer may be silent.
    """

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._watches: set[Watch] = set()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    @contextmanager
    def watch(self, cancel: Callable[[], object]) -> Iterator[Watch]:
        """Look after a stream while the block runs."""
        watch = self.add(cancel)
        try:
            yield watch
        finally:
            self.discard(watch)

    def add(self, cancel: Callable[[], object]) -> Watch:
        """Look after a stream until it is discarded."""
        watch = Watch(cancel)
        with self._changed:
            self._watches.add(watch)
            if self._thread is None:
                # A daemon: a thread that outlives the main one would hang exit.
                self._thread = threading.Thread(
                    target=self._run, name="spikewire-watchdog", daemon=True
                )
                self._thread.start()
            self._changed.notify()
        return watch

    def discard(self, watch: Watch) -> None:
        """Look after a stream no longer."""
        with self._changed:
            self._watches.discard(watch)

    def _run(self) -> None:
        while True:
            with self._changed:
                if not self._changed.wait_for(lambda: self._watches, timeout=self._limit):
                    self._thread = None  # the next stream starts another one
                    return
                watches = list(self._watches)
            for watch in watches:
                watch.check(self._limit)
            time.sleep(self._limit / 20)
