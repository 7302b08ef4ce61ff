"""`make bench`: remote reads beside SpikeInterface's local ones, in one interleaved run.

Only the ratios mean something: both sides of one are measured in turn, on the same
machine, in the same minute.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import spikeinterface

import spikewire
from spikewire import NumpySorting

NAME = "bench/sorting"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spikes", type=int, default=5_000_000)
    parser.add_argument("--units", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()

    with tempfile.TemporaryDirectory(prefix="spikewire-bench-") as name:
        folder = Path(name)
        sorting = made_up(options.spikes, options.units)
        sorting.save(folder=folder / "local")
        with server(folder / "store") as address, spikewire.connect(address) as client:
            client.upload(sorting, NAME)
            medians = measure(client, folder / "local", options.rounds)
    report(medians, options.spikes, options.units)


def made_up(spike_count: int, unit_count: int) -> NumpySorting:
    """Units of log-normal rates, 6 Hz on average, at 30 kHz."""
    random = np.random.default_rng(0)
    frames = int(spike_count / unit_count / 6 * 30_000)
    weights = random.lognormal(size=unit_count)
    samples = np.sort(random.integers(0, frames, spike_count))
    labels = random.choice(unit_count, spike_count, p=weights / weights.sum())
    return NumpySorting.from_samples_and_labels(
        [samples], [labels], 30_000.0, unit_ids=np.arange(unit_count)
    )


def measure(client: spikewire.Client, folder: Path, rounds: int) -> dict[str, float]:
    """Return the median seconds of each task, every round doing all of them in turn."""

    def remote_vector() -> None:
        client.open(NAME).to_spike_vector()

    def remote_trains() -> None:
        sorting = client.open(NAME)
        for unit_id in sorting.unit_ids:
            sorting.get_unit_spike_train(unit_id)

    def remote_train() -> None:
        client.open(NAME).get_unit_spike_train(7)

    def remote_open() -> None:
        client.open(NAME)

    def local_vector() -> None:
        spikeinterface.load(folder).to_spike_vector()

    def local_trains() -> None:
        sorting = spikeinterface.load(folder)
        for unit_id in sorting.unit_ids:
            sorting.get_unit_spike_train(unit_id)

    tasks = [remote_vector, remote_trains, remote_train, remote_open, local_vector, local_trains]
    seconds: dict[str, list[float]] = {task.__name__: [] for task in tasks}
    for round_index in range(rounds + 1):
        for task in tasks:
            elapsed = time_of(task)
            if round_index:  # the first round warms the caches
                seconds[task.__name__].append(elapsed)
    return {name: statistics.median(times) for name, times in seconds.items()}


def time_of(task: Callable[[], None]) -> float:
    start = time.perf_counter()
    task()
    return time.perf_counter() - start


def report(medians: dict[str, float], spikes: int, units: int) -> None:
    print(f"{spikes:,} spikes of {units} units; {platform.machine()}, {platform.platform()}")
    print(f"Python {platform.python_version()}, SpikeInterface {spikeinterface.__version__}\n")
    for name, seconds in medians.items():
        print(f"{name.replace('_', ' '):15} {seconds * 1e3:10.1f} ms")
    print()
    for what in ("vector", "trains"):
        ratio = medians[f"local_{what}"] / medians[f"remote_{what}"]
        print(f"open + {what}, remotely, is {ratio:.2f} times as fast as SpikeInterface locally")
    rate = spikes / (medians["remote_vector"] - medians["remote_open"])
    print(f"{rate / 1e6:.1f} million spikes a second over loopback")


@contextmanager
def server(store: Path) -> Iterator[str]:
    """Run a server while the block runs, and yield the address that it listens on."""
    process = subprocess.Popen(
        [sys.executable, "-m", "spikewire_server", "--port", "0", "--store", store],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with process:
        try:
            assert process.stdout
            yield process.stdout.readline().split()[-1]
        finally:
            process.terminate()


if __name__ == "__main__":
    main()
