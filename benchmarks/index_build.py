"""Builds the index of a folder some times over, in a process of its own; prints JSON."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.data import UNITS
from benchmarks.processes import MemoryWatch
from spikewire.extractors import NumpyFolderSorting
from spikewire_server.library.index import Index, build_index


def build(folder: Path, rounds: int) -> dict[str, object]:
    """Return the median seconds, the memory in bytes, and the counts in the index."""
    seconds = []
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".index-") as name:
        for number in range(rounds):
            place = Path(name) / str(number)
            with MemoryWatch(os.getpid()) as memory:
                start = time.perf_counter()
                segments = (
                    segment.iter_spike_columns() for segment in NumpyFolderSorting(folder).segments
                )
                build_index(place, "revision", UNITS, segments)
                seconds.append(time.perf_counter() - start)
        counts = Index(place, "revision").segments[0].counts.tolist()
    median = sorted(seconds)[len(seconds) // 2]
    return {"seconds": median, "memory": memory.growth.own, "unit_counts": counts}


if __name__ == "__main__":
    json.dump(build(Path(sys.argv[1]), int(sys.argv[2])), sys.stdout)
