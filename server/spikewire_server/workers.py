"""Where blocking work runs: a bounded pool of threads of our own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_here = threading.local()


class NobodyWaitsError(Exception):
    """Nobody waits any more for what this thread computes."""


class Wait:
    """Somebody waits for what worker threads compute, until it is ended."""

    def __init__(self) -> None:
        self.has_ended = False

    def end(self) -> None:
        """Let the threads that work for it stop at their next `check_wait`."""
        self.has_ended = True


def check_wait() -> None:
    """Stop this thread's work if nobody waits for it; for what takes long, every few ms.

    Raises
    ------
    NobodyWaitsError
        The call that the work is for was cancelled, which by itself stops no thread.
    """
    wait: Wait | None = getattr(_here, "wait", None)
    if wait is not None and wait.has_ended:
        raise NobodyWaitsError


class Workers:
    """Runs blocking functions beside the event loop, so many at a time.

    Parameters
    ----------
    threads : int
        How many functions run at once; the others wait.
    """

    def __init__(self, threads: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="worker")

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what `function` returns, computed in a thread."""
        wait = Wait()
        try:
            return await self.run_for(wait, function, *args, **kwargs)
        except asyncio.CancelledError:
            wait.end()
            raise

    async def run_for(
        self, wait: Wait, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Do the same, for somebody who ends the wait himself."""
        loop = asyncio.get_running_loop()
        work = partial(function, *args, **kwargs)
        return await loop.run_in_executor(self._pool, _work_for, wait, work)

    async def run_stoppable(self, function: Callable[[Callable[[], bool]], T]) -> T:
        """Return what `function` returns; tell it to stop when the call is cancelled.

        Parameters
        ----------
        function : callable
            Takes one function that answers True once nobody waits for the
            result: cancelling a call does not stop a thread, so long work has
            to ask.
        """
        abandoned = threading.Event()
        try:
            return await self.run(function, abandoned.is_set)
        except asyncio.CancelledError:
            abandoned.set()
            raise

    def close(self) -> None:
        """Wait for what runs, refuse what comes."""
        self._pool.shutdown(wait=True, cancel_futures=True)


def _work_for(wait: Wait, work: Callable[[], T]) -> T:
    _here.wait = wait
    try:
        check_wait()  # it may have been in the queue for long
        return work()
    finally:
        del _here.wait
