"""Bytes a spike on the wire, all that the server sends counted."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np

import spikewire
from benchmarks.bench import Bench
from benchmarks.data import Int64Array, WrongTransferError
from benchmarks.peers.spikewire_remote import name_of, server
from benchmarks.relay import Relay
from benchmarks.report import Report, Target, at_most

REAL_DATA = Path(
    os.environ.get("SPIKEWIRE_TEST_DATA", Path(__file__).parents[2] / ".." / "shared" / "data")
)
_SCAN_SECONDS = 30.0
_TARGETS = {
    ("vector", "plain"): at_most(3.05),
    ("vector", "zstd"): at_most(2.0),
    ("trains", "plain"): at_most(2.1),
}
_FLAGS = ("--sampling-frequency", "*=30000")


def measure(bench: Bench) -> None:
    """Count the bytes of made-up and of real sortings."""
    bench.report.section("Bytes a spike on the wire")
    folder, truth = bench.sorting(bench.spikes)
    with bench.serving(bench.spikes) as (process, client):
        sorting = client.open(name_of(folder))
        truth.check_columns(sorting.to_spike_columns())
        label = f"{bench.spikes:,} made-up spikes"
        _count(bench.report, process.address, sorting, label, _TARGETS)
    if not REAL_DATA.is_dir():
        bench.report.note("No real sortings are counted: SPIKEWIRE_TEST_DATA names no folder.")
        return
    with (
        server(REAL_DATA.resolve(), bench.store.with_name("store-real"), flags=_FLAGS) as process,
        spikewire.connect(process.address) as client,
    ):
        for name in _scanned(client):
            try:
                sorting = client.open(name)
            except spikewire.SpikewireError as error:
                bench.report.note(f"{name} is not counted: {error}")
                continue
            spikes = int(sorting.count_total_num_spikes())
            label = f"{name.partition('/')[2]}, {spikes:,} spikes"
            _count(bench.report, process.address, sorting, label, {})


def _count(
    report: Report,
    address: str,
    sorting: spikewire.RemoteSorting,
    label: str,
    targets: dict[tuple[str, str], Target],
) -> None:
    spikes = int(sorting.count_total_num_spikes())
    for order, transfer in (("vector", _vector), ("trains", _trains)):
        for codec in ("plain", "zstd"):
            with (
                Relay(address) as relay,
                spikewire.connect(relay.address, codec=codec, progress=False) as client,
            ):
                counted = client.open(sorting.remote_name)
                before = relay.sent
                received = [transfer(counted, segment) for segment in _segments(sorting)]
                sent = relay.sent - before
            for segment, got in zip(_segments(sorting), received, strict=True):
                if not all(map(np.array_equal, got, transfer(sorting, segment))):
                    raise WrongTransferError(f"{order}, {codec}, of {label} are not as sent")
            name = f"B/spike of {label}: {order}, {codec}"
            report.add(name, sent / spikes, 1, target=targets.get((order, codec)))


def _segments(sorting: spikewire.BaseSorting) -> range:
    return range(sorting.get_num_segments())


def _vector(sorting: spikewire.BaseSorting, segment: int) -> list[Int64Array]:
    return list(sorting.to_spike_columns(segment))


def _trains(sorting: spikewire.BaseSorting, segment: int) -> list[Int64Array]:
    return list(sorting.get_unit_spike_trains(segment_index=segment).values())


def _scanned(client: spikewire.Client) -> list[str]:
    """Return the names that the server found, when it has looked everywhere."""
    limit = time.monotonic() + _SCAN_SECONDS
    names: list[str] = []
    while time.monotonic() < limit:
        found = [info.name for info in client.list("bench/")]
        if found and found == names:
            break
        names = found
        time.sleep(1.0)
    return names
