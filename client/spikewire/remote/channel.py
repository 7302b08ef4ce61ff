"""The one place where rpcs are called: deadlines, retries, errors."""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NoReturn, TypeVar

import grpc
from google.protobuf.message import Message

from spikewire.core.errors import DeadlineExceededError, ServerUnavailableError
from spikewire.remote.backoff import Backoff
from spikewire.remote.methods import Rpc
from spikewire.remote.target import Target
from spikewire.remote.watchdog import Watch, Watchdog
from spikewire.wire.errors import error_from_rpc

RequestT = TypeVar("RequestT", bound=Message)
ResponseT = TypeVar("ResponseT", bound=Message)
ResultT = TypeVar("ResultT")

CALL_ATTEMPTS = 8
"""How often a call is made to a server that is not available: for about 4 s."""
STREAM_ATTEMPTS = 20
"""How often a broken stream is resumed without getting further: for about 25 s."""
STALL_SECONDS = 30.0
"""How long a stream may be without a message."""

_OPTIONS = [
    # Messages of a server may hold several chunks; the default of 4 MiB is tight.
    ("grpc.max_receive_message_length", 16 << 20),
    # A server that vanished without closing is noticed within 30 s, also by a stream
    # that waits without sending anything.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    # The limit that counts once a ping is under way; its default is a minute.
    ("grpc.http2.ping_timeout_ms", 10_000),
    # A read that takes long to prepare must not end after the default of two pings.
    ("grpc.http2.max_pings_without_data", 0),
    # By default a lost server is tried again after 1 s, then ever more rarely, up to
    # two minutes; our own backoff decides.
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 1_000),
]


class Connection:
    """The channel to one server, and the one way to call it.

    Every process has a channel of its own, made on first use: one that came from
    a parent process by fork must not be touched. Safe to use from many threads.

    Parameters
    ----------
    target : Target
        The server's address.
    stall_seconds : float
        How long a stream may be without a message.
    """

    def __init__(self, target: Target, stall_seconds: float = STALL_SECONDS) -> None:
        self.target = target
        self._stall_seconds = stall_seconds
        self._lock = threading.Lock()
        self._live: _Live | None = None
        self._of_parents: list[_Live] = []
        self._closed = False

    def close(self) -> None:
        """Close the channel; calls that run are cancelled, later ones fail."""
        with self._lock:
            self._closed = True
            if self._live is not None and self._live.pid == os.getpid():
                self._live.channel.close()

    def call(
        self, rpc: Rpc[RequestT, ResponseT], request: RequestT, timeout: float | None = None
    ) -> ResponseT:
        """Make a unary call.

        Parameters
        ----------
        rpc : Rpc
            What to call.
        request : Message
            What to send.
        timeout : float, optional
            Seconds for all attempts, in place of the call's own.

        Raises
        ------
        SpikewireError
            The call failed; the class is that of the local mistake.
        """
        deadline = time.monotonic() + (timeout or rpc.timeout)
        attempts = itertools.count()

        def attempt() -> ResponseT:
            is_first = next(attempts) == 0
            try:
                return self._call(rpc, request, deadline - time.monotonic())
            except rpc.settled_by:
                if is_first:
                    raise
                return rpc.response()

        return self._attempts(rpc, attempt, Backoff(CALL_ATTEMPTS, deadline))

    def _call(self, rpc: Rpc[RequestT, ResponseT], request: RequestT, timeout: float) -> ResponseT:
        stub = self._current().stub(rpc, "unary_unary")
        try:
            response: ResponseT = stub(request, timeout=max(timeout, 0.001))
        except grpc.RpcError as error:
            self._fail(error, rpc)
        return response

    def receive(self, rpc: Rpc[RequestT, ResponseT], request: RequestT) -> Iterator[ResponseT]:
        """Stream the answers to one request, without retry.

        Raises
        ------
        SpikewireError
            The call failed, or the server was silent for too long.
        """
        live = self._current()
        call = live.stub(rpc, "unary_stream")(request)
        with live.watchdog.watch(call.cancel) as watch:
            try:
                while True:
                    watch.waiting()
                    message = next(call, None)
                    watch.received()
                    if message is None:
                        return
                    yield message
            except grpc.RpcError as error:
                self._fail(error, rpc, watch)
            finally:
                call.cancel()

    def receive_all(self, rpc: Rpc[RequestT, ResponseT], request: RequestT) -> list[ResponseT]:
        """Return all answers to one request, from the start again if the stream breaks.

        Raises
        ------
        SpikewireError
            The call failed, or the server was silent for too long.
        """
        return self._attempts(rpc, lambda: list(self.receive(rpc, request)), Backoff(CALL_ATTEMPTS))

    def send(
        self, rpc: Rpc[RequestT, ResponseT], requests: Callable[[], Iterable[RequestT]]
    ) -> ResponseT:
        """Stream requests and return the one answer.

        Parameters
        ----------
        rpc : Rpc
            What to call.
        requests : callable
            Makes the requests, anew for every attempt.

        Raises
        ------
        SpikewireError
            The call failed, or the server was silent for too long.
        """
        return self._attempts(rpc, lambda: self._send(rpc, requests()), Backoff(CALL_ATTEMPTS))

    def _send(self, rpc: Rpc[RequestT, ResponseT], requests: Iterable[RequestT]) -> ResponseT:
        failures: list[Exception] = []
        called = threading.Event()

        def guarded() -> Iterator[RequestT]:
            # grpc runs this in a thread of its own, where an exception would be lost.
            called.wait()
            try:
                for request in requests:
                    watch.waiting()
                    yield request
                    watch.received()
                watch.waiting()
            except Exception as failure:
                failures.append(failure)
                call.cancel()

        live = self._current()
        call = live.stub(rpc, "stream_unary").future(guarded())
        with live.watchdog.watch(call.cancel) as watch:
            called.set()
            try:
                response: ResponseT = call.result()
            except (grpc.RpcError, grpc.FutureCancelledError) as error:
                if failures:
                    raise failures[0] from None
                self._fail(error, rpc, watch)
            finally:
                call.cancel()  # of use only if the caller was interrupted
        return response

    def _attempts(
        self, rpc: Rpc[Any, Any], attempt: Callable[[], ResultT], backoff: Backoff
    ) -> ResultT:
        while True:
            try:
                return attempt()
            except ServerUnavailableError:
                if self._closed or not rpc.retry or not backoff.pause():
                    raise

    def _current(self) -> _Live:
        with self._lock:
            if self._closed:
                raise ServerUnavailableError(f"the connection to {self.target} was closed")
            if self._live is not None and self._live.pid != os.getpid():
                # Kept, since even to drop a parent's channel would be to touch it.
                self._of_parents.append(self._live)
                self._live = None
            if self._live is None:
                self._live = _Live(self.target, self._stall_seconds)
            return self._live

    def _fail(
        self,
        error: grpc.RpcError | grpc.FutureCancelledError,
        rpc: Rpc[Any, Any],
        watch: Watch | None = None,
    ) -> NoReturn:
        if watch is not None and watch.stalled:
            raise DeadlineExceededError(
                f"{rpc.method}: the server at {self.target} was silent for "
                f"{self._stall_seconds:g} s"
            ) from error
        raise error_from_rpc(error, str(self.target), rpc.method) from error


class _Live:
    """The channel of one process."""

    def __init__(self, target: Target, stall_seconds: float) -> None:
        self.pid = os.getpid()
        self.channel = grpc.insecure_channel(str(target), options=_OPTIONS)
        self.watchdog = Watchdog(stall_seconds)
        self._stubs: dict[Rpc[Any, Any], Any] = {}

    def stub(self, rpc: Rpc[Any, Any], kind: str) -> Any:
        """Return what calls an rpc: a ``unary_unary``, ``unary_stream`` or ``stream_unary``."""
        stub = self._stubs.get(rpc)
        if stub is None:
            stub = self._stubs[rpc] = getattr(self.channel, kind)(
                rpc.path,
                request_serializer=rpc.request.SerializeToString,
                response_deserializer=rpc.response.FromString,
            )
        return stub


_shared: dict[Target, Connection] = {}
_shared_lock = threading.Lock()


def shared_connection(target: Target) -> Connection:
    """Return the connection that sortings which were loaded, not opened, share."""
    with _shared_lock:
        return _shared.setdefault(target, Connection(target))
