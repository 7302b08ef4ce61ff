"""Bytes a spike on the wire, all that the server sends counted."""

from __future__ import annotations

import os
import time
from pathlib import Path

import grpc
import numpy as np

import spikewire
from benchmarks.bench import Bench
from benchmarks.data import Int64Array, WrongTransferError
from benchmarks.peers.spikewire_remote import name_of, server
from benchmarks.relay import Relay
from benchmarks.report import Report, Target, at_most
from benchmarks.suites.bulk import all_trains
from spikewire.v1 import spike_train_service_pb2 as pb
from spikewire.v1.spike_train_service_pb2_grpc import SpikeTrainServiceStub
from spikewire.wire.chunks import decode_spikes
from spikewire.wire.gaps import PLAIN, ZSTD

REAL_DATA = Path(
    os.environ.get("SPIKEWIRE_TEST_DATA", Path(__file__).parents[2] / ".." / "shared" / "data")
)
_SCAN_SECONDS = 30.0
_FLAGS = ("--sampling-frequency", "*=30000")


def measure(bench: Bench) -> None:
    """Count the bytes of made-up and of real sortings."""
    bench.report.section("Bytes a spike on the wire")
    folder, truth = bench.sorting(bench.spikes)
    with bench.serving(bench.spikes) as (process, client):
        sorting = client.open(name_of(folder))
        truth.check_columns(sorting.to_spike_columns())
        targets = (at_most(3.05), at_most(2.0), at_most(2.1))
        label = f"{bench.spikes:,} made-up spikes"
        _count(bench.report, process.address, sorting, label, targets)
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
            _count(bench.report, process.address, sorting, label, (None, None, None))


def _count(
    report: Report,
    address: str,
    sorting: spikewire.RemoteSorting,
    label: str,
    targets: tuple[Target | None, ...],
) -> None:
    spikes = int(sorting.count_total_num_spikes())
    with Relay(address) as relay:
        sent = [_vector_bytes(relay, sorting, codec) for codec in (PLAIN, ZSTD)]
        sent.append(_train_bytes(relay, sorting))
    for order, count, target in zip(
        ("vector, plain", "vector, zstd", "trains"), sent, targets, strict=True
    ):
        report.add(f"B/spike of {label}: {order}", count / spikes, 1, target=target)


def _vector_bytes(relay: Relay, sorting: spikewire.RemoteSorting, codec: int) -> int:
    request = pb.StreamSpikesRequest(
        name=sorting.remote_name, revision=sorting.revision, accept_codecs=[codec] if codec else []
    )
    options = [("grpc.max_receive_message_length", -1)]
    with grpc.insecure_channel(relay.address, options=options) as channel:
        grpc.channel_ready_future(channel).result(timeout=10)
        stream = SpikeTrainServiceStub(channel).StreamSpikes
        before = relay.sent
        messages = list(stream(request))
        sent = relay.sent - before
    pieces: list[list[tuple[Int64Array, Int64Array]]] = [
        [] for _ in range(sorting.get_num_segments())
    ]
    for chunk in (chunk for message in messages for chunk in message.chunks):
        columns = np.empty((2, chunk.spike_count), dtype=np.int64)
        decode_spikes(chunk, columns[0], columns[1], sorting.get_num_units())
        if chunk.codec != codec:
            raise WrongTransferError(f"codec {codec} was asked for, {chunk.codec} came")
        pieces[chunk.segment_index].append(columns)
    for segment, parts in enumerate(pieces):
        expected = sorting.to_spike_columns(segment)
        got = np.concatenate(parts, axis=1) if parts else np.empty((2, 0))
        if not np.array_equal(got, expected):
            raise WrongTransferError("the spikes that were counted are not those of the sorting")
    return sent


def _train_bytes(relay: Relay, sorting: spikewire.RemoteSorting) -> int:
    with spikewire.connect(relay.address) as client:
        counted = client.open(sorting.remote_name)
        before = relay.sent
        trains = [
            all_trains(counted.select_segments([segment]) if several else counted)
            for several in (counted.get_num_segments() > 1,)
            for segment in range(counted.get_num_segments())
        ]
        sent = relay.sent - before
    total = sum(len(train) for segment in trains for train in segment)
    if total != sorting.count_total_num_spikes():
        raise WrongTransferError("the trains that were counted are not those of the sorting")
    return sent


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
