"""That bulk reads really take the short way: an index, bytes, no protobuf."""

from __future__ import annotations

import time

import numpy as np
import pytest

import spikewire
from spikewire import NumpySorting
from spikewire_server.services import spike_train_service


def a_large_sorting(spike_count: int = 600_000) -> NumpySorting:
    generator = np.random.default_rng(0)
    samples = np.sort(generator.integers(0, 10_000_000, spike_count))
    labels = generator.integers(0, 40, spike_count)
    return NumpySorting.from_samples_and_labels([samples], [labels], 30_000.0)


def wait_for_index(server, count: int = 1) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if len([*server.store.glob("index/*/index.json")]) == count:
            return
        time.sleep(0.05)
    pytest.fail("the index was not built")


def test_bulk_methods_make_bytes():
    import grpc

    registered = {}

    class Server:
        def add_generic_rpc_handlers(self, handlers):
            pass

        def add_registered_method_handlers(self, service, handlers):
            registered.update(handlers)

    spike_train_service.add_to_server(spike_train_service.SpikeTrainServicer(None, None), Server())
    for method in ("StreamSpikes", "GetUnitSpikeTrains"):
        assert isinstance(registered[method], grpc.RpcMethodHandler)
        assert registered[method].response_serializer is None


def test_the_same_is_read_with_an_index_as_without(new_server):
    server = new_server()
    sorting = a_large_sorting()
    truth = sorting.to_spike_vector()
    with spikewire.connect(server.address) as client:
        np.testing.assert_array_equal(client.upload(sorting, "a").to_spike_vector(), truth)
        wait_for_index(server)
        remote = client.open("a")
        np.testing.assert_array_equal(remote.to_spike_vector(), truth)
        for unit in remote.unit_ids[::7]:
            np.testing.assert_array_equal(
                client.open("a").get_unit_spike_train(unit, start_frame=100, end_frame=5_000_000),
                sorting.get_unit_spike_train(unit, start_frame=100, end_frame=5_000_000),
            )
        assert remote.count_num_spikes_per_unit() == sorting.count_num_spikes_per_unit()
        server.restart()
        np.testing.assert_array_equal(client.open("a").to_spike_vector(), truth)


def test_an_index_damaged_under_a_server_costs_nobody_a_spike(new_server):
    server = new_server()
    sorting = a_large_sorting()
    with spikewire.connect(server.address) as client:
        client.upload(sorting, "a").to_spike_vector()
        wait_for_index(server)
        server.stop()
        for part in ("spikes", "trains", "packed"):
            (path,) = server.store.glob(f"index/*/segment0.{part}")
            data = bytearray(path.read_bytes())
            data[len(data) // 2] ^= 0xFF
            path.write_bytes(data)
        server.start()
        np.testing.assert_array_equal(client.open("a").to_spike_vector(), sorting.to_spike_vector())
        for unit in (0, 20, 39):
            np.testing.assert_array_equal(
                client.open("a").get_unit_spike_train(unit), sorting.get_unit_spike_train(unit)
            )
        assert "damaged" in server.log


def test_a_client_that_stops_reading_does_not_fill_the_server(new_server):
    import grpc
    import psutil

    from spikewire.v1 import spike_train_service_pb2 as pb
    from spikewire.v1 import spike_train_service_pb2_grpc as rpc

    server = new_server()
    with spikewire.connect(server.address) as client:
        client.upload(a_large_sorting(3_000_000), "a")
        client.open("a").get_unit_spike_train(1)
    wait_for_index(server)
    process = psutil.Process(server.pid)
    with grpc.insecure_channel(server.address) as channel:
        stub = rpc.SpikeTrainServiceStub(channel)
        before = process.memory_info().rss
        streams = [stub.StreamSpikes(pb.StreamSpikesRequest(name="a")) for _ in range(20)]
        for stream in streams:
            next(stream)
        time.sleep(0.5)
        grown = process.memory_info().rss - before
        for stream in streams:
            stream.cancel()
    # 20 streams of 9 MB each; what flow control holds back must not lie in the server.
    assert grown < 100 * 2**20
