"""The process of the rigs: each sends its batches at its rate, or as fast as they are taken."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np

from benchmarks.live.batches import RATE, Batch, Batches, Int64Array
from benchmarks.live.sides import Site, side_of


class Rig(Protocol):
    """One rig's connection to its server."""

    async def send(self, batch: Batch) -> None:
        """Send a batch, without waiting until it is acknowledged."""


class Acks:
    """When the batches of one rig were acknowledged; told by any one thread.

    Parameters
    ----------
    spikes : int
        Of a batch.
    """

    def __init__(self, spikes: int) -> None:
        self._spikes = spikes
        self._loop = asyncio.get_running_loop()
        self._reached = asyncio.Event()
        self._awaited = sys.maxsize
        self.times: list[int] = []
        """In nanoseconds, one a batch."""

    def take(self, spikes: int) -> None:
        """Take note that so many spikes are acknowledged in all."""
        now = time.perf_counter_ns()
        self.times.extend([now] * (spikes // self._spikes - len(self.times)))
        if len(self.times) >= self._awaited:
            self._loop.call_soon_threadsafe(self._reached.set)

    async def wait(self, count: int) -> None:
        """Wait until so many batches are acknowledged."""
        self._reached.clear()
        self._awaited = count  # first, lest it is reached in between
        if len(self.times) < count:
            await self._reached.wait()
        self._awaited = sys.maxsize


class Played(NamedTuple):
    """What some rigs did."""

    first: int
    """The number of the first batch of each rig."""
    sent: Int64Array
    """When batches were given away, in nanoseconds, shape (rigs, batches)."""
    acked: Int64Array | None
    """When they were acknowledged, if the side does that."""


class Rigs:
    """Some rigs.

    Parameters
    ----------
    side : str
        Module of `benchmarks.live.sides`.
    site : Site
        Where its server is.
    names : sequence of str
        What the rigs record.
    spikes : int
        Of a batch.
    """

    def __init__(self, side: str, site: Site, names: Sequence[str], spikes: int) -> None:
        self._side = side_of(side)
        self._site = site
        self._names = names
        self._spikes = spikes
        self._batches = Batches(spikes)
        self._next = 0

    async def open(self) -> None:
        """Connect."""
        self._acks = [Acks(self._spikes) for _ in self._names]
        self._rigs: list[Rig] = [
            await self._side.open_rig(self._site, name, acks.take)
            for name, acks in zip(self._names, self._acks, strict=True)
        ]

    async def play(self, count: int) -> Played:
        """Let every rig send so many batches at its rate, and wait for their acknowledgements.

        Rigs run on clocks of their own, so that their batches do not come together.
        """
        first, self._next = self._next, self._next + count
        offsets = np.random.default_rng(first).random(len(self._rigs)) / RATE
        start = time.perf_counter() + 0.05
        sent = await asyncio.gather(
            *(
                self._play(rig, first, count, start + offset)
                for rig, offset in zip(self._rigs, offsets, strict=True)
            )
        )
        return Played(first, np.array(sent), await self._acked(first))

    async def rush(self, seconds: float, ahead: int) -> tuple[list[int], float]:
        """Let every rig send for some time what it can, a number of batches ahead of the last ack.

        Returns
        -------
        list of int, float
            How many batches of each rig are acknowledged since it was opened, and the
            seconds from the first batch of this time to the last ack.
        """
        start = time.perf_counter()
        counts = await asyncio.gather(
            *(
                self._rush(rig, acks, start + seconds, ahead)
                for rig, acks in zip(self._rigs, self._acks, strict=True)
            )
        )
        return counts, time.perf_counter() - start

    async def sent(self) -> int:
        """Return how many batches each rig sent at its rate."""
        return self._next

    async def _play(self, rig: Rig, first: int, count: int, start: float) -> list[int]:
        sent = []
        for number in range(count):
            await asyncio.sleep(start + number / RATE - time.perf_counter())
            batch = self._batches[first + number]
            sent.append(time.perf_counter_ns())
            await rig.send(batch)
        return sent

    async def _rush(self, rig: Rig, acks: Acks, end: float, ahead: int) -> int:
        number = len(acks.times)
        while time.perf_counter() < end:
            await rig.send(self._batches[number])
            number += 1
            await acks.wait(number - ahead)
        await acks.wait(number)
        return number

    async def _acked(self, first: int) -> Int64Array | None:
        if not self._side.ACKNOWLEDGES:
            return None
        for acks in self._acks:
            await acks.wait(self._next)
        return np.array([acks.times[first : self._next] for acks in self._acks])
