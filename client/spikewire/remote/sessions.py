"""Sessions: streams over which many small windows are asked for, one after the other."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

from spikewire.core.errors import ServerUnavailableError
from spikewire.remote.watchdog import Watchdog
from spikewire.v1 import spike_train_service_pb2 as pb

_MAX_IDLE = 8
_MAX_IDLE_SECONDS = 60.0

SessionT = TypeVar("SessionT")


class QuerySession:
    """One stream of a sorting's windows; one thread at a time may ask.

    Parameters
    ----------
    stub : callable
        Makes the call of an iterator of requests.
    watchdog : Watchdog
        Ends the stream when the server falls silent.
    """

    def __init__(self, stub: Callable[[Any], Any], watchdog: Watchdog) -> None:
        self._requests: SimpleQueue[pb.QueryRequest | None] = SimpleQueue()
        self._call = stub(iter(self._requests.get, None))
        self._watchdog = watchdog
        self.watch = watchdog.add(self._call.cancel)

    def ask(self, request: pb.QueryRequest) -> pb.QueryResponse:
        """Return the answer to one request."""
        self.watch.waiting()
        self._requests.put(request)
        answer: pb.QueryResponse | None = next(self._call, None)
        self.watch.received()
        if answer is None:
            raise ServerUnavailableError("the server ended the session")
        return answer

    def close(self) -> None:
        """End the stream."""
        self._requests.put(None)
        self._call.cancel()
        self._watchdog.discard(self.watch)


class SessionPool(Generic[SessionT]):
    """The sessions that nobody uses just now, a few of them.

    A session takes the place of a call only if it is there already, but every one
    costs the server memory.

    Parameters
    ----------
    close : callable
        Ends a session that is kept no longer.
    """

    def __init__(self, close: Callable[[SessionT], object]) -> None:
        self._close = close
        self._lock = threading.Lock()
        self._idle: OrderedDict[SessionT, tuple[str, str, float]] = OrderedDict()  # oldest first

    def take(self, request: pb.QueryRequest) -> SessionT | None:
        """Return a session of the sorting that a request names, if there is one."""
        with self._lock:
            for session, (name, revision, _) in reversed(self._idle.items()):
                if (name, revision) == (request.name, request.revision):
                    del self._idle[session]
                    return session
        return None

    def give(self, request: pb.QueryRequest, session: SessionT) -> None:
        """Take back the session that a request was asked over."""
        now = time.monotonic()
        with self._lock:
            self._idle[session] = request.name, request.revision, now
            surplus = [
                other
                for place, (other, (_, _, since)) in enumerate(reversed(self._idle.items()))
                if place >= _MAX_IDLE or now - since > _MAX_IDLE_SECONDS
            ]
            for other in surplus:
                del self._idle[other]
        for other in surplus:
            self._close(other)
