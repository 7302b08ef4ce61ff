"""How long streams wait for clients that take nothing."""

from __future__ import annotations

import asyncio
from typing import Any

from spikewire_server.services.context import Context


class ReaderStalledError(Exception):
    """The client has left a message unread for too long."""


class Patience:
    """Sends the messages of streams, and gives up clients that do not read them.

    One look at all streams from time to time costs less than a timer for each message.

    Parameters
    ----------
    seconds : float
        How long a message may be left unread.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._since: dict[asyncio.Task[Any], float] = {}
        self._given_up: set[asyncio.Task[Any]] = set()
        self._is_looking = False

    async def write(self, context: Context, message: Any) -> None:
        """Send a message of the call that the running task handles.

        Raises
        ------
        ReaderStalledError
            The client does not read it.
        """
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None
        self._since[task] = loop.time()
        if not self._is_looking:
            self._look_later(loop)
        try:
            await context.write(message)
        except asyncio.CancelledError:
            if task not in self._given_up:
                raise
            task.uncancel()
            raise ReaderStalledError(
                f"the client has left a message unread for {self._seconds:g} s"
            ) from None
        finally:
            del self._since[task]
            self._given_up.discard(task)

    def _look_later(self, loop: asyncio.AbstractEventLoop) -> None:
        self._is_looking = True
        loop.call_later(self._seconds / 10, self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        latest = loop.time() - self._seconds
        for task, since in self._since.items():
            if since < latest and task not in self._given_up:
                self._given_up.add(task)
                task.cancel()
        self._is_looking = False
        if self._since:
            self._look_later(loop)
