"""Whole sortings over loopback: the spike vector, and the trains of all units."""

from __future__ import annotations

from contextlib import ExitStack, closing
from pathlib import Path

import numpy as np

import spikewire
from benchmarks.bench import Bench
from benchmarks.data import Int64Array, Truth
from benchmarks.peers import local_spikeinterface
from benchmarks.peers.flight import FlightClient
from benchmarks.peers.raw_tcp import TcpClient
from benchmarks.peers.spikewire_remote import Newcomers, name_of
from benchmarks.peers.tiled_arrays import TiledClient
from benchmarks.peers.zarr_http import ZarrClient
from benchmarks.processes import Server
from benchmarks.report import Report, at_least
from benchmarks.rounds import Task, Timing, interleave


def measure(bench: Bench) -> None:
    """Measure transfers of the usual size, ours and every peer's in one run."""
    bench.report.section(f"Whole sortings over loopback: {bench.spikes:,} spikes")
    folder, truth = bench.sorting(bench.spikes)
    with ExitStack() as stack:
        server, _ = stack.enter_context(bench.serving(bench.spikes))
        newcomers = stack.enter_context(closing(Newcomers(server.address, name_of(folder))))
        peers = {
            peer: stack.enter_context(Server(f"benchmarks.peers.{peer}", folder)).address
            for peer in ("flight", "raw_tcp", "zarr_http", "tiled_arrays")
        }
        flight = stack.enter_context(closing(FlightClient(peers["flight"], truth.count)))
        tcp = stack.enter_context(closing(TcpClient(peers["raw_tcp"])))
        tasks = [
            *_our_tasks(newcomers, folder, truth),
            *_flight_tasks(flight, truth),
            Task("raw TCP", lambda _: tcp.vector(), truth.check_columns),
            _peer("zarr over HTTP", ZarrClient(peers["zarr_http"]), truth),
            _peer("Tiled", TiledClient(peers["tiled_arrays"]), truth),
            *_local_tasks(folder, truth),
        ]
        timings = interleave(tasks, bench.rounds)
    _report(bench.report, bench.spikes, timings)


def _our_tasks(newcomers: Newcomers, folder: Path, truth: Truth) -> list[Task]:
    fresh = newcomers.open
    return [
        Task("vector", lambda s: s.to_spike_columns(), truth.check_columns, fresh),
        Task("structured vector", lambda s: s.to_spike_vector(), truth.check_vector, fresh),
        Task("trains", all_trains, truth.check_trains, fresh),
        Task(
            "open and trains",
            lambda client: one_by_one(client.open(name_of(folder))),
            truth.check_trains,
            newcomers.connect,
        ),
    ]


def all_trains(sorting: spikewire.BaseSorting) -> list[Int64Array]:
    """Return the trains of all units, asked for in one call."""
    return list(sorting.get_unit_spike_trains().values())


def one_by_one(sorting: spikewire.BaseSorting) -> list[Int64Array]:
    """Return the trains of all units as a program for SpikeInterface would get them."""
    return [sorting.get_unit_spike_train(unit_id) for unit_id in sorting.unit_ids]


def _flight_tasks(flight: FlightClient, truth: Truth) -> list[Task]:
    columns, one_column = truth.check_columns, truth.check_sorted
    return [
        Task("Flight", lambda _: flight.vector(), columns),
        Task("Flight read_all", lambda _: flight.vector_at_once(), columns),
        Task("Flight zstd", lambda _: flight.vector("zstd"), columns),
        Task("Flight trains", lambda _: flight.trains(), one_column),
        Task("Flight trains read_all", lambda _: flight.trains_at_once(), one_column),
    ]


def fastest(timings: dict[str, Timing], *names: str) -> float:
    """Return the smallest median of some ways to the same."""
    return min(timings[name].median for name in names)


def _peer(name: str, client: ZarrClient | TiledClient, truth: Truth) -> Task:
    return Task(name, lambda _: client.vector(), truth.check_columns)


def _local_tasks(folder: Path, truth: Truth) -> list[Task]:
    def columns(_: None) -> tuple[Int64Array, Int64Array]:
        spikes = local_spikeinterface.vector(folder)
        return tuple(np.ascontiguousarray(spikes[f"{of}_index"]) for of in ("sample", "unit"))

    return [
        Task("local vector", lambda _: local_spikeinterface.vector(folder), truth.check_vector),
        Task("local columns", columns, truth.check_columns),
        Task("local trains", lambda _: local_spikeinterface.trains(folder), truth.check_trains),
    ]


def _report(report: Report, spikes: int, timings: dict[str, Timing]) -> None:
    def rate(seconds: float) -> float:
        return spikes / seconds / 1e6

    n = len(timings["vector"].seconds)
    flight = fastest(timings, "Flight", "Flight read_all")
    flight_trains = fastest(timings, "Flight trains", "Flight trains read_all")
    vector, structured = timings["vector"].median, timings["structured vector"].median
    trains, opened = timings["trains"].median, timings["open and trains"].median
    unit = "M spikes/s"
    for name, ours, theirs, peer, target in (
        ("vector", vector, flight, "Arrow Flight", at_least(2.0)),
        ("vector", vector, timings["raw TCP"].median, "raw TCP, 12 B/spike", at_least(1.5)),
        ("vector", vector, timings["Flight zstd"].median, "Arrow Flight, zstd", None),
        ("vector", vector, timings["zarr over HTTP"].median, "zarr over HTTP", None),
        ("vector", vector, timings["Tiled"].median, "Tiled", None),
        ("vector", vector, timings["local columns"].median, "SpikeInterface, local", None),
        (
            "structured vector",
            structured,
            timings["local vector"].median,
            "SpikeInterface, local",
            None,
        ),
        ("all trains", trains, flight, "Arrow Flight's vector", at_least(2.5)),
        ("all trains", trains, flight_trains, "Arrow Flight's sorted column", at_least(1.3)),
        (
            "open and all trains",
            opened,
            timings["local trains"].median,
            "SpikeInterface, local",
            at_least(5.0),
        ),
    ):
        report.add(
            f"{name}, {unit}", rate(ours), n, peer=rate(theirs), peer_name=peer, target=target
        )
