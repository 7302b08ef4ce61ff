"""The process of somebody who reads whole sortings."""

from __future__ import annotations

import time
from pathlib import Path

import spikewire
from benchmarks.data import Truth
from benchmarks.live.sides import Site
from benchmarks.peers.spikewire_remote import wait_for_index


class Reader:
    """Reads a sorting over and over, as whoever has just opened it.

    Parameters
    ----------
    site : Site
        Where the server is.
    name : str
        The sorting's.
    truth : Truth
        What it amounts to.
    """

    def __init__(self, site: Site, name: str, truth: Truth) -> None:
        self._site = site
        self._name = name
        self._truth = truth

    async def open(self, folder: Path, store: Path) -> None:
        """Connect, and wait until the server has its index."""
        self._client = spikewire.connect(self._site.address, progress=False)
        wait_for_index(self._client, self._name, store, self._truth.count)

    async def read(self, seconds: float) -> float:
        """Read for some time, and return how many million spikes came a second."""
        start, spikes = time.perf_counter(), 0
        while time.perf_counter() - start < seconds:
            columns = self._client.open(self._name).to_spike_columns()
            self._truth.check_columns(columns)
            spikes += len(columns[0])
        return spikes / (time.perf_counter() - start) / 1e6
