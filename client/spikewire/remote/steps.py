"""What the client does, without saying how it waits.

Its logic is written once, as operations: generators that yield steps and are sent what
came of them. `spikewire.remote.channel` runs operations in the thread that calls,
`spikewire.aio.channel` in an event loop.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future
from typing import Any, NamedTuple, TypeAlias, TypeVar

from google.protobuf.message import Message

from spikewire.remote.methods import Rpc
from spikewire.v1.spike_train_service_pb2 import QueryRequest

ResultT = TypeVar("ResultT")


class Call(NamedTuple):
    """Make a unary call, in so many seconds; what comes of it is the response."""

    rpc: Rpc[Any, Any]
    request: Message
    timeout: float


class Receive(NamedTuple):
    """Stream the answers to a request to `take`, while it returns True and there are more."""

    rpc: Rpc[Any, Any]
    request: Message
    take: Callable[[Any], bool]


class Send(NamedTuple):
    """Stream requests; what comes of it is the response."""

    rpc: Rpc[Any, Any]
    requests: Iterable[Message]


class Ask(NamedTuple):
    """Ask over a session of the sorting that is named; what comes of it is the answer."""

    request: QueryRequest


class Wait(NamedTuple):
    """Wait for what another operation or thread does; what comes of it is the result.

    After `timeout` seconds, if that is not None, what comes of it is a TimeoutError.
    """

    future: Future[Any]
    timeout: float | None = None


class Pause(NamedTuple):
    """Do nothing for some seconds."""

    seconds: float


Step: TypeAlias = Call | Receive | Send | Ask | Wait | Pause
Operation: TypeAlias = Generator[Step, Any, ResultT]
