"""Rigs while whole sortings are read from the same server, and such reads while rigs record."""

from __future__ import annotations

import statistics
from contextlib import ExitStack

from benchmarks.data import made_up
from benchmarks.live.batches import RATE, SPIKES
from benchmarks.live.bench import LiveBench, quantile, rigs_text
from benchmarks.live.reading import Reader
from benchmarks.live.scene import Latencies, opened
from benchmarks.live.sides import Site
from benchmarks.live.worker import Worker
from benchmarks.peers import spikewire_remote

_RIGS = 10
_SIDE = "raw"


def measure(bench: LiveBench) -> None:
    """Measure rigs alone, a reader alone, and both, in turn."""
    spikes = bench.bulk_spikes
    bench.report.section(f"{rigs_text(_RIGS)} beside a reader of {spikes:,} spikes, over and over")
    sortings, store = bench.folder / "sortings", bench.folder / "bulk" / "store"
    folder = sortings / "bulk"
    sortings.mkdir()
    truth = made_up(folder, spikes)
    batches = int(bench.seconds * RATE)
    alone: list[Latencies] = []
    beside: list[Latencies] = []
    rates: list[float] = []
    rates_beside: list[float] = []
    with ExitStack() as running:
        server = running.enter_context(spikewire_remote.server(sortings, store))
        site = Site(server.address, bench.folder / "bulk")
        reader = running.enter_context(
            Worker(Reader, site, spikewire_remote.name_of(folder), truth)
        )
        reader.ask("open", folder, store, timeout=180.0)
        names = [f"live/rig{number}" for number in range(_RIGS)]
        scene = running.enter_context(opened(_SIDE, site, names, SPIKES))
        for _ in range(bench.rounds):
            alone.append(scene.play(batches))
            rates.append(reader.ask("read", bench.seconds))
            reader.tell("read", bench.seconds + 0.5)
            beside.append(scene.play(batches))
            rates_beside.append(reader.answer())
        scene.check()
    for title, kind in (("durable ack", "ack"), ("follower", "follower")):
        for percent in (50, 99):
            bench.report.add(
                f"append -> {title} beside a reader, {rigs_text(_RIGS)}, p{percent} ms",
                quantile((getattr(latencies, kind) for latencies in beside), percent),
                bench.rounds,
                peer=quantile((getattr(latencies, kind) for latencies in alone), percent),
                peer_name="without the reader",
            )
    bench.report.add(
        f"whole vectors beside {rigs_text(_RIGS)}, M spikes/s",
        statistics.median(rates_beside),
        bench.rounds,
        peer=statistics.median(rates),
        peer_name="without the rigs",
    )
