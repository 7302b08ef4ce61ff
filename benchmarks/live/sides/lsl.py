"""Lab Streaming Layer: from process to process, without a server, nothing is kept."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.live.batches import Batch, Ledger
from benchmarks.live.sides import Site

NAME = "LSL, not durable"
ACKNOWLEDGES = False
_RESOLVE_SECONDS = 20.0
_MAX_SPIKES = 65_536
# Streams of this machine only: nobody else on the lab's network shall see them. Each
# outlet takes a port, and the usual range has 32.
_CONFIG = """
[ports]
PortRange = 200
IPv6 = disable
[multicast]
ResolveScope = machine
[lab]
KnownPeers = {127.0.0.1}
[log]
level = -1
"""


class _Rig:
    def __init__(self, outlet: Any) -> None:
        self._outlet = outlet

    async def send(self, batch: Batch) -> None:
        self._outlet.push_chunk(np.column_stack(batch))
        await asyncio.sleep(0)


def missing() -> str:
    """Return what is not installed, or does not load."""
    try:
        import pylsl
    except (ImportError, OSError, RuntimeError) as error:
        return f"pylsl ({str(error).splitlines()[0]})"
    return "" if pylsl.library_version() else "liblsl"


@contextmanager
def serving(folder: Path) -> Iterator[Site]:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "lsl.cfg").write_text(_CONFIG)
    yield Site("", folder)


async def open_rig(site: Site, name: str, acked: Callable[[int], None]) -> _Rig:
    pylsl = _library(site)
    info = pylsl.StreamInfo(name, "spikes", 2, pylsl.IRREGULAR_RATE, pylsl.cf_int64, name)
    outlet = pylsl.StreamOutlet(info)
    return _Rig(outlet)


async def open_follower(site: Site, ledgers: Mapping[str, Ledger]) -> None:
    pylsl = _library(site)
    loop = asyncio.get_running_loop()
    resolver = pylsl.ContinuousResolver(forget_after=2 * _RESOLVE_SECONDS)
    limit = loop.time() + _RESOLVE_SECONDS
    while ledgers.keys() - (found := {info.name(): info for info in resolver.results()}).keys():
        if loop.time() > limit:
            raise TimeoutError(f"{len(found)} of {len(ledgers)} streams were found")
        await asyncio.sleep(0.1)
    for name, ledger in ledgers.items():
        inlet = pylsl.StreamInlet(found[name], processing_flags=pylsl.proc_none)
        inlet.open_stream(_RESOLVE_SECONDS)
        threading.Thread(target=_pull, args=(inlet, ledger), daemon=True).start()


def _pull(inlet: Any, ledger: Ledger) -> None:
    while True:
        spikes, _ = inlet.pull_chunk(
            timeout=60.0, max_samples=_MAX_SPIKES, min_samples=1, as_numpy=True
        )
        if len(spikes):
            ledger.take(spikes[:, 0], spikes[:, 1])


def check(site: Site, counts: Mapping[str, int], spikes: int) -> None:
    """Do nothing: it keeps nothing."""


def _library(site: Site) -> Any:
    os.environ["LSLAPICFG"] = str(site.folder / "lsl.cfg")  # read when it is loaded
    import pylsl

    return pylsl
