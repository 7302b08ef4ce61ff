"""The spike vector over links of 1 Gbit/s and 100 Mbit/s, and how much of them is used."""

from __future__ import annotations

from contextlib import closing

import spikewire
from benchmarks import links
from benchmarks.bench import Bench
from benchmarks.data import Int64Array
from benchmarks.peers import spikewire_remote
from benchmarks.peers.flight import FlightClient
from benchmarks.peers.spikewire_remote import Newcomers, name_of
from benchmarks.processes import Server
from benchmarks.report import Target, at_least
from benchmarks.rounds import Task, interleave
from benchmarks.suites.bulk import all_trains, fastest


def measure(bench: Bench) -> None:
    """Measure both links, if this machine can make them."""
    bench.report.section("The spike vector over a shaped link")
    if reason := links.missing():
        bench.report.note(f"Skipped: no link can be shaped here, for {reason}.")
        return
    _measure(bench, 1000, bench.spikes, at_least(5.0), at_least(0.9))
    _measure(bench, 100, bench.spikes // 10, None, None)


def _measure(
    bench: Bench, megabits: int, spikes: int, faster: Target | None, share: Target | None
) -> None:
    folder, truth = bench.sorting(spikes)
    store = bench.store.with_name(f"store-{megabits}")
    with (
        links.ShapedLink(megabits) as link,
        spikewire_remote.server(bench.root, store, link.host, link.within) as ours,
        Server("benchmarks.peers.flight", folder, "--host", link.host, within=link.within) as peer,
        closing(FlightClient(peer.address, truth.count)) as flight,
        spikewire.connect(ours.address) as client,
        closing(Newcomers(ours.address, name_of(folder))) as newcomers,
    ):
        spikewire_remote.wait_for_index(client, name_of(folder), store, spikes)
        bits: list[int] = []

        def vector(sorting: spikewire.RemoteSorting) -> tuple[Int64Array, Int64Array]:
            before = link.received()
            columns = sorting.to_spike_columns()
            bits.append(8 * (link.received() - before))
            return columns

        timings = interleave(
            [
                Task("vector", vector, truth.check_columns, newcomers.open),
                Task("trains", all_trains, truth.check_trains, newcomers.open),
                Task("Flight", lambda _: flight.vector(), truth.check_columns),
                Task("Flight zstd", lambda _: flight.vector("zstd"), truth.check_columns),
            ],
            bench.rounds,
        )
    speed = f"{megabits} Mbit/s"
    for what, peer_name, target in (
        ("vector", "Flight", faster),
        ("vector", "Flight zstd", None),
        ("trains", "Flight", None),
    ):
        bench.report.add(
            f"{what} over {speed}, M spikes/s",
            spikes / timings[what].median / 1e6,
            bench.rounds,
            peer=spikes / fastest(timings, peer_name) / 1e6,
            peer_name=f"Arrow {peer_name.replace(' ', ', ')}",
            target=target,
        )
    seconds = timings["vector"].seconds
    used = sorted(b / s for b, s in zip(bits[-len(seconds) :], seconds, strict=True))
    bench.report.add(
        f"share of {speed} used by the vector",
        used[len(used) // 2] / (megabits * 1e6),
        bench.rounds,
        target=share,
    )
