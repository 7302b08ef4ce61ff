"""The rig's twin for event loops: the same names, awaited, and the same guarantees."""

from __future__ import annotations

import asyncio
import errno
import functools
import inspect
import subprocess
import sys
import threading

import numpy as np
import pytest

import spikewire
from spikewire import aio
from spikewire.core.errors import (
    ContractError,
    DeadlineExceededError,
    InvalidValueError,
    NotRecordingError,
    ServerUnavailableError,
    SortingExistsError,
    SpoolFullError,
    StoreUnwritableError,
    UnitNotFoundError,
    WriterFencedError,
)
from spikewire.remote.live import follower, spool_file, writer
from spikewire.remote.live.recording import Recording

RATE = 30_000.0


def in_loop(test):
    """Run a test that is a coroutine."""

    @functools.wraps(test)
    def run(*arguments, **named):
        asyncio.run(asyncio.wait_for(test(*arguments, **named), 100))

    return run


@pytest.fixture
def slow_disk(monkeypatch):
    """A disk that takes a record only when it is told to; it says when it was given one."""

    class Disk:
        def __init__(self) -> None:
            self.was_given = threading.Event()
            self.goes_on = threading.Event()

        def write(self, stream, data) -> None:
            self.was_given.set()
            assert self.goes_on.wait(60)
            stream.write(data)

        async def given(self) -> None:
            await asyncio.to_thread(self.was_given.wait, 60)

    disk = Disk()
    monkeypatch.setattr(spool_file, "_write_all", disk.write)
    yield disk
    disk.goes_on.set()


async def append_and_flush(rig) -> None:
    await rig.append([3], [3])
    await rig.flush(30)


async def spikes_of(client, name) -> list[int]:
    sorting = await client.open(name)
    return (await sorting.to_spike_vector())["sample_index"].tolist()


# -- twins -------------------------------------------------------------------------------------


def public(kind) -> dict[str, object]:
    return {name: getattr(kind, name) for name in dir(kind) if not name.startswith("_")}


@pytest.mark.parametrize(
    ("twin", "of"),
    [
        (aio.SpikeWriter, writer.SpikeWriter),
        (aio.Follower, follower.Follower),
        (aio.Client, spikewire.Client),
    ],
)
def test_twins_have_the_same_names(twin, of) -> None:
    assert set(public(twin)) == set(public(of))


@pytest.mark.parametrize(
    ("twin", "of"),
    [
        *(
            (getattr(aio.SpikeWriter, name), each)
            for name, each in public(writer.SpikeWriter).items()
        ),
        (aio.Client.acquire, spikewire.Client.acquire),
        (aio.Client.follow, spikewire.Client.follow),
    ],
)
def test_twins_take_the_same_arguments(twin, of) -> None:
    if isinstance(of, property):
        assert isinstance(twin, property)
        return
    assert inspect.iscoroutinefunction(twin)
    assert inspect.signature(twin).parameters == inspect.signature(of).parameters


# -- what a rig does ---------------------------------------------------------------------------


@in_loop
async def test_what_is_appended_is_the_sorting(server, name, spool) -> None:
    async with await aio.connect(server.address) as client:
        async with await client.acquire(
            name, RATE, [3, 5], {"rat": 7}, t_start=2.0, spool=spool, sync=True
        ) as rig:
            assert (rig.name, rig.sampling_frequency) == (name, RATE)
            assert rig.spool_folder.parent == spool
            await rig.append([10, 20, 30], [3, 5, 3])
            await rig.append([15, 5], [5, 3])  # late, and unsorted
            assert await rig.start_segment(t_start=9.5) == 1
            await rig.append(np.array([7], np.uint16), np.array([3]))
            await rig.append([12], [3], segment_index=0)
            await rig.add_units(unit for unit in [8])
            await rig.append([8], [8])
            await rig.add_sync_points([0, 100], [5.0, 6.0])
            await rig.flush(timeout=30)
            assert (rig.stats.appended, rig.stats.lag_spikes) == (8, 0)
            assert await (await client.open(name)).count_total_num_spikes() == 8
            for error, wrong in (
                (UnitNotFoundError, rig.append([1], [99])),
                (InvalidValueError, rig.append([1, 2], [3])),
                (ContractError, rig.add_units([3])),
                (InvalidValueError, rig.add_sync_points(50, 7.0)),
                (InvalidValueError, rig.start_segment(float("inf"))),
            ):
                with pytest.raises(error):
                    await wrong
            assert (rig.unit_ids.tolist(), rig.segment_count) == ([3, 5, 8], 2)
        sorting = await client.open(name)
        assert await sorting.get_annotation("rat") == 7
        train = sorting.get_unit_spike_train
        assert (await train(3, segment_index=0)).tolist() == [5, 10, 12, 30]
        assert (await train(5, segment_index=0)).tolist() == [15, 20]
        assert (await train(8, segment_index=1)).tolist() == [8]
        with pytest.raises(NotRecordingError, match="was finished"):
            await rig.append([1], [3])
        await rig.close()
    assert list(spool.iterdir()) == []


@in_loop
async def test_times_go_by_sync_points(server, name, spool) -> None:
    async with await aio.connect(server.address) as client:
        async with await client.acquire(name, RATE, [3], spool=spool) as rig:
            await rig.add_sync_points([0, 1000], [5.0, 7.0])
            await rig.append([500, 2000], [3, 3])
        sorting = await (await client.open(name)).to_numpy_sorting()
        assert sorting.get_unit_spike_train_in_seconds(3).tolist() == [6.0, 9.0]


@in_loop
async def test_a_refreshed_sorting_has_what_came_since(server, name, spool) -> None:
    async with await aio.connect(server.address) as client:
        async with await client.acquire(name, RATE, ["a"], spool=spool) as writer:
            await writer.append([1], ["a"])
            await writer.flush(30)
            live = await client.open(name)
            before = live.revision
            await writer.add_units(["b"])
            await writer.start_segment()
            await writer.append([7], ["b"])
            await writer.flush(30)
            assert await live.count_num_spikes_per_unit() == {"a": 1}
            await live.refresh()
            assert await live.count_num_spikes_per_unit() == {"a": 1, "b": 1}
            assert (await live.get_unit_spike_train("b", segment_index=1)).tolist() == [7]
        await live.refresh()
        assert live.revision.partition(".")[0] == before.partition(".")[0]
        assert live.revision != before


@in_loop
async def test_tasks_share_a_writer_and_a_loop_many_writers(server, name, spool) -> None:
    async def record(rig, first) -> None:
        for sample in range(first, first + 50):
            await rig.append([sample], [3])

    async with await aio.connect(server.address) as client:
        rigs = [await client.acquire(f"{name}/{n}", RATE, [3], spool=spool) for n in range(8)]
        await asyncio.gather(*(record(rig, first) for rig in rigs for first in (0, 100)))
        sealed = await asyncio.gather(*(rig.finish(60) for rig in rigs))
        for sorting in sealed:
            train = await sorting.get_unit_spike_train(3)
            assert train.tolist() == [*range(50), *range(100, 150)]


@in_loop
async def test_a_loop_is_closed_over_the_server(server, name, spool) -> None:
    async with (
        await aio.connect(server.address) as client,
        await client.acquire(name, RATE, ["seen", "stimulus"], spool=spool) as rig,
        await client.follow(name, start="now", unit_ids=["seen"]) as seen,
    ):
        for number in range(20):
            await rig.append([number], ["seen"])
            block = await anext(seen)
            await rig.append(block.sample_index + 5, ["stimulus"])
        sorting = await rig.finish()
        assert (await sorting.get_unit_spike_train("stimulus")).tolist() == list(range(5, 25))


@in_loop
async def test_progress_is_told_in_the_loop(server, name, spool) -> None:
    told, loop = asyncio.Queue(), asyncio.get_running_loop()

    def report(stats) -> None:
        assert asyncio.get_running_loop() is loop
        told.put_nowait(stats)

    async with (
        await aio.connect(server.address) as client,
        await client.acquire(name, RATE, [3], spool=spool, on_progress=report) as rig,
    ):
        await rig.append([1, 2], [3, 3])
        while (await told.get()).acknowledged < 2:
            pass


@in_loop
async def test_one_name_has_one_writer(server, name, spool) -> None:
    async with await aio.connect(server.address) as client:
        first = await client.acquire(name, RATE, [3], spool=spool)
        await first.append([1], [3])
        await first.flush(30)
        elsewhere = spool.with_name("elsewhere")
        with pytest.raises(SortingExistsError):
            await client.acquire(name, RATE, [3], spool=elsewhere)
        with pytest.raises(StoreUnwritableError, match="in use by process"):
            await client.acquire(name, RATE, [3], spool=spool)
        second = await client.acquire(name, spool=elsewhere, resume=True)
        await second.append([2], [3])
        await second.flush(30)
        with pytest.raises(WriterFencedError):
            await append_and_flush(first)
        with pytest.raises(WriterFencedError):
            await first.append([4], [3])
        await first.close()
        await second.finish()
        assert await spikes_of(client, name) == [1, 2]


@in_loop
async def test_a_full_spool_is_told_and_recording_goes_on(server, name, spool, monkeypatch) -> None:
    def full(stream, data) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    async with await aio.connect(server.address) as client:
        async with await client.acquire(name, RATE, [3], spool=spool) as rig:
            await rig.append([1], [3])
            with monkeypatch.context() as patch:
                patch.setattr(spool_file, "_write_all", full)
                with pytest.raises(SpoolFullError, match="No space left"):
                    await rig.append([2], [3])
            await rig.append([3], [3])
        assert await spikes_of(client, name) == [1, 3]


@in_loop
async def test_an_exception_leaves_the_acquisition_open(server, name, spool) -> None:
    async with await aio.connect(server.address) as client:
        rig = await client.acquire(name, RATE, [3], spool=spool)

        async def fail() -> None:
            async with rig:
                await rig.append([1], [3])
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await fail()
        (listed,) = await client.list(name)
        assert listed.state == "recording"
        with pytest.raises(NotRecordingError, match="was closed"):
            await rig.append([2], [3])
        with pytest.raises(InvalidValueError, match="20000"):
            await client.acquire(name, 20_000.0, spool=spool)
        async with await client.acquire(name, RATE, [3, 4], spool=spool) as rig:
            assert rig.unit_ids.tolist() == [3, 4]
        assert await spikes_of(client, name) == [1]


@in_loop
async def test_a_block_that_cannot_finish_lets_go_of_its_spool(server, name, spool) -> None:
    async with await aio.connect(server.address) as client:
        first = await client.acquire(name, RATE, [3], spool=spool)
        await append_and_flush(first)
        second = await client.acquire(name, spool=spool.with_name("elsewhere"), resume=True)
        with pytest.raises(WriterFencedError):
            async with first:
                pass
        await second.close()
        async with await client.acquire(name, spool=spool, resume=True) as third:
            await append_and_flush(third)
        assert await spikes_of(client, name) == [3, 3]


@in_loop
async def test_a_closed_client_ends_its_writers(server, name, spool) -> None:
    async with await aio.connect(server.address) as client:
        rig = await client.acquire(name, RATE, [3], spool=spool)
        await rig.append([1], [3])
        await rig.flush(30)
    with pytest.raises(ServerUnavailableError, match="was closed"):
        await append_and_flush(rig)
    await rig.close()


# -- what may happen ---------------------------------------------------------------------------


@in_loop
async def test_killed_servers_lose_nothing(forked, name, spool) -> None:
    got: list[int] = []
    async with await aio.connect(forked.address) as client:
        rig = await client.acquire(name, RATE, [3, 5], spool=spool)

        async def follow() -> None:
            async for block in await client.follow(name):
                got.extend(block.sample_index.tolist())

        following = asyncio.create_task(follow())
        for restart in range(8):
            for sample in range(restart * 100, restart * 100 + 100):
                await rig.append([sample, sample], [3, 5])
                if sample % 100 == 10 * restart + 20:
                    forked.kill()
            acknowledged = rig.stats.acknowledged
            await asyncio.to_thread(forked.start)
            counts = await (await client.open(name)).count_total_num_spikes()
            assert counts >= acknowledged
        sealed = await rig.finish(60)
        assert rig.stats.reconnects > 0
        await following
        expected = np.repeat(np.arange(800), 2).tolist()
        assert got == expected
        assert (await sealed.to_spike_vector())["sample_index"].tolist() == expected


RIG = """
import asyncio, sys
from spikewire import aio

async def record(address, name, spool):
    async with await aio.connect(address) as client:
        rig = await client.acquire(name, 30_000.0, [3], spool=spool)
        for sample in range(1_000_000):
            await rig.append([sample], [3])
            print(sample, flush=True)

asyncio.run(record(*sys.argv[1:]))
"""


@in_loop
async def test_what_a_killed_rig_appended_is_resumed(forked, name, spool) -> None:
    command = [sys.executable, "-c", RIG, forked.address, name, str(spool)]
    rig = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    taken = []
    for number in range(150):
        taken.append(int(await rig.stdout.readline()))
        if number == 50:
            forked.kill()  # what follows is in the spool alone
    rig.kill()
    taken += [int(line) for line in (await rig.stdout.read()).splitlines() if line]
    await rig.wait()
    await asyncio.to_thread(forked.start)
    async with await aio.connect(forked.address) as client:
        async with await client.acquire(name, RATE, [3], spool=spool) as rig:
            assert rig.stats.appended > 0
            await rig.append([-1], [3])
        first, *rest = await spikes_of(client, name)
        assert first == -1
        assert rest in (taken, [*taken, len(taken)])  # one more may be taken and not yet said


@in_loop
async def test_a_slow_disk_does_not_hold_up_the_loop(server, name, spool, slow_disk) -> None:
    async with await aio.connect(server.address) as client:
        async with await client.acquire(name, RATE, [3], spool=spool, sync=True) as rig:
            appending = asyncio.create_task(rig.append([1], [3]))
            await slow_disk.given()
            assert (rig.stats.appended, rig.stats.spool_bytes) == (0, 0)
            await rig.flush(30)
            assert (await client.list(name))[0].state == "recording"
            finishing = asyncio.create_task(rig.finish(60))
            await asyncio.sleep(0)
            slow_disk.goes_on.set()
            await appending
            await finishing
        assert await spikes_of(client, name) == [1]


@in_loop
async def test_a_cancelled_append_is_whole_or_nothing(server, name, spool, slow_disk) -> None:
    async with await aio.connect(server.address) as client:
        async with await client.acquire(name, RATE, [3], spool=spool) as rig:
            samples = np.array([1, 2])
            written = asyncio.create_task(rig.append(samples, [3, 3]))
            await slow_disk.given()
            waiting = asyncio.create_task(rig.append([10], [3]))
            segment = asyncio.create_task(rig.start_segment())
            await asyncio.sleep(0)
            for task in (written, waiting):
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            samples[:] = 99  # its owner goes on
            slow_disk.goes_on.set()
            assert await segment == 1
            await rig.append([4], [3])
        sorting = await client.open(name)
        assert (await sorting.get_unit_spike_train(3, segment_index=0)).tolist() == [1, 2]
        assert (await sorting.get_unit_spike_train(3, segment_index=1)).tolist() == [4]


@in_loop
async def test_who_does_not_wait_for_the_server_goes_on(forked, name, spool) -> None:
    async with await aio.connect(forked.address) as client:
        rig = await client.acquire(name, RATE, [3], spool=spool)
        forked.kill()
        await rig.append([1], [3])
        for wait in (rig.flush, rig.finish):
            with pytest.raises(DeadlineExceededError, match="stay in the spool"):
                await wait(0.1)
            waiting = asyncio.create_task(wait())
            await asyncio.sleep(0.1)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            await rig.append([2], [3])
        waiting = asyncio.create_task(rig.flush())
        await asyncio.to_thread(forked.start)
        await waiting
        assert await (await rig.finish(60)).count_total_num_spikes() == 3


@in_loop
async def test_a_cancelled_acquire_can_be_resumed(server, name, spool, monkeypatch) -> None:
    begun, goes_on, closed = threading.Event(), threading.Event(), threading.Event()
    recover, close = spool_file.recover, Recording.close

    def slow_recover(folder):
        begun.set()
        assert goes_on.wait(60)
        return recover(folder)

    def noted_close(recording) -> None:
        close(recording)
        closed.set()

    monkeypatch.setattr("spikewire.remote.live.spool.recover", slow_recover)
    monkeypatch.setattr(Recording, "close", noted_close)
    async with await aio.connect(server.address) as client:
        acquiring = asyncio.create_task(client.acquire(name, RATE, [3], spool=spool))
        await asyncio.to_thread(begun.wait, 60)
        acquiring.cancel()
        with pytest.raises(asyncio.CancelledError):
            await acquiring
        goes_on.set()
        assert await asyncio.to_thread(closed.wait, 60)
        async with await client.acquire(name, RATE, [3], spool=spool) as rig:
            await rig.append([1], [3])
        assert await spikes_of(client, name) == [1]
