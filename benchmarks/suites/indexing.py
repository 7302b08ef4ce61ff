"""Building the index: spikes a second, and the memory that it takes."""

from __future__ import annotations

import json
import subprocess
import sys

from benchmarks.bench import Bench
from benchmarks.data import WrongTransferError
from benchmarks.report import at_least


def measure(bench: Bench) -> None:
    """Measure the build in a process of its own, for two sizes."""
    bench.report.section("Building the index")
    for spikes, rounds in ((bench.spikes, bench.rounds), (bench.spikes * 10, min(bench.rounds, 3))):
        folder, truth = bench.sorting(spikes)
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.index_build", folder, str(rounds)],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        built = json.loads(done.stdout)
        if built["unit_counts"] != truth.unit_counts:
            raise WrongTransferError("the index does not count as the sorting does")
        bench.report.add(
            f"index of {spikes:.0e} spikes, M spikes/s",
            spikes / built["seconds"] / 1e6,
            rounds,
            target=at_least(40),
        )
        bench.report.add(
            f"memory of building the index of {spikes:.0e} spikes, MB", built["memory"] / 1e6, 1
        )
