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
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, partial(function, *args, **kwargs))

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
