"""One, 8 and 64 readers at a time: small windows, and whole sortings."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from threading import Barrier
from typing import Any

import spikewire
from benchmarks.bench import Bench
from benchmarks.data import UNITS, WrongTransferError
from benchmarks.peers.echo import EchoClient
from benchmarks.peers.flight import FlightClient
from benchmarks.peers.spikewire_remote import name_of
from benchmarks.processes import MemoryWatch, Server
from benchmarks.suites.latency import WINDOW_FRAMES

READERS = (1, 8, 64)
_CALLS = 512
"""Calls in a round, of all readers together."""
_TRANSFERS = 64


def measure(bench: Bench) -> None:
    """Measure both kinds of reading, ours and the peer's in turn."""
    spikes = bench.spikes // 10
    bench.report.section(f"Concurrent readers: windows of 100 s, and vectors of {spikes:,} spikes")
    folder, truth = bench.sorting(spikes)
    with (
        bench.serving(spikes) as (server, client),
        Server("benchmarks.peers.echo", folder) as echo_server,
        Server("benchmarks.peers.flight", folder) as flight_server,
        closing(EchoClient(echo_server.address)) as echo,
        closing(FlightClient(flight_server.address, truth.count)) as flight,
        spikewire.connect(server.address, progress=False) as other,
    ):
        whole = other.open(name_of(folder))
        windows = [
            whole.get_unit_spike_train(unit, end_frame=WINDOW_FRAMES).copy()
            for unit in range(UNITS)
        ]

        def window(sorting: spikewire.RemoteSorting, call: int) -> None:
            unit = call % UNITS
            train = sorting.get_unit_spike_train(unit, end_frame=WINDOW_FRAMES, use_cache=False)
            if not (len(train) == len(windows[unit]) and (train == windows[unit]).all()):
                raise WrongTransferError(f"the window of unit {unit} is not what it was")

        for readers in READERS:
            sortings = [client.open(name_of(folder)) for _ in range(readers)]
            ours, theirs = _in_turn(
                bench.rounds,
                readers,
                _CALLS,
                lambda reader, call, sortings=sortings: window(sortings[reader], call),
                lambda reader, call: echo.call(bytes(64)),
            )
            bench.report.add(
                f"windows, {_readers(readers)}, calls/s",
                _CALLS / ours,
                bench.rounds,
                peer=_CALLS / theirs,
                peer_name="bare grpc.aio echo",
            )
        for readers in READERS:
            with MemoryWatch(server.pid) as memory:
                ours, theirs = _in_turn(
                    bench.rounds,
                    readers,
                    _TRANSFERS,
                    lambda reader, call: truth.check_columns(
                        client.open(name_of(folder)).to_spike_columns()
                    ),
                    lambda reader, call: truth.check_columns(flight.vector()),
                )
            bench.report.add(
                f"vectors, {_readers(readers)}, M spikes/s",
                _TRANSFERS * spikes / ours / 1e6,
                bench.rounds,
                peer=_TRANSFERS * spikes / theirs / 1e6,
                peer_name="Arrow Flight",
            )
            bench.report.add(
                f"server memory, {_readers(readers)}, MB above idle",
                memory.growth.own / 1e6,
                bench.rounds,
            )


def _readers(count: int) -> str:
    return "1 reader" if count == 1 else f"{count} readers"


def _in_turn(
    rounds: int, readers: int, calls: int, *kinds: Callable[[int, int], Any]
) -> list[float]:
    """Return the median seconds in which the readers together make some calls, of each kind."""
    seconds: list[list[float]] = [[] for _ in kinds]
    with ThreadPoolExecutor(readers) as pool:
        for number in range(rounds + 1):
            for kind, measured in zip(kinds, seconds, strict=True):
                elapsed = _race(pool, readers, calls, kind)
                if number:
                    measured.append(elapsed)
    return [statistics.median(measured) for measured in seconds]


def _race(
    pool: ThreadPoolExecutor, readers: int, calls: int, kind: Callable[[int, int], Any]
) -> float:
    barrier = Barrier(readers + 1)

    def read(reader: int) -> None:
        barrier.wait()
        for call in range(reader, calls, readers):
            kind(reader, call)

    running = [pool.submit(partial(read, reader)) for reader in range(readers)]
    barrier.wait()
    start = time.perf_counter()
    for future in running:
        future.result()
    return time.perf_counter() - start
