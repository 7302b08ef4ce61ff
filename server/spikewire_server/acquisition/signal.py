"""Wakes everybody who waits, once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager


class Signal:
    """Something that happens again and again; for one event loop.

    Who waits has looked at the state since he last gave way to others, so that
    nothing that happens in between is missed.
    """

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self._relays: set[Signal] = set()

    async def wait(self) -> None:
        """Wait until it happens the next time."""
        await self._event.wait()

    def fire(self) -> None:
        """Let it happen."""
        self._event.set()
        self._event = asyncio.Event()
        for relay in self._relays:
            relay.fire()

    @staticmethod
    @contextmanager
    def any_of(signals: Sequence[Signal]) -> Iterator[Signal]:
        """Give a signal that fires when one of several does, within a block."""
        if len(signals) == 1:
            yield signals[0]
            return
        combined = Signal()
        for signal in signals:
            signal._relays.add(combined)
        try:
            yield combined
        finally:
            for signal in signals:
                signal._relays.discard(combined)
