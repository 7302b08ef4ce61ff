"""The process of the followers: one connection, on which it follows every rig."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import numpy as np

from benchmarks.data import WrongTransferError
from benchmarks.live.batches import Int64Array, Ledger
from benchmarks.live.sides import Site, side_of


class Followers:
    """Follows some rigs.

    Parameters
    ----------
    side : str
        Module of `benchmarks.live.sides`.
    site : Site
        Where its server is.
    names : sequence of str
        What to follow.
    spikes : int
        Of a batch.
    """

    def __init__(self, side: str, site: Site, names: Sequence[str], spikes: int) -> None:
        self._side = side_of(side)
        self._site = site
        self._ledgers = {name: Ledger(spikes) for name in names}

    async def open(self) -> None:
        """Begin to follow."""
        await self._side.open_follower(self._site, self._ledgers)

    async def collect(self, first: int, stop: int, timeout: float) -> Int64Array:
        """Return when some batches of each rig were here, in nanoseconds, shape (rigs, batches).

        Raises
        ------
        WrongTransferError
            They are not here in time, or are not what was sent.
        """
        deadline = time.monotonic() + timeout
        arrivals = []
        for name, ledger in self._ledgers.items():
            try:
                arrivals.append(await asyncio.to_thread(ledger.collect, first, stop, deadline))
            except WrongTransferError as error:
                raise WrongTransferError(f"{self._side.NAME}, {name}: {error}") from error
        return np.array(arrivals)
