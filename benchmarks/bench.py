"""What the suites of a run share."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import spikewire
from benchmarks.data import Truth, made_up
from benchmarks.peers import spikewire_remote
from benchmarks.processes import Server
from benchmarks.report import Report


@dataclass(frozen=True)
class Bench:
    """A run.

    Parameters
    ----------
    report : Report
    root : Path
        Folder of the sortings that are served, made as they are needed.
    store : Path
        Folder of our server.
    spikes : int
        The usual size of a sorting.
    rounds : int
        How often each task is measured.
    full : bool
        Whether to take the time and the disk that 1e9 spikes want.
    """

    report: Report
    root: Path
    store: Path
    spikes: int
    rounds: int
    full: bool

    def sorting(self, spikes: int) -> tuple[Path, Truth]:
        """Return a sorting of this size, and what it amounts to."""
        folder = self.root / f"{spikes:_}_spikes"
        return folder, _made_up(folder, spikes)

    @contextmanager
    def serving(self, *sizes: int) -> Iterator[tuple[Server, spikewire.Client]]:
        """Serve sortings of these sizes with spikewire, indexed; yield also a client."""
        folders = [self.sorting(size)[0] for size in sizes]
        with (
            spikewire_remote.server(self.root, self.store) as server,
            spikewire.connect(server.address, progress=False) as client,
        ):
            for folder, size in zip(folders, sizes, strict=True):
                name = spikewire_remote.name_of(folder)
                spikewire_remote.wait_for_index(client, name, self.store, size)
            yield server, client


@cache
def _made_up(folder: Path, spikes: int) -> Truth:
    start = time.perf_counter()
    truth = made_up(folder, spikes)
    print(f"({spikes:,} spikes made in {time.perf_counter() - start:.0f} s)", flush=True)
    return truth
