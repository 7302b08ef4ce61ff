"""The one place where rpcs are called from threads: deadlines, errors, silent servers."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from typing import Any, NoReturn, TypeVar

import grpc
from google.protobuf.message import Message

from spikewire.core.errors import DeadlineExceededError, ServerUnavailableError
from spikewire.remote.methods import QUERY, Rpc
from spikewire.remote.resources import Resources
from spikewire.remote.sessions import QuerySession, SessionPool
from spikewire.remote.steps import Ask, Call, Operation, Pause, Receive, Send, Wait
from spikewire.remote.target import Target
from spikewire.remote.watchdog import Watch, Watchdog
from spikewire.v1.spike_train_service_pb2 import QueryRequest, QueryResponse
from spikewire.wire.errors import error_from_rpc

ResponseT = TypeVar("ResponseT")
ResultT = TypeVar("ResultT")

STALL_SECONDS = 30.0
"""How long a stream may be without a message."""

OPTIONS = [
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

# A stream is read in the thread that wants it, without a detour by another one: a fifth
# faster. The name is that in grpc.experimental.ChannelOptions.
_DIRECT = ("SingleThreadedUnaryStream", 1)


class Connection:
    """The channel to one server, and what runs operations over it.

    Every process has a channel of its own, made on first use: one that came from
    a parent process by fork must not be touched. Safe to use from many threads.

    Parameters
    ----------
    target : Target
        The server's address.
    resources : Resources, optional
        What the reads over it share.
    stall_seconds : float
        How long a stream may be without a message.
    """

    def __init__(
        self,
        target: Target,
        resources: Resources | None = None,
        stall_seconds: float = STALL_SECONDS,
    ) -> None:
        self.target = target
        self.resources = resources or Resources.of(target)
        self._stall_seconds = stall_seconds
        self._lock = threading.Lock()
        self._live: _Live | None = None
        self._of_parents: list[_Live] = []
        self._closed = threading.Event()

    def close(self) -> None:
        """Close the channel; calls that run are cancelled, later ones fail."""
        with self._lock:
            self._closed.set()
            if self._live is not None and self._live.pid == os.getpid():
                self._live.channel.close()

    @property
    def is_closed(self) -> bool:
        """Whether it was closed, and no call can succeed any more."""
        return self._closed.is_set()

    def run(self, operation: Operation[ResultT]) -> ResultT:
        """Do what an operation asks for, step by step, and return its result.

        Raises
        ------
        SpikewireError
            A call failed; the class is that of the local mistake.
        """
        steps = self.iterate(operation)
        while True:
            try:
                next(steps)
            except StopIteration as end:
                result: ResultT = end.value
                return result

    def iterate(self, operation: Operation[ResultT]) -> Generator[None, None, ResultT]:
        """Do the same, and pause after every message that the operation has taken."""
        answer: Any = None
        failure: BaseException | None = None
        try:
            while True:
                step = operation.send(answer) if failure is None else operation.throw(failure)
                try:
                    if isinstance(step, Receive):
                        yield from self._take_each(step)
                        answer, failure = None, None
                    else:
                        answer, failure = self._perform(step), None
                except BaseException as error:
                    answer, failure = None, error
        except StopIteration as end:
            result: ResultT = end.value
            return result
        finally:
            failure = None  # its traceback refers to this frame

    def _take_each(self, step: Receive) -> Generator[None, None, None]:
        with closing(self.receive(step.rpc, step.request)) as messages:
            for message in messages:
                wants_more = step.take(message)
                yield
                if not wants_more:
                    break

    def _perform(self, step: Call | Ask | Wait | Send | Pause) -> Any:
        match step:
            case Call(rpc, request, timeout):
                return self._call(rpc, request, timeout)
            case Ask(request):
                return self._ask(request)
            case Wait(future, timeout):
                return future.result(timeout)
            case Send(rpc, requests):
                return self._send(rpc, requests)
            case Pause(seconds):
                self._closed.wait(seconds)
                self._current()  # raises if it was closed
        return None

    def _call(self, rpc: Rpc[Any, ResponseT], request: Message, timeout: float) -> ResponseT:
        stub = self._current().stub(rpc, "unary_unary")
        try:
            response: ResponseT = stub(request, timeout=timeout)
        except grpc.RpcError as error:
            self._fail(error, rpc)
        return response

    def receive(
        self, rpc: Rpc[Any, ResponseT], request: Message
    ) -> Generator[ResponseT, None, None]:
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

    def exchange(
        self, rpc: Rpc[Any, ResponseT], requests: Callable[[Watch], Iterable[Any]]
    ) -> Generator[ResponseT, None, None]:
        """Stream messages both ways, without retry.

        Parameters
        ----------
        rpc : Rpc
            What to call.
        requests : callable
            Makes the requests; is run in another thread, and says when the server is
            waited for.

        Raises
        ------
        SpikewireError
            The call failed, or the server was silent for too long.
        Exception
            What `requests` raised.
        """
        live = self._current()
        guarded = _Guarded(requests)
        call = live.stub(rpc, "stream_stream")(iter(guarded))
        with live.watchdog.watch(call.cancel) as watch:
            guarded.begin(call, watch)
            try:
                yield from call
            except grpc.RpcError as error:
                guarded.check()
                self._fail(error, rpc, watch)
            finally:
                call.cancel()

    def _send(self, rpc: Rpc[Any, ResponseT], requests: Iterable[Message]) -> ResponseT:
        def watched(watch: Watch) -> Iterator[Message]:
            for request in requests:
                watch.waiting()
                yield request
                watch.received()
            watch.waiting()

        live = self._current()
        guarded = _Guarded(watched)
        call = live.stub(rpc, "stream_unary").future(iter(guarded))
        with live.watchdog.watch(call.cancel) as watch:
            guarded.begin(call, watch)
            try:
                response: ResponseT = call.result()
            except (grpc.RpcError, grpc.FutureCancelledError) as error:
                guarded.check()
                self._fail(error, rpc, watch)
            finally:
                call.cancel()  # of use only if the caller was interrupted
        return response

    def _ask(self, request: QueryRequest) -> QueryResponse:
        live = self._current()
        session = live.sessions.take(request)
        if session is None:
            session = QuerySession(live.stub(QUERY, "stream_stream"), live.watchdog)
        try:
            answer = session.ask(request)
        except BaseException as error:
            session.close()
            if isinstance(error, grpc.RpcError):
                self._fail(error, QUERY, session.watch)
            raise
        live.sessions.give(request, session)
        return answer

    def _current(self) -> _Live:
        with self._lock:
            if self._closed.is_set():
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
        if self.is_closed:
            raise ServerUnavailableError(f"the connection to {self.target} was closed") from error
        raise error_from_rpc(error, str(self.target), rpc.method) from error


class _Guarded:
    """Requests that grpc takes in a thread of its own, where an exception would be lost."""

    def __init__(self, requests: Callable[[Watch], Iterable[Any]]) -> None:
        self._requests = requests
        self._begun = threading.Event()
        self._failure: Exception | None = None

    def begin(self, call: Any, watch: Watch) -> None:
        """Let them go out, now that there is the call that they belong to."""
        self._call, self._watch = call, watch
        self._begun.set()

    def check(self) -> None:
        """Raise what making them raised."""
        if self._failure is not None:
            raise self._failure from None

    def __iter__(self) -> Iterator[Any]:
        self._begun.wait()
        try:
            yield from self._requests(self._watch)
        except Exception as failure:
            self._failure = failure
            self._call.cancel()


class _Live:
    """The channel of one process."""

    def __init__(self, target: Target, stall_seconds: float) -> None:
        self.pid = os.getpid()
        self.channel = grpc.insecure_channel(str(target), options=[*OPTIONS, _DIRECT])
        self.watchdog = Watchdog(stall_seconds)
        self.sessions: SessionPool[QuerySession] = SessionPool(QuerySession.close)
        self._stubs: dict[Rpc[Any, Any], Any] = {}

    def stub(self, rpc: Rpc[Any, Any], kind: str) -> Any:
        """Return what calls an rpc: a ``unary_unary``, ``unary_stream`` or another."""
        stub = self._stubs.get(rpc)
        if stub is None:
            stub = self._stubs[rpc] = getattr(self.channel, kind)(rpc.path, **rpc.codec)
        return stub


_shared: dict[Target, Connection] = {}
_shared_lock = threading.Lock()


def shared_connection(target: Target) -> Connection:
    """Return the connection that sortings which were loaded, not opened, share."""
    with _shared_lock:
        return _shared.setdefault(target, Connection(target))
