"""Small reads: what one call takes, beside a bare echo and beside SpikeInterface's cache."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any

import numpy as np

import spikewire
from benchmarks.bench import Bench
from benchmarks.data import SAMPLING_FREQUENCY, UNITS, Int64Array, WrongTransferError, read_columns
from benchmarks.peers import local_spikeinterface
from benchmarks.peers.echo import EchoClient
from benchmarks.peers.spikewire_remote import Newcomers, name_of, wait_for_index
from benchmarks.processes import Server
from benchmarks.report import at_most
from spikewire.extractors import NumpyFolderSorting

ECHO = "bare grpc.aio echo"
CALLS = 100
"""Calls of each kind in a round."""
WINDOW_FRAMES = int(100 * SAMPLING_FREQUENCY)
"""100 s, some 600 spikes of a unit."""


def measure(bench: Bench) -> None:
    """Measure single calls, the kinds of them in turn."""
    bench.report.section("Single calls over loopback: windows of 100 s, p50 in microseconds")
    folder, _ = bench.sorting(bench.spikes)
    samples, units = read_columns(folder)
    windows = Windows(samples, units)
    with (
        bench.serving(bench.spikes) as (server, client),
        Server("benchmarks.peers.echo", folder) as echo_server,
        closing(EchoClient(echo_server.address)) as echo,
        closing(Newcomers(server.address, "stored")) as newcomers,
        closing(Newcomers(server.address, name_of(folder))) as of_root,
        closing(Newcomers(server.address, "stored")) as ever_new,
    ):
        client.upload(NumpyFolderSorting(folder), "stored")
        wait_for_index(client, "stored", bench.store, bench.spikes)
        warm, local = client.open(name_of(folder)), local_spikeinterface.load(folder)
        for sorting in (warm, local):
            for unit in range(UNITS):
                sorting.get_unit_spike_train(unit)
        cold, cold_of_root = newcomers.open(), of_root.open()

        kinds: dict[str, Callable[[int], float]] = {
            "echo": lambda _: _timed(lambda: echo.call(bytes(64)), _ignore),
            "train": lambda _: windows.train(cold),
            "train of a root": lambda _: windows.train(cold_of_root),
            "whole train": lambda _: windows.whole_train(ever_new.open()),
            "batch": lambda call: windows.batch(cold, call),
            "cached": lambda call: windows.cached(warm, call),
            "cached locally": lambda call: windows.cached(local, call),
        }
        seconds: dict[str, list[float]] = {kind: [] for kind in kinds}
        for number in range(bench.rounds + 1):
            for kind, measure_call in kinds.items():
                calls = range(3 if kind == "batch" else CALLS)
                measured = [measure_call(number * CALLS + call) for call in calls]
                if number:
                    seconds[kind] += measured
    p50 = {kind: statistics.median(values) * 1e6 for kind, values in seconds.items()}
    n = len(seconds["train"])
    for name, ours, peer, peer_name, target in (
        ("one train, uncached", "train", "echo", ECHO, at_most(1.3)),
        ("one train of a root's folder, uncached", "train of a root", "echo", ECHO, None),
        ("one whole train, uncached", "whole train", "echo", ECHO, None),
        ("cached train", "cached", "cached locally", "SpikeInterface, cached", at_most(0.3)),
    ):
        bench.report.add(
            f"{name}, us", p50[ours], n, peer=p50[peer], peer_name=peer_name, target=target
        )
    bench.report.add(
        f"{UNITS} units in one call, us a unit",
        p50["batch"] / UNITS,
        len(seconds["batch"]),
        peer=p50["echo"],
        peer_name=ECHO,
        target=at_most(0.08),
    )


class Windows:
    """Windows of one unit each, and the right answers."""

    def __init__(self, samples: Int64Array, units: np.ndarray[Any, Any]) -> None:
        self._samples, self._units = samples, units
        self._random = np.random.default_rng(1)
        self._last = max(1, int(samples[-1]) - WINDOW_FRAMES)

    def train(self, sorting: spikewire.BaseSorting) -> float:
        """Return the seconds that a window of one unit takes."""
        unit, start = self._next()
        stop = start + WINDOW_FRAMES
        return _timed(
            lambda: sorting.get_unit_spike_train(
                unit, start_frame=start, end_frame=stop, use_cache=False
            ),
            lambda train: self._check(train, unit, start),
        )

    def whole_train(self, sorting: spikewire.BaseSorting) -> float:
        """Return the seconds that all spikes of one unit take."""
        unit, _ = self._next()
        return _timed(lambda: sorting.get_unit_spike_train(unit), _ignore)

    def batch(self, sorting: spikewire.BaseSorting, call: int) -> float:
        """Return the seconds that a window of all units takes, in one call."""
        _, start = self._next()

        def check(trains: dict[Any, Int64Array]) -> None:
            for unit in (0, call % UNITS, UNITS - 1):
                self._check(trains[unit], unit, start)

        return _timed(
            lambda: sorting.get_unit_spike_trains(
                start_frame=start, end_frame=start + WINDOW_FRAMES, use_cache=False
            ),
            check,
        )

    def cached(self, sorting: Any, call: int) -> float:
        """Return the seconds that a whole train takes which is at hand."""
        return _timed(lambda: sorting.get_unit_spike_train(call % UNITS), _ignore)

    def _next(self) -> tuple[int, int]:
        return int(self._random.integers(UNITS)), int(self._random.integers(self._last))

    def _check(self, train: Int64Array, unit: int, start: int) -> None:
        first, last = np.searchsorted(self._samples, (start, start + WINDOW_FRAMES))
        expected = self._samples[first:last][self._units[first:last] == unit]
        if not np.array_equal(train, expected):
            raise WrongTransferError(f"the window of unit {unit} from {start} is not what it was")


def _ignore(_: object) -> None:
    """Whole trains are checked by the bulk suite."""


def _timed(call: Callable[[], Any], check: Callable[[Any], None]) -> float:
    start = time.perf_counter()
    result = call()
    seconds = time.perf_counter() - start
    check(result)
    return seconds
