"""What reads cost against the size of the sorting, and what memory streaming takes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import closing

import numpy as np

import spikewire
from benchmarks.bench import Bench
from benchmarks.data import SAMPLING_FREQUENCY, Truth, WrongTransferError
from benchmarks.peers.spikewire_remote import Newcomers, name_of
from benchmarks.processes import MemoryWatch
from benchmarks.report import at_most
from benchmarks.rounds import Task, interleave
from benchmarks.suites.bulk import all_trains

_MINUTE = int(60 * SAMPLING_FREQUENCY)
_PART_SPIKES = 4_000_000
"""Spikes of a window, roughly, when a sorting is streamed that is not to be held."""


def measure(bench: Bench) -> None:
    """Measure sortings of ten sizes ever larger, one after the other."""
    sizes = [bench.spikes // 100, bench.spikes // 10, bench.spikes, bench.spikes * 10]
    if bench.full:
        sizes.append(bench.spikes * 100)
    bench.report.section("Cost against size, in ms, and memory of the server and the client")
    curves: dict[str, list[float]] = {}
    for size in sizes:
        for what, milliseconds in _measure(bench, size).items():
            curves.setdefault(what, []).append(milliseconds)
    for what, curve in curves.items():
        slope = np.polyfit(np.log(sizes[: len(curve)]), np.log(curve), 1)[0]
        steepest = max(np.diff(np.log(curve)) / np.diff(np.log(sizes[: len(curve)])))
        span = f"{sizes[0]:.0e} to {sizes[len(curve) - 1]:.0e} spikes"
        bench.report.add(f"{what}: log-log slope, {span}", float(slope), len(curve))
        bench.report.add(f"{what}: steepest step of it", float(steepest), len(curve))


def _measure(bench: Bench, size: int) -> dict[str, float]:
    folder, truth = bench.sorting(size)
    whole = size * 16 < os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 8
    with (
        bench.serving(size) as (server, client),
        closing(Newcomers(server.address, name_of(folder))) as newcomers,
    ):
        middle = truth.last[0] // 2
        unit = int(np.argmax(truth.unit_counts))
        tasks = [
            Task("open", lambda _: client.open(name_of(folder)), _anything),
            Task(
                "a minute of all units",
                lambda s: s.to_spike_columns(start_frame=middle, end_frame=middle + _MINUTE),
                _anything,
                newcomers.open,
            ),
            Task(
                "a minute of one unit",
                lambda s: s.get_unit_spike_train(
                    unit, start_frame=middle, end_frame=middle + _MINUTE, use_cache=False
                ),
                _anything,
                newcomers.open,
            ),
        ]
        if whole:
            tasks += [
                Task("vector", lambda s: s.to_spike_columns(), truth.check_columns, newcomers.open),
                Task("all trains", all_trains, truth.check_trains, newcomers.open),
            ]
        timings = interleave(tasks, bench.rounds)
    # By another process, which has only found the index there.
    with bench.serving(size) as (server, client):
        sorting = client.open(name_of(folder))
        with MemoryWatch(server.pid) as theirs, MemoryWatch(os.getpid()) as ours:
            seconds = _stream(sorting, truth)
    report = bench.report
    for what, timing in timings.items():
        report.add(f"{what}, of {size:.0e} spikes, ms", timing.median * 1e3, bench.rounds)
    label = f"while {size:.0e} spikes are streamed, MB above idle"
    report.add(f"server memory {label}", theirs.growth.own / 1e6, 1, target=at_most(300))
    report.add(f"server memory, mapped files too, {label}", theirs.growth.resident / 1e6, 1)
    held = min(size, _PART_SPIKES) * 16
    report.add(f"client memory beyond the arrays {label}", (ours.growth.own - held) / 1e6, 1)
    curve = {what: timing.median * 1e3 for what, timing in timings.items()}
    return curve | {"stream in windows": seconds * 1e3}


def _stream(sorting: spikewire.RemoteSorting, truth: Truth) -> float:
    """Read all spikes window by window, keep none, check them, return the seconds of reading."""
    step = max(_MINUTE, truth.last[0] * _PART_SPIKES // truth.count)
    seconds = 0.0
    count = sample_sum = unit_sum = 0
    for start in range(0, truth.last[0] + 1, step):
        begun = time.perf_counter()
        samples, units = sorting.to_spike_columns(start_frame=start, end_frame=start + step)
        seconds += time.perf_counter() - begun
        count += len(samples)
        sample_sum += int(samples.sum())
        unit_sum += int(units.sum())
        del samples, units  # else the next window is read beside this one
    if (count, sample_sum, unit_sum) != (truth.count, truth.sample_sum, truth.unit_sum):
        raise WrongTransferError("the windows do not add up to the sorting")
    return seconds


_anything: Callable[[object], None] = lambda _: None  # noqa: E731
