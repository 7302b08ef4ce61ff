"""What clients that stall or go away leave of their reads in a real server: nothing."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from pathlib import Path

import grpc
import numpy as np
import pytest

import spikewire
from spikewire import NumpySorting, aio
from spikewire.core.errors import ServerUnavailableError
from spikewire.remote import channel
from spikewire.v1 import spike_train_service_pb2 as pb
from spikewire.v1 import spike_train_service_pb2_grpc as rpc

MIB = 1 << 20
UNITS = 60

psutil = pytest.importorskip("psutil")


def wait_until(is_so, what, seconds=60):
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


# -- clients that stop reading ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def local():
    rng = np.random.default_rng(0)
    samples = np.cumsum(rng.integers(0, 200, 2_000_000))
    return NumpySorting.from_samples_and_labels(
        [samples], [rng.integers(0, UNITS, samples.size)], 30_000.0, unit_ids=np.arange(UNITS)
    )


@pytest.fixture
def impatient(new_server, tmp_path, local, monkeypatch):
    """A server whose patience is short, and a client that buffers little."""
    config = tmp_path / "settings.toml"
    config.write_text("stall_seconds = 0.3\n")
    server = new_server(flags=("--config", str(config)))
    small = ("grpc.http2.bdp_probe", 0)
    monkeypatch.setattr(channel, "OPTIONS", [*channel.OPTIONS, small])
    with spikewire.connect(server.address) as client:
        client.upload(local, "a").get_unit_spike_train(1)
        wait_until(lambda: [*server.store.glob("index/*/index.json")], "the index was not built")
        yield server, client


def stalled(server):
    return server.log.count('"STALLED"')


def test_streams_that_nobody_reads_end(impatient):
    server, client = impatient
    process = psutil.Process(server.pid)
    client.open("a").get_unit_spike_train(1)
    before = process.memory_info().rss
    small = [("grpc.http2.bdp_probe", 0)]
    with grpc.insecure_channel(server.address, options=small) as wire:
        stub = rpc.SpikeTrainServiceStub(wire)
        streams = [stub.StreamSpikes(pb.StreamSpikesRequest(name="a")) for _ in range(20)]
        streams += [
            stub.GetUnitSpikeTrains(pb.GetUnitSpikeTrainsRequest(name="a")) for _ in range(20)
        ]
        for stream in streams:
            next(stream)
        wait_until(lambda: stalled(server) == 40, "the streams did not end")
        # 40 times 5 MB; what flow control holds back must not lie in the server.
        assert process.memory_info().rss - before < 100 * MIB
        # Who reads on after all is told, and may resume.
        with pytest.raises(grpc.RpcError) as caught:
            list(streams[0])
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        assert "unread for 0.3 s" in caught.value.details()
    assert "call failed" not in server.log


def test_a_reader_that_pauses_goes_on_where_it_was(impatient, local):
    server, client = impatient
    blocks = []
    for block in client.open("a").segments[0].iter_spike_columns():
        blocks.append(block)
        if len(blocks) in (1, 4):
            seen = stalled(server)
            wait_until(lambda seen=seen: stalled(server) > seen, "the stream did not end")
    for column, expected in zip(zip(*blocks, strict=True), local.to_spike_columns(0), strict=True):
        np.testing.assert_array_equal(np.concatenate(column), expected)
    assert stalled(server) == 2


# -- clients that go away --------------------------------------------------------------------------

ROWS = 80_000_000


@pytest.fixture(scope="module")
def endless(server_class, tmp_path_factory):
    """A server that has a sorting whose windows take seconds: a sparse file, never indexed."""
    if not Path("/proc/self/status").exists():
        pytest.skip("only Linux says how much memory of another process is its own")
    root = tmp_path_factory.mktemp("endless")
    NumpySorting.from_samples_and_labels(
        [np.zeros(4, np.int64)], [np.array([0, 0, 0, 1])], 30_000.0, unit_ids=np.arange(2)
    ).save(folder=root / "a")
    spikes = root / "a" / "spikes.npy"
    dtype = np.load(spikes).dtype
    with spikes.open("wb") as file:
        shape = {"descr": dtype.descr, "fortran_order": False, "shape": (ROWS,)}
        np.lib.format.write_array_header_1_0(file, shape)
        file.truncate(file.tell() + ROWS * dtype.itemsize)  # zeros that take no disk
    tomorrow = time.time() + 86_400  # a file that is not settled is not indexed
    for path in spikes.parent.iterdir():
        os.utime(path, (tomorrow, tomorrow))
    process = server_class(tmp_path_factory.mktemp("endless_server"), f"lab={root}").start()
    yield process
    process.close()


WINDOW = {"name": "lab/a", "segment_index": 0, "start_frame": -9, "end_frame": 9}


@pytest.fixture(scope="module")
def whole_cost(endless):
    """Seconds of processor time that it takes to count in a window."""
    with grpc.insecure_channel(endless.address) as wire:
        stub = rpc.SpikeTrainServiceStub(wire)
        counted = stub.CountSpikes(pb.CountSpikesRequest(name="lab/a"), timeout=100)
        assert list(counted.segments[0].unit_counts) == [ROWS, 0]
        before = cpu_seconds(endless)
        stub.CountSpikes(pb.CountSpikesRequest(**WINDOW), timeout=100)
    return cpu_seconds(endless) - before


def cpu_seconds(server):
    times = psutil.Process(server.pid).cpu_times()
    return times.user + times.system


def own_bytes(server):
    status = Path(f"/proc/{server.pid}/status").read_text()
    return int(status.partition("RssAnon:")[2].split()[0]) * 1024


def wait_until_idle(server):
    """Wait until the server has used no processor for a while, and return what it has used."""
    used, quiet = cpu_seconds(server), 0

    def is_idle():
        nonlocal used, quiet
        now = cpu_seconds(server)
        used, quiet = now, quiet + 1 if now - used < 0.015 else 0
        return quiet > 15

    wait_until(is_idle, "the server does not come to rest")
    return used


def cancel_of_call(server, method, request):
    wire = grpc.insecure_channel(server.address)
    call = getattr(rpc.SpikeTrainServiceStub(wire), method)
    call = call.future(request) if method == "CountSpikes" else call(request)

    def cancel():
        call.cancel()
        wire.close()

    return cancel


def by_count(server):
    return cancel_of_call(server, "CountSpikes", pb.CountSpikesRequest(**WINDOW))


def by_stream_before_its_first_message(server):
    request = pb.StreamSpikesRequest(**WINDOW, units={"unit_indices": {"values": [1]}})
    return cancel_of_call(server, "StreamSpikes", request)


def by_trains_of_a_silent_unit(server):
    request = pb.GetUnitSpikeTrainsRequest(**WINDOW, units={"unit_indices": {"values": [1]}})
    return cancel_of_call(server, "GetUnitSpikeTrains", request)


def by_client_that_closes(server):
    client = spikewire.connect(server.address)
    sorting = client.open("lab/a")

    def read():
        with pytest.raises(ServerUnavailableError, match="closed"):
            sorting.get_unit_spike_trains([1, 0], 0, -9, 9, use_cache=False)

    thread = threading.Thread(target=read)
    thread.start()

    def cancel():
        client.close()
        thread.join()

    return cancel


def by_task_that_is_cancelled(server):
    running = threading.Event()
    loops = []

    async def read():
        async with await aio.connect(server.address) as client:
            sorting = await client.open("lab/a")
            loops.append((asyncio.get_running_loop(), asyncio.current_task()))
            running.set()
            with pytest.raises(asyncio.CancelledError):
                await sorting.get_unit_spike_trains([1, 0], 0, -9, 9, use_cache=False)

    thread = threading.Thread(target=asyncio.run, args=(read(),))
    thread.start()
    assert running.wait(30)

    def cancel():
        ((loop, task),) = loops
        loop.call_soon_threadsafe(task.cancel)
        thread.join()

    return cancel


@pytest.mark.parametrize(
    "begin",
    [
        by_count,
        by_stream_before_its_first_message,
        by_trains_of_a_silent_unit,
        by_client_that_closes,
        by_task_that_is_cancelled,
    ],
)
def test_cancelled_work_ends(endless, whole_cost, begin):
    memory, used = own_bytes(endless), wait_until_idle(endless)
    cancel = begin(endless)
    wait_until(lambda: cpu_seconds(endless) > used + whole_cost / 4, "the work did not begin")
    cancel()
    used = cpu_seconds(endless)
    assert wait_until_idle(endless) - used < whole_cost / 4
    assert own_bytes(endless) - memory < 50 * MIB
    assert "call failed" not in endless.log
