"""spikewire through its SDK: `client.acquire` with its spool, `client.follow`."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping

import spikewire
from benchmarks.data import SAMPLING_FREQUENCY
from benchmarks.live.batches import UNITS, Batch, Ledger
from benchmarks.live.sides import Site
from benchmarks.live.sides.spikewire_server import check, missing, serving

__all__ = ["ACKNOWLEDGES", "NAME", "check", "missing", "open_follower", "open_rig", "serving"]

NAME = "SDK"
ACKNOWLEDGES = True


class _Rig:
    def __init__(self, writer: spikewire.SpikeWriter) -> None:
        self._writer = writer

    async def send(self, batch: Batch) -> None:
        self._writer.append(*batch)  # never waits for the network
        await asyncio.sleep(0)


async def open_rig(site: Site, name: str, acked: Callable[[int], None]) -> _Rig:
    client = spikewire.connect(site.address, progress=False)
    return _Rig(
        client.acquire(
            name,
            SAMPLING_FREQUENCY,
            range(UNITS),
            spool=site.folder / "spools" / name,
            on_progress=lambda stats: acked(stats.acknowledged),
        )
    )


async def open_follower(site: Site, ledgers: Mapping[str, Ledger]) -> None:
    client = spikewire.connect(site.address, progress=False)
    for name, ledger in ledgers.items():
        follower = client.follow(name)
        threading.Thread(target=_follow, args=(follower, ledger), daemon=True).start()


def _follow(follower: spikewire.Follower, ledger: Ledger) -> None:
    for block in follower:
        ledger.take(block.sample_index, block.unit_index)
