"""What both ways to our server have in common: the server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import spikewire
from benchmarks.data import WrongTransferError
from benchmarks.live.batches import Batches
from benchmarks.live.sides import Site
from benchmarks.processes import Server


@contextmanager
def serving(folder: Path) -> Iterator[Site]:
    """Run a server."""
    flags = ("--store", folder / "store", "--port", "0", "--log-level", "warning")
    with Server("spikewire_server", *flags) as server:
        yield Site(server.address, folder)


def missing() -> str:
    return ""


def check(site: Site, counts: Mapping[str, int], spikes: int) -> None:
    """Read what was recorded, and compare it with what was sent."""
    batches = Batches(spikes)
    with spikewire.connect(site.address, progress=False) as client:
        for name, count in counts.items():
            samples, units = client.open(name).to_spike_columns()
            sums = len(samples), int(samples.sum()), int(units.sum())
            if sums != batches.sums_of(count):
                raise WrongTransferError(f"{name} has {sums}, not what was sent")
