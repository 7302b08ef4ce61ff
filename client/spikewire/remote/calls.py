"""Calls that are repeated when the server was not available, as operations."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from google.protobuf.message import Message

from spikewire.core.errors import ServerUnavailableError
from spikewire.remote.backoff import Backoff
from spikewire.remote.methods import Rpc
from spikewire.remote.steps import Call, Operation, Pause, Receive, Send

RequestT = TypeVar("RequestT", bound=Message)
ResponseT = TypeVar("ResponseT")
ResultT = TypeVar("ResultT")

CALL_ATTEMPTS = 8
"""How often a call is made to a server that is not available: for about 4 s."""


def call(
    rpc: Rpc[RequestT, ResponseT], request: RequestT, timeout: float | None = None
) -> Operation[ResponseT]:
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
    is_first = True

    def attempt() -> Operation[ResponseT]:
        nonlocal is_first
        was_first, is_first = is_first, False
        try:
            response: ResponseT = yield Call(rpc, request, max(deadline - time.monotonic(), 0.001))
        except rpc.settled_by:
            if was_first:
                raise
            response = rpc.response()
        return response

    return (yield from _repeated(rpc, attempt, Backoff(CALL_ATTEMPTS, deadline)))


def receive_all(rpc: Rpc[RequestT, ResponseT], request: RequestT) -> Operation[list[ResponseT]]:
    """Return all answers to one request, from the start again if the stream breaks."""

    def attempt() -> Operation[list[ResponseT]]:
        answers: list[ResponseT] = []

        def take(answer: ResponseT) -> bool:
            answers.append(answer)
            return True

        yield Receive(rpc, request, take)
        return answers

    return (yield from _repeated(rpc, attempt, Backoff(CALL_ATTEMPTS)))


def send(
    rpc: Rpc[RequestT, ResponseT], requests: Callable[[], Iterable[RequestT]]
) -> Operation[ResponseT]:
    """Stream requests and return the one answer.

    Parameters
    ----------
    rpc : Rpc
        What to call.
    requests : callable
        Makes the requests, anew for every attempt.
    """

    def attempt() -> Operation[ResponseT]:
        response: ResponseT = yield Send(rpc, requests())
        return response

    return (yield from _repeated(rpc, attempt, Backoff(CALL_ATTEMPTS)))


def _repeated(
    rpc: Rpc[Any, Any], attempt: Callable[[], Operation[ResultT]], backoff: Backoff
) -> Operation[ResultT]:
    while True:
        try:
            return (yield from attempt())
        except ServerUnavailableError:
            seconds = backoff.pause() if rpc.retry else None
            if seconds is None:
                raise
        yield Pause(seconds)
