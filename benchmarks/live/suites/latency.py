"""From `append` to the acknowledgement, and to a follower, with 1, 10 and 50 rigs."""

from __future__ import annotations

from contextlib import ExitStack

from benchmarks.live.batches import RATE, SPIKES
from benchmarks.live.bench import LiveBench, quantile, rigs_text
from benchmarks.live.scene import Latencies, Scene, opened
from benchmarks.live.sides import side_of
from benchmarks.report import Target, at_most

_OURS = ("sdk", "raw")
_LEAST_PACE = 0.95
_MOST_RIGS = 50


def measure(bench: LiveBench) -> None:
    """Measure all sides in turn."""
    for count in bench.rigs:
        bench.report.section(f"{rigs_text(count)} x {RATE} batches/s of {SPIKES} spikes")
        with ExitStack() as running:
            scenes = {side: _scene(bench, running, side, count) for side in bench.sides}
            rounds: dict[str, list[Latencies]] = {side: [] for side in scenes}
            for number in range(bench.rounds):
                first = number % len(scenes)
                for side in [*list(scenes)[first:], *list(scenes)[:first]]:
                    rounds[side].append(scenes[side].play(int(bench.seconds * RATE)))
            for scene in scenes.values():
                scene.check()
        _report(bench, count, rounds)


def _scene(bench: LiveBench, running: ExitStack, side: str, count: int) -> Scene:
    site = running.enter_context(side_of(side).serving(bench.folder / f"{side}-{count}"))
    names = [f"live/rig{number}" for number in range(count)]
    return running.enter_context(opened(side, site, names, SPIKES))


def _report(bench: LiveBench, count: int, rounds: dict[str, list[Latencies]]) -> None:
    for side, played in rounds.items():
        pace = min(latencies.pace for latencies in played)
        if pace < _LEAST_PACE:
            bench.report.note(
                f"{bench.name_of(side)}: {rigs_text(count)} in one process sent at {pace:.0%} "
                f"of their rate in the slowest round"
            )
    acks = {
        side: [latencies.ack for latencies in played if latencies.ack is not None]
        for side, played in rounds.items()
        if side_of(side).ACKNOWLEDGES
    }
    arrivals = {
        side: [latencies.follower for latencies in played] for side, played in rounds.items()
    }
    for title, figures in (("append -> durable ack", acks), ("append -> follower", arrivals)):
        peers = [side for side in figures if side not in _OURS]
        for ours in _OURS:
            for percent in (50, 99):
                what = f"{title}, {bench.name_of(ours)}, {rigs_text(count)}, p{percent} ms"
                value = quantile(figures[ours], percent)
                if not peers:
                    bench.report.add(what, value, bench.rounds)
                for peer in peers:
                    bench.report.add(
                        what,
                        value,
                        bench.rounds,
                        peer=quantile(figures[peer], percent),
                        peer_name=bench.name_of(peer),
                        target=_target(title, ours, peer, percent, count),
                    )


def _target(title: str, ours: str, peer: str, percent: int, count: int) -> Target | None:
    if ours == "sdk" and count == _MOST_RIGS:  # so many are one process here, which is no rig's
        return None
    if title.endswith("ack"):
        return at_most(0.6) if peer == "jetstream" and count == _MOST_RIGS else None
    return at_most(6) if peer == "nats_core" and percent == 50 else None
