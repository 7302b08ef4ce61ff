"""Wakes everybody who waits, once."""

from __future__ import annotations

import asyncio


class Signal:
    """Something that happens again and again; for one event loop.

    Who waits has looked at the state since he last gave way to others, so that
    nothing that happens in between is missed.
    """

    def __init__(self) -> None:
        self._event = asyncio.Event()

    async def wait(self) -> None:
        """Wait until it happens the next time."""
        await self._event.wait()

    def fire(self) -> None:
        """Let it happen."""
        self._event.set()
        self._event = asyncio.Event()
