"""NATS JetStream, files, synced before it acknowledges."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from benchmarks.data import WrongTransferError
from benchmarks.live.batches import Batch, Ledger
from benchmarks.live.sides import Site
from benchmarks.live.sides.nats_core import taker
from benchmarks.live.sides.nats_server import missing, running

__all__ = ["ACKNOWLEDGES", "NAME", "check", "missing", "open_follower", "open_rig", "serving"]

NAME = "JetStream, sync=always"
ACKNOWLEDGES = True
_AHEAD = 65_536


class _Rig:
    def __init__(self, stream: Any, name: str, acked: Callable[[int], None]) -> None:
        self._stream = stream
        self._name = name
        self._acked = acked
        self._spikes = 0

    async def send(self, batch: Batch) -> None:
        published = await self._stream.publish_async(self._name, batch.as_bytes())
        published.add_done_callback(lambda done: self._take(done, len(batch.samples)))

    def _take(self, published: asyncio.Future[Any], spikes: int) -> None:
        published.result()
        self._spikes += spikes
        self._acked(self._spikes)


def serving(folder: Path) -> AbstractContextManager[Site]:
    settings = f'store_dir: "{folder / "jetstream"}"\n sync_interval: always'
    return running(folder, f"jetstream {{\n {settings}\n}}")


async def open_rig(site: Site, name: str, acked: Callable[[int], None]) -> _Rig:
    import nats

    stream = (await nats.connect(site.address)).jetstream(publish_async_max_pending=_AHEAD)
    await stream.add_stream(name=_stream_of(name), subjects=[name])
    return _Rig(stream, name, acked)


async def open_follower(site: Site, ledgers: Mapping[str, Ledger]) -> None:
    import nats

    stream = (await nats.connect(site.address)).jetstream()
    for name, ledger in ledgers.items():
        await stream.subscribe(
            name, stream=_stream_of(name), cb=taker(ledger), ordered_consumer=True
        )


def check(site: Site, counts: Mapping[str, int], spikes: int) -> None:
    """Compare the number of messages that are stored with that of those that were sent."""
    stored = asyncio.run(_stored(site, list(counts)))
    if stored != dict(counts):
        raise WrongTransferError(f"JetStream has {stored} messages, not {counts}")


async def _stored(site: Site, names: list[str]) -> dict[str, int]:
    import nats

    connection = await nats.connect(site.address)
    try:
        stream = connection.jetstream()
        return {name: (await stream.stream_info(_stream_of(name))).state.messages for name in names}
    finally:
        await connection.close()


def _stream_of(name: str) -> str:
    return name.replace("/", "-")
