"""Servers that are killed while they are read from, and come back."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

import spikewire
from spikewire import aio
from spikewire.core.errors import RevisionMismatchError
from spikewire.remote.channel import Connection
from spikewire.remote.spike_collector import SpikeCollector
from spikewire.remote.train_collector import TrainCollector
from spikewire.wire.chunks import MAX_CHUNK_SPIKES

SPIKES = 12 * MAX_CHUNK_SPIKES  # more than the buffers between two processes hold


def recording(seed=5):
    rng = np.random.default_rng(seed)
    samples = np.sort(rng.integers(0, 10**9, SPIKES))
    return spikewire.NumpySorting.from_samples_and_labels(
        [samples], [rng.integers(0, 50, SPIKES)], 30_000.0, unit_ids=np.arange(50)
    )


@pytest.fixture(scope="module")
def local():
    return recording()


@pytest.fixture(scope="module")
def restarted(server_class, tmp_path_factory, local):
    """A server that has a large sorting, and that may be killed."""
    process = server_class(tmp_path_factory.mktemp("restarted")).start()
    with spikewire.connect(process.address) as client:
        client.upload(local, "large")
    yield process
    process.close()


@pytest.fixture
def client(restarted):
    with spikewire.connect(restarted.address) as connected:
        yield connected


@pytest.fixture
def calls(monkeypatch):
    """The streams that were begun."""
    begun = []
    receive = Connection.receive

    def noted(self, rpc, request):
        begun.append((rpc.method, request.offset))
        return receive(self, rpc, request)

    monkeypatch.setattr(Connection, "receive", noted)
    return begun


def at_third_chunk(monkeypatch, collector, do):
    """Do something when a collector has taken three chunks; return those that it takes."""
    taken = []
    take = collector.take

    def take_and_do(self, record):
        take(self, record)
        taken.append(record)
        if len(taken) == 3:
            do()

    monkeypatch.setattr(collector, "take", take_and_do)
    return taken


def same_trains(trains, local):
    assert len(trains) == 50
    for unit, train in trains.items():
        np.testing.assert_array_equal(train, local.get_unit_spike_train(unit))


def test_the_spike_vector_is_resumed(restarted, client, local, calls, monkeypatch):
    sorting = client.open("large")
    taken = at_third_chunk(monkeypatch, SpikeCollector, restarted.restart)
    np.testing.assert_array_equal(sorting.to_spike_vector(), local.to_spike_vector())
    (_, first), (_, second) = calls
    assert first == 0
    assert sum(chunk.spike_count for chunk, _ in taken[:3]) <= second < SPIKES


def test_trains_are_resumed_into_the_cache(restarted, client, local, calls, monkeypatch):
    monkeypatch.setattr("spikewire.remote.reader._BLOCK_SPIKES", MAX_CHUNK_SPIKES // 3)
    sorting = client.open("large")
    at_third_chunk(monkeypatch, TrainCollector, restarted.restart)
    sorting.precompute_spike_trains()
    assert len(calls) == 2
    same_trains(sorting.get_unit_spike_trains(), local)
    assert len(calls) == 2
    blocks = sorting._source.trains[0]._cached.blocks
    assert len({id(block) for block in blocks.values()}) > 10
    for unit, block in blocks.items():
        assert block.trains[unit].base is next(iter(block.trains.values())).base


def test_a_session_goes_on_after_a_restart(restarted, local):
    with spikewire.connect(restarted.address, cache_bytes=0) as client:
        sorting = client.open("large")
        for start in range(0, 10**9, 10**8):
            if start == 5 * 10**8:
                restarted.restart()
            train = sorting.get_unit_spike_train(7, 0, start, start + 10**7)
            expected = local.get_unit_spike_train(7, 0, start, start + 10**7)
            np.testing.assert_array_equal(train, expected)


def test_an_event_loop_resumes_too(restarted, local, monkeypatch):
    at_third_chunk(monkeypatch, TrainCollector, restarted.restart)

    async def read():
        async with await aio.connect(restarted.address) as client:
            sorting = await client.open("large")
            return await sorting.get_unit_spike_trains()

    same_trains(asyncio.run(read()), local)


def test_content_that_was_replaced_meanwhile_is_not_spliced_in(
    restarted, client, calls, monkeypatch
):
    sorting = client.upload(recording(6), "replaced")

    def replace():
        with spikewire.connect(restarted.address) as other:
            other.upload(recording(7), "replaced", if_revision=sorting.revision)
        restarted.restart()

    at_third_chunk(monkeypatch, SpikeCollector, replace)
    with pytest.raises(RevisionMismatchError, match="replaced"):
        sorting.to_spike_vector()
    assert len(calls) == 2
