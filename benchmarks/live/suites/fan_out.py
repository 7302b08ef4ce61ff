"""Very many followers of one rig."""

from __future__ import annotations

from contextlib import ExitStack

import numpy as np

from benchmarks.live.batches import RATE, SPIKES
from benchmarks.live.bench import LiveBench, quantile
from benchmarks.live.crowd import Crowd
from benchmarks.live.rigs import Played, Rigs
from benchmarks.live.sides import raw
from benchmarks.live.worker import Worker

_NAME = "live/rig"
_PROCESSES = 2
_COUNTS = (1, 100)
"""How many followers there are besides the most."""


def measure(bench: LiveBench) -> None:
    """Measure with a few followers and with all, in turn."""
    counts = sorted({*_COUNTS, bench.followers})
    bench.report.section(f"followers of one rig that records {RATE} batches/s")
    with ExitStack() as running:
        site = running.enter_context(raw.serving(bench.folder / "fan-out"))
        rig = running.enter_context(Worker(Rigs, "raw", site, [_NAME], SPIKES))
        rig.ask("open")
        crowds = [
            running.enter_context(Worker(Crowd, site, _NAME, SPIKES)) for _ in range(_PROCESSES)
        ]
        batches = int(bench.seconds * RATE)
        latencies: dict[int, list[np.ndarray]] = {count: [] for count in counts}
        for _ in range(bench.rounds):
            for count in counts:
                shares = [count // _PROCESSES + (n < count % _PROCESSES) for n in range(_PROCESSES)]
                first = rig.ask("sent")
                present = [crowd for crowd, share in zip(crowds, shares, strict=True) if share]
                for crowd, share in zip(crowds, shares, strict=True):
                    crowd.tell("gather", share, first)
                for crowd in crowds:
                    crowd.answer()
                played: Played = rig.ask("play", batches)
                for crowd in present:
                    crowd.tell("collect", first + batches)
                arrived = np.concatenate([crowd.answer() for crowd in present])
                latencies[count].append((arrived - played.sent).ravel() / 1e6)
        raw.check(site, {_NAME: rig.ask("sent")}, SPIKES)
    for count in counts:
        for percent in (50, 99):
            bench.report.add(
                f"append -> each of {count:,} follower{'s' * (count > 1)}, p{percent} ms",
                quantile(latencies[count], percent),
                bench.rounds,
            )
