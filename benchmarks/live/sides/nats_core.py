"""NATS without JetStream: nothing is kept, nothing is acknowledged."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from benchmarks.live.batches import Batch, Ledger, from_bytes
from benchmarks.live.sides import Site
from benchmarks.live.sides.nats_server import missing, running

__all__ = ["ACKNOWLEDGES", "NAME", "check", "missing", "open_follower", "open_rig", "serving"]

NAME = "NATS core, not durable"
ACKNOWLEDGES = False


class _Rig:
    def __init__(self, connection: Any, name: str) -> None:
        self._connection = connection
        self._name = name

    async def send(self, batch: Batch) -> None:
        await self._connection.publish(self._name, batch.as_bytes())


def serving(folder: Path) -> AbstractContextManager[Site]:
    return running(folder)


async def open_rig(site: Site, name: str, acked: Callable[[int], None]) -> _Rig:
    import nats

    return _Rig(await nats.connect(site.address), name)


async def open_follower(site: Site, ledgers: Mapping[str, Ledger]) -> None:
    import nats

    connection = await nats.connect(site.address)
    for name, ledger in ledgers.items():
        await connection.subscribe(name, cb=taker(ledger))
    await connection.flush()  # the server knows of them now


def taker(ledger: Ledger) -> Callable[[Any], Any]:
    """Return what takes messages into a ledger."""

    async def take(message: Any) -> None:
        ledger.take(*from_bytes(message.data))

    return take


def check(site: Site, counts: Mapping[str, int], spikes: int) -> Iterator[None] | None:
    """Do nothing: it keeps nothing."""
