"""What reads cost against the size of the sorting, and what memory streaming takes."""

from __future__ import annotations

import os
from contextlib import closing

import numpy as np

import spikewire
from benchmarks.bench import Bench
from benchmarks.data import SAMPLING_FREQUENCY, Int64Array, WrongTransferError, read_window
from benchmarks.peers.spikewire_remote import Newcomers, name_of
from benchmarks.processes import MemoryWatch
from benchmarks.report import at_most
from benchmarks.rounds import Task, interleave
from benchmarks.streaming import streamed
from benchmarks.suites.bulk import all_trains

_MINUTE = int(60 * SAMPLING_FREQUENCY)


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
        of = np.log(sizes[: len(curve)])
        slope = np.polyfit(of, np.log(curve), 1)[0]
        steepest = max(np.diff(np.log(curve)) / np.diff(of))
        span = f"{sizes[0]:.0e} to {sizes[len(curve) - 1]:.0e} spikes"
        bench.report.add(f"{what}: log-log slope, {span}", float(slope), len(curve))
        bench.report.add(f"{what}: steepest step of it", float(steepest), len(curve))


def _measure(bench: Bench, size: int) -> dict[str, float]:
    folder, _ = bench.sorting(size)
    name = name_of(folder)
    with (
        bench.serving(size) as (server, client),
        closing(Newcomers(server.address, name)) as newcomers,
    ):
        timings = interleave(_tasks(bench, size, client, newcomers), bench.rounds)
    curve = {what: timing.median * 1e3 for what, timing in timings.items()}
    for what, milliseconds in curve.items():
        bench.report.add(f"{what}, of {size:.0e} spikes, ms", milliseconds, bench.rounds)
    return curve | {"stream in windows": _stream(bench, size) * 1e3}


def _tasks(bench: Bench, size: int, client: spikewire.Client, newcomers: Newcomers) -> list[Task]:
    folder, truth = bench.sorting(size)
    start = truth.last[0] // 2
    window = {"start_frame": start, "end_frame": start + _MINUTE}
    samples, units = read_window(folder, start, start + _MINUTE)
    unit = int(np.argmax(truth.unit_counts))

    def check_columns(columns: tuple[Int64Array, Int64Array]) -> None:
        _same(columns[0], samples)
        _same(columns[1], units)

    tasks = [
        Task("open", lambda _: client.open(name_of(folder)), lambda _: None),
        Task(
            "a minute of all units",
            lambda sorting: sorting.to_spike_columns(**window),
            check_columns,
            newcomers.open,
        ),
        Task(
            "a minute of one unit",
            lambda sorting: sorting.get_unit_spike_train(unit, **window, use_cache=False),
            lambda train: _same(train, samples[units == unit]),
            newcomers.open,
        ),
    ]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if size * 16 < memory / 8:  # else they are only streamed
        tasks += [
            Task("vector", lambda s: s.to_spike_columns(), truth.check_columns, newcomers.open),
            Task("all trains", all_trains, truth.check_trains, newcomers.open),
        ]
    return tasks


def _same(got: Int64Array, expected: Int64Array) -> None:
    if not np.array_equal(got, expected):
        raise WrongTransferError("a window is not what was written")


def _stream(bench: Bench, size: int) -> float:
    """Stream a sorting between a server and a client that do nothing else; return seconds."""
    folder, truth = bench.sorting(size)
    with bench.serving(size) as (server, client):
        client.open(name_of(folder))
        with MemoryWatch(server.pid) as memory:
            result = streamed(server.address, name_of(folder), truth)
    label = f"while {size:.0e} spikes are streamed, MB above idle"
    report = bench.report
    report.add(f"server memory {label}", memory.growth.own / 1e6, 1, target=at_most(300))
    report.add(f"server memory, mapped files too, {label}", memory.growth.resident / 1e6, 1)
    report.add(f"client memory, without the arrays, {label}", result.memory / 1e6, 1)
    return result.seconds
