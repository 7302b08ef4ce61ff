"""Networks that fail between a rig, its followers and the server: all arrives, once, in order."""

from __future__ import annotations

import threading
import time

import pytest

RATE = 30_000.0


@pytest.fixture
def network(server, network_to):
    return network_to(server.address)


@pytest.fixture
def far_client(network, connect_to):
    """A client on the other side of the network."""
    return connect_to(network.address)


def until(condition) -> None:
    """Wait for something that takes as long as it takes; the test has a timeout."""
    while not condition():
        time.sleep(0.005)


def fail(network, failure: str) -> None:
    getattr(network, failure)()


@pytest.mark.parametrize("failure", ["cut", "black_hole"])
def test_the_spool_grows_and_drains(
    failure, impatient, network, far_client, client, name, spool
) -> None:
    reports = []
    writer = far_client.acquire(name, RATE, [3], spool=spool, on_progress=reports.append)
    number = 0
    for round_ in range(2):
        writer.append([number], [3])
        number += 1
        writer.flush(60)
        before = writer.stats
        assert before.is_connected
        fail(network, failure)
        for _ in range(300):
            writer.append([number], [3])
            number += 1
        until(lambda: not reports[-1].is_connected)  # the rig is told
        stats = writer.stats
        assert not stats.is_connected
        assert stats.spool_bytes > before.spool_bytes
        assert stats.lag_spikes == 300
        assert stats.last_error
        assert stats.reconnects >= round_
        assert client.open(name).count_total_num_spikes() == number - 300
        network.heal()
        writer.flush(60)
        until(lambda: writer.stats.is_connected)
        assert writer.stats.lag_spikes == 0
    writer.finish(60)
    blocks = client.follow(name)
    assert [sample for block in blocks for sample in block.sample_index] == list(range(number))


@pytest.mark.parametrize("failure", ["cut", "black_hole"])
def test_followers_go_on_behind_the_last_block(
    failure, impatient, network, far_client, client, name, spool
) -> None:
    writer = client.acquire(name, RATE, [3, 5], spool=spool)
    follower = far_client.follow(name, unit_ids=[5])
    got, arrived = [], threading.Condition()

    def follow() -> None:
        for block in follower:
            with arrived:
                got.extend(block.sample_index.tolist())
                arrived.notify()

    def has(count: int) -> None:
        with arrived:
            arrived.wait_for(lambda: len(got) == count)

    thread = threading.Thread(target=follow)
    thread.start()
    writer.append([0, 0], [3, 5])
    has(1)
    fail(network, failure)
    writer.append([1, 1], [3, 5])
    writer.flush(60)
    if failure == "black_hole":
        until(lambda: network.swallowed)
    network.heal()
    writer.append([2, 2], [3, 5])
    has(3)
    writer.finish(60)
    thread.join()
    assert got == [0, 1, 2]


@pytest.mark.timeout(400)
@pytest.mark.parametrize("failure", ["cut", "black_hole"])
def test_a_minute_without_a_network(
    failure, network, far_client, client, name, spool, is_thorough
) -> None:
    if not is_thorough:
        pytest.skip("takes minutes: SPIKEWIRE_TEST_THOROUGH=1 runs it")
    writer = far_client.acquire(name, RATE, [3], spool=spool)
    follower = iter(far_client.follow(name))
    writer.append([0], [3])
    writer.flush(60)
    fail(network, failure)
    began, number = time.monotonic(), 0
    while time.monotonic() - began < 60:
        number += 1
        writer.append([number], [3])
        time.sleep(0.01)
    assert not writer.stats.is_connected
    assert writer.stats.lag_seconds > 55
    network.heal()
    writer.flush(120)
    writer.finish(60)
    blocks = list(follower)
    assert [s for block in blocks for s in block.sample_index] == list(range(number + 1))


def test_finishing_waits_for_the_network(impatient, network, far_client, name, spool) -> None:
    writer = far_client.acquire(name, RATE, [3], spool=spool)
    network.cut()
    writer.append([1], [3])
    sealed = []
    thread = threading.Thread(target=lambda: sealed.append(writer.finish(60)))
    thread.start()
    until(lambda: not writer.stats.is_connected)
    network.heal()
    thread.join()
    assert sealed[0].get_unit_spike_train(3).tolist() == [1]


def test_a_client_that_is_closed_leaves_its_spool(network, connect_to, client, name, spool) -> None:
    leaving = connect_to(network.address)
    writer = leaving.acquire(name, RATE, [3], spool=spool)
    writer.append([1], [3])
    network.cut()
    writer.append([2], [3])
    leaving.close()
    until(lambda: not writer.stats.is_connected)
    writer.close()
    with client.acquire(name, RATE, [3], spool=spool):
        pass
    assert client.open(name).get_unit_spike_train(3).tolist() == [1, 2]
