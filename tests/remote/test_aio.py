"""The client for event loops does what the client for threads does."""

from __future__ import annotations

import asyncio
import functools
import threading

import grpc
import numpy as np
import pytest

import spikewire
from spikewire import aio
from spikewire.aio import channel
from spikewire.core.errors import (
    DeadlineExceededError,
    InvalidTypeError,
    MalformedMessageError,
    RevisionMismatchError,
    SegmentIndexError,
    ServerUnavailableError,
    SortingExistsError,
    SortingNotFoundError,
    UnitNotFoundError,
)
from spikewire.remote.target import parse_target

UNAVAILABLE = grpc.StatusCode.UNAVAILABLE


def in_loop(test):
    """Run a test that is a coroutine."""

    @functools.wraps(test)
    def run(*arguments, **named):
        asyncio.run(asyncio.wait_for(test(*arguments, **named), 60))

    return run


@pytest.fixture
def truth(fake):
    return fake.script.sorting


def same(trains, truth, segment, *window):
    for unit, train in trains.items():
        np.testing.assert_array_equal(train, truth.get_unit_spike_train(unit, segment, *window))
        assert not train.flags.writeable


# -- against a real server ---------------------------------------------------------------------


@in_loop
async def test_what_is_put_on_a_server_is_read_from_it(server):
    local = spikewire.generate_sorting(num_units=4, durations=[3.0, 2.0], seed=2)
    local.set_property("depth", np.arange(4.0))
    local.annotate(rat="Ω")
    async with await aio.connect(server.address) as client:
        assert client.info.address == server.address
        sorting = await client.upload(local, "aio/sorting")
        assert isinstance(sorting, aio.RemoteSorting)
        assert sorting.unit_ids.tolist() == local.unit_ids.tolist()
        assert sorting.get_num_segments() == 2
        for segment in (0, 1):
            for window in ((None, None), (100, 40_000), (500.5, None)):
                trains = await sorting.get_unit_spike_trains(None, segment, *window)
                assert list(trains) == local.unit_ids.tolist()
                same(trains, local, segment, *window)
                unit = local.unit_ids[1]
                train = await sorting.get_unit_spike_train(unit, segment, *window, use_cache=False)
                same({unit: train}, local, segment, *window)
            for got, expected in zip(
                await sorting.to_spike_columns(segment, 50, 50_000),
                local.to_spike_columns(segment, 50, 50_000),
                strict=True,
            ):
                np.testing.assert_array_equal(got, expected)
            assert await sorting.get_last_spike_frame(segment) == local.get_last_spike_frame(
                segment
            )
        np.testing.assert_array_equal(await sorting.to_spike_vector(), local.to_spike_vector())
        assert await sorting.count_num_spikes_per_unit() == local.count_num_spikes_per_unit()
        assert await sorting.count_total_num_spikes() == local.count_total_num_spikes()
        copy = await sorting.to_numpy_sorting()
        assert spikewire.check_sortings_equal(copy, local) is None
        assert sorting.get_property_keys() == local.get_property_keys()
        np.testing.assert_array_equal(await sorting.get_property("depth"), np.arange(4.0))
        ids = local.unit_ids[[2, 0]]
        assert (await sorting.get_property("depth", ids)).tolist() == [2.0, 0.0]
        assert await sorting.get_property("none") is None
        assert "rat" in sorting.get_annotation_keys()
        assert await sorting.get_annotation("rat") == "Ω"


@in_loop
async def test_the_servers_sortings_are_managed(server):
    local = spikewire.generate_sorting(num_units=3, durations=[2.0], seed=3)
    async with await aio.connect(server.address) as client:
        sorting = await client.upload(local, "aio-all/a")
        saved = await client.save(sorting, "aio-all/b")
        assert saved.revision == (await client.save("aio-all/a", "aio-all/b")).revision
        view = await client.register(await client.dump("aio-all/b"), "aio-all/v")
        same(await view.get_unit_spike_trains(), local, 0)
        listed = await client.list("aio-all/")
        assert [info.name for info in listed] == ["aio-all/a", "aio-all/b", "aio-all/v"]
        with pytest.raises(SortingExistsError):
            await client.upload(local.select_units(local.unit_ids[:1]), "aio-all/a")
        await client.delete("aio-all/v")
        with pytest.raises(SortingNotFoundError):
            await client.open("aio-all/v")
        loaded = await asyncio.to_thread(spikewire.load, sorting.url)
        assert loaded.revision == sorting.revision


# -- against a server that misbehaves ------------------------------------------------------------


@in_loop
async def test_mistakes_raise_what_they_raise_locally(fake):
    async with await aio.connect(fake.address) as client:
        sorting = await client.open("a")
        with pytest.raises(UnitNotFoundError):
            await sorting.get_unit_spike_train("x", 0)
        with pytest.raises(SegmentIndexError):
            await sorting.get_unit_spike_train(1, 2)
        with pytest.raises(InvalidTypeError):
            await sorting.get_unit_spike_train(1, 0, "5")
        with pytest.raises(InvalidTypeError, match="dict"):
            await client.upload({}, "b")
        fake.script.failures = [RevisionMismatchError("changed")]
        with pytest.raises(RevisionMismatchError, match="changed"):
            await sorting.to_spike_vector()


@pytest.mark.parametrize("breaks", [[0], [2], [5, 0, 0, 3], [100]])
@in_loop
async def test_streams_survive_breaks(fake, truth, breaks):
    async with await aio.connect(fake.address) as client:
        sorting = await client.open("a")
        fake.script.breaks = list(breaks)
        np.testing.assert_array_equal(await sorting.to_spike_vector(), truth.to_spike_vector())
        fake.script.breaks = list(breaks)
        same(await sorting.get_unit_spike_trains([3, 0], 1), truth, 1)
    assert len(fake.script.asked("StreamSpikes")) == len(breaks) + 1


@in_loop
async def test_other_content_is_never_spliced_in(fake):
    async with await aio.connect(fake.address) as client:
        sorting = await client.open("a")
        fake.script.breaks, fake.script.revisions = [3], ["r1", "r2"]
        with pytest.raises(RevisionMismatchError, match="open it again"):
            await sorting.to_spike_vector()
        fake.script.announced = 3
        with pytest.raises(MalformedMessageError):
            await sorting.to_spike_vector()


@in_loop
async def test_calls_are_repeated_while_the_server_is_unavailable(fake):
    async with await aio.connect(fake.address) as client:
        fake.script.failures = [UNAVAILABLE, UNAVAILABLE]
        assert (await client.open("a")).remote_name == "a"
    assert len(fake.script.asked("GetSorting")) == 3


@in_loop
async def test_nobody_answers():
    with pytest.raises(ServerUnavailableError, match=r"127\.0\.0\.1:1"):
        await aio.connect("127.0.0.1:1", timeout=0.2)


@in_loop
async def test_a_silent_server_is_given_up(fake):
    connection = channel.Connection(parse_target(fake.address), stall_seconds=0.2)
    async with aio.Client(connection, None) as client:
        sorting = await client.open("a")
        fake.script.silent_after = 2
        with pytest.raises(DeadlineExceededError, match="silent"):
            await sorting.to_spike_vector()
        with pytest.raises(DeadlineExceededError, match="silent"):
            await client.upload(fake.script.sorting, "b")


@in_loop
async def test_an_upload_is_refused_and_repeated(fake):
    async with await aio.connect(fake.address) as client:
        fake.script.failures = [UNAVAILABLE]
        await client.upload(fake.script.sorting, "b")
        *_, whole = fake.script.asked("pieces")
        assert sum(chunk.spike_count for piece in whole for chunk in piece.chunks) == 1000
        odd = fake.script.sorting.clone()
        odd.set_property("odd", np.array([object()] * 5, dtype=object))
        with pytest.raises(InvalidTypeError, match="object"):
            await client.upload(odd, "b")


@in_loop
async def test_a_closed_client_says_so(fake):
    client = await aio.connect(fake.address)
    sorting = await client.open("a")
    fake.script.silent_after = 2
    reading = asyncio.create_task(sorting.to_spike_vector())
    while not fake.script.asked("StreamSpikes"):
        await asyncio.sleep(0.001)
    await client.close()
    with pytest.raises(ServerUnavailableError, match="closed"):
        await reading
    with pytest.raises(ServerUnavailableError, match="closed"):
        await sorting.get_unit_spike_train(1, 0)


@in_loop
async def test_decoding_in_threads_gives_the_same(fake, truth, monkeypatch):
    monkeypatch.setattr(channel, "LONG_MESSAGE", 0)
    async with await aio.connect(fake.address) as client:
        sorting = await client.open("a")
        np.testing.assert_array_equal(await sorting.to_spike_vector(), truth.to_spike_vector())


# -- many tasks ----------------------------------------------------------------------------------


@in_loop
async def test_many_tasks_wait_for_one_fetch(fake, truth):
    async with await aio.connect(fake.address) as client:
        sorting = await client.open("a")
        trains = await asyncio.gather(*[sorting.get_unit_spike_train(2, 0) for _ in range(20)])
        for train in trains:
            same({2: train}, truth, 0)
        assert len(fake.script.asked("GetUnitSpikeTrain")) == 1
        assert await sorting.get_unit_spike_train(2, 0) is not None
        assert len(fake.script.asked("GetUnitSpikeTrain")) == 1


@in_loop
async def test_a_cancelled_task_leaves_its_fetch_to_who_waits(fake, truth):
    go_on = threading.Event()
    fake.script.before = lambda method: method == "GetUnitSpikeTrain" and go_on.wait(10)
    async with await aio.connect(fake.address) as client:
        sorting = await client.open("a")
        await sorting.get_last_spike_frame(0)  # all counts are known from now on
        first = asyncio.create_task(sorting.get_unit_spike_train(2, 0))
        while not fake.script.asked("GetUnitSpikeTrain"):
            await asyncio.sleep(0.001)
        second = asyncio.create_task(sorting.get_unit_spike_train(2, 0))
        third = asyncio.create_task(sorting.get_unit_spike_train(2, 0))
        await asyncio.sleep(0)
        third.cancel()  # a waiter: nothing changes for the others
        first.cancel()  # the fetcher
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await first
        with pytest.raises(asyncio.CancelledError):
            await third
        same({2: await second}, truth, 0)


@in_loop
async def test_windows_go_over_sessions(fake, truth):
    async with await aio.connect(fake.address, cache_bytes=0) as client:
        sorting = await client.open("a")
        for start in range(0, 6000, 1000):
            window = start, start + 900
            same({1: await sorting.get_unit_spike_train(1, 0, *window)}, truth, 0, *window)
        assert len(fake.script.asked("Query")) == 5
        fake.script.failures = [UNAVAILABLE]
        same({1: await sorting.get_unit_spike_train(1, 0, 5, 99)}, truth, 0, 5, 99)
        fake.script.most = 3
        same({1: await sorting.get_unit_spike_train(1, 0, 5, 9000)}, truth, 0, 5, 9000)
        fake.script.failures = [RevisionMismatchError("changed")]
        with pytest.raises(RevisionMismatchError, match="changed"):
            await sorting.get_unit_spike_train(1, 0, 5, 99)
