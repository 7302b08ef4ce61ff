"""Durable spikes a second: rigs that send as fast as they are acknowledged."""

from __future__ import annotations

import statistics
from contextlib import ExitStack

from benchmarks.live.bench import LiveBench, rigs_text
from benchmarks.live.rigs import Rigs
from benchmarks.live.sides import Site, side_of
from benchmarks.live.worker import Worker
from benchmarks.report import at_least

_SPIKES = 4000
_RIGS = 10
_AHEAD = 16
"""Batches that a rig may have on their way."""


def measure(bench: LiveBench) -> None:
    """Measure all sides that acknowledge in turn."""
    bench.report.section(
        f"{rigs_text(_RIGS)}, batches of {_SPIKES:,} spikes, as fast as acknowledged"
    )
    sides = [side for side in bench.sides if side_of(side).ACKNOWLEDGES]
    names = [f"live/rig{number}" for number in range(_RIGS)]
    with ExitStack() as running:
        sites: dict[str, Site] = {}
        workers: dict[str, Worker] = {}
        for side in sides:
            site = side_of(side).serving(bench.folder / f"{side}-rush")
            sites[side] = running.enter_context(site)
            workers[side] = running.enter_context(Worker(Rigs, side, sites[side], names, _SPIKES))
            workers[side].ask("open")
        rates: dict[str, list[float]] = {side: [] for side in sides}
        counts = {side: [0] * _RIGS for side in sides}
        for number in range(bench.rounds):
            first = number % len(sides)
            for side in [*sides[first:], *sides[:first]]:
                before = sum(counts[side])
                counts[side], seconds = workers[side].ask("rush", bench.seconds, _AHEAD)
                rates[side].append((sum(counts[side]) - before) * _SPIKES / seconds / 1e6)
        for side in sides:
            side_of(side).check(sites[side], dict(zip(names, counts[side], strict=True)), _SPIKES)
    medians = {side: statistics.median(rates[side]) for side in sides}
    for ours in ("sdk", "raw"):
        what = f"durable spikes, {bench.name_of(ours)}, {rigs_text(_RIGS)}, M/s"
        bench.report.add(what, medians[ours], bench.rounds, target=at_least(5))
        if "jetstream" in medians:
            bench.report.add(
                what,
                medians[ours],
                bench.rounds,
                peer=medians["jetstream"],
                peer_name=bench.name_of("jetstream"),
            )
