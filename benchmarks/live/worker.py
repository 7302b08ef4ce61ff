"""Processes of rigs and of followers, and what they are told to do."""

from __future__ import annotations

import asyncio
import multiprocessing
from collections.abc import Awaitable, Callable
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Self

import uvloop

_START_SECONDS = 60.0
_CONTEXT = multiprocessing.get_context("spawn")


class WorkerError(Exception):
    """A process failed, or did not answer in time."""


class Worker:
    """A process with an event loop, in which methods of one object are called.

    Parameters
    ----------
    program : callable
        Makes the object, in the process: a class.
    arguments
        What it takes.
    """

    def __init__(self, program: Callable[..., Any], *arguments: Any) -> None:
        self._connection, theirs = _CONTEXT.Pipe()
        # A daemon: it ends with this process at the latest.
        self._process = _CONTEXT.Process(
            target=_serve, args=(theirs, program, arguments), daemon=True
        )
        self._process.start()
        theirs.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # What it holds is of no use any more: neither is a clean end.
        self._process.kill()
        self._process.join()
        self._connection.close()

    def tell(self, method: str, *arguments: Any) -> None:
        """Have a coroutine method called; `answer` returns what it returns."""
        self._connection.send((method, arguments))

    def answer(self, timeout: float = _START_SECONDS) -> Any:
        """Return what the method returned that was called longest ago.

        Raises
        ------
        WorkerError
            It takes longer, or the process ended.
        Exception
            What the method raised.
        """
        if not self._connection.poll(timeout):
            raise WorkerError(f"no answer within {timeout:.0f} s")
        try:
            answer = self._connection.recv()
        except EOFError as error:
            raise WorkerError("the process ended") from error
        if isinstance(answer, Exception):
            raise answer
        return answer

    def ask(self, method: str, *arguments: Any, timeout: float = _START_SECONDS) -> Any:
        """Have a method called, and return what it returns."""
        self.tell(method, *arguments)
        return self.answer(timeout)


def _serve(connection: Connection, program: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_answer(connection, program(*arguments)))


async def _answer(connection: Connection, target: object) -> None:
    loop = asyncio.get_running_loop()
    while True:
        try:
            method, arguments = await loop.run_in_executor(None, connection.recv)
        except EOFError:
            return
        call: Callable[..., Awaitable[Any]] = getattr(target, method)
        try:
            answer = await call(*arguments)
        except Exception as error:
            answer = WorkerError(f"{method}: {type(error).__name__}: {error}")
        connection.send(answer)
