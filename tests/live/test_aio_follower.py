"""The follower's twin for event loops; who does not wait any longer misses nothing."""

from __future__ import annotations

import asyncio
import functools
import threading
from contextlib import asynccontextmanager

import pytest

from spikewire import aio
from spikewire.aio import follower as aio_follower
from spikewire.core.errors import (
    InternalServerError,
    InvalidValueError,
    ServerUnavailableError,
    SortingNotFoundError,
    UnitNotFoundError,
)
from spikewire.remote.calls import CALL_ATTEMPTS
from spikewire.remote.live.following import Following

RATE = 30_000.0


def in_loop(test):
    """Run a test that is a coroutine."""

    @functools.wraps(test)
    def run(*arguments, **named):
        asyncio.run(asyncio.wait_for(test(*arguments, **named), 100))

    return run


@pytest.fixture
def recording(server, name, spool):
    """`async with recording() as (client, writer)`."""

    @asynccontextmanager
    async def begin():
        async with (
            await aio.connect(server.address) as client,
            await client.acquire(name, RATE, ["a", "b"], spool=spool) as writer,
        ):
            yield client, writer

    return begin


async def appended(writer, *samples) -> None:
    for sample in samples:
        await writer.append([sample], ["ab"[sample % 2]])
    await writer.flush(30)


async def samples(follower) -> list[int]:
    return [sample async for block in follower for sample in block.sample_index.tolist()]


@in_loop
async def test_past_and_future_are_one_stream(recording, name) -> None:
    async with recording() as (client, writer):
        await writer.append([1, 2], ["a", "b"])
        await writer.flush(30)
        follower = await client.follow(name)
        assert (follower.name, follower.sampling_frequency) == (name, RATE)
        first = await anext(follower)
        assert first.sample_index.tolist() == [1, 2]
        assert first.unit_ids.tolist() == ["a", "b"]
        await writer.add_units(["c"])
        await writer.start_segment(t_start=4.0)
        waiting = asyncio.create_task(anext(follower))
        await asyncio.sleep(0)
        await writer.append([3], ["c"])
        second = await waiting
        assert (second.sample_index.tolist(), second.unit_ids.tolist()) == ([3], ["c"])
        assert second.segment_index == 1
        assert follower.unit_ids.tolist() == ["a", "b", "c"]
        assert follower.t_starts == (None, 4.0)
        await writer.finish()
        assert await samples(follower) == []
        assert await samples(await client.follow(name)) == [1, 2, 3]


@in_loop
async def test_following_begins_now_or_behind_a_block(recording, name) -> None:
    async with recording() as (client, writer):
        await appended(writer, 1)
        now = await client.follow(name, start="now")
        await appended(writer, 2)
        first = await anext(await client.follow(name))
        behind_first = await client.follow(name, start=first.cursor)
        only_b = await client.follow(name, unit_ids=["b"])
        await appended(writer, 3, 4)
        await writer.finish()
        assert await samples(now) == [2, 3, 4]
        assert first.sample_index.tolist() + await samples(behind_first) == [1, 2, 3, 4]
        assert await samples(only_b) == [1, 3]


@in_loop
async def test_what_cannot_be_followed_is_told(recording, name) -> None:
    async with recording() as (client, _):
        with pytest.raises(SortingNotFoundError):
            await client.follow(f"{name}/none")
        with pytest.raises(UnitNotFoundError):
            await client.follow(name, unit_ids=["z"])
        with pytest.raises(InvalidValueError):
            await client.follow(name, start="soon")


@in_loop
async def test_a_wait_that_is_cancelled_misses_nothing(recording, name) -> None:
    async with recording() as (client, writer):
        follower = await client.follow(name)
        got = []
        for sample in range(30):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(anext(follower), 0.001 * (sample % 3))
            await writer.append([sample], ["a"])
            try:
                async with asyncio.timeout(0.001 * (sample % 5)):
                    got += (await anext(follower)).sample_index.tolist()
            except TimeoutError:
                got += (await anext(follower)).sample_index.tolist()
        await writer.finish()
        assert got == list(range(30))
        assert await samples(follower) == []


@in_loop
async def test_a_large_message_is_decoded_beside_the_loop(recording, name, monkeypatch) -> None:
    decoding, goes_on, take = threading.Event(), threading.Event(), Following.take

    def slow_take(following, message):
        decoding.set()
        assert goes_on.wait(60)
        return take(following, message)

    monkeypatch.setattr(aio_follower, "LONG_MESSAGE", 0)
    async with recording() as (client, writer):
        await appended(writer, 1)
        follower = await client.follow(name)
        monkeypatch.setattr(Following, "take", slow_take)
        waiting = asyncio.create_task(anext(follower))
        await asyncio.to_thread(decoding.wait, 60)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        waiting = asyncio.create_task(anext(follower))
        await asyncio.sleep(0)
        goes_on.set()
        assert (await waiting).sample_index.tolist() == [1]
        await appended(writer, 2)
        await writer.finish()
        assert await samples(follower) == [2]


@in_loop
async def test_a_follower_ends_where_it_is_closed(recording, name) -> None:
    async with recording() as (client, writer):
        await appended(writer, 1)
        async with await client.follow(name) as follower:
            assert (await anext(follower)).sample_index.tolist() == [1]
            assert repr(follower) == f"<spikewire.aio.Follower: {name}>"
        assert await samples(follower) == []
        await follower.close()


@pytest.mark.usefixtures("eager")
@in_loop
async def test_a_server_that_only_fails_is_given_up(recording, name, monkeypatch) -> None:
    async with recording() as (client, _):
        follower = await client.follow(name)
        asked = []

        async def fail(_rpc, request):
            asked.append(request)
            raise InternalServerError("a defect")
            yield

        monkeypatch.setattr(client._connection, "receive", fail)
        with pytest.raises(InternalServerError, match="a defect"):
            await anext(follower)
        assert len(asked) == CALL_ATTEMPTS
        monkeypatch.undo()


@in_loop
async def test_a_closed_client_ends_its_followers(server, recording, name) -> None:
    async with recording() as (_, writer):
        await appended(writer, 1)
        async with await aio.connect(server.address) as client:
            follower = await client.follow(name)
            await anext(follower)
            waiting = asyncio.create_task(anext(follower))
            await asyncio.sleep(0.01)
        with pytest.raises(ServerUnavailableError, match="was closed"):
            await waiting


@in_loop
async def test_restarts_of_the_server_are_not_noticed(forked, name, spool) -> None:
    async with await aio.connect(forked.address) as client:
        writer = await client.acquire(name, RATE, ["a", "b"], spool=spool)
        everything = await client.follow(name)
        only_a = await client.follow(name, unit_ids=["a"])
        reading = [asyncio.create_task(samples(each)) for each in (everything, only_a)]
        for sample in range(0, 300, 100):
            await appended(writer, *range(sample, sample + 50))
            forked.kill()
            await asyncio.to_thread(forked.start)
            await appended(writer, *range(sample + 50, sample + 100))
        await writer.finish(60)
        assert await reading[0] == list(range(300))
        assert await reading[1] == list(range(0, 300, 2))
