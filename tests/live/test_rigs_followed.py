"""Rigs that record one session are followed as one: each spike once, named, in common time."""

from __future__ import annotations

import asyncio
from collections import defaultdict

import numpy as np
import pytest

import spikewire.aio
from spikewire.core.errors import NotRecordingError, SortingNotFoundError, UnitNotFoundError
from spikewire.remote.live.following import SpikeBlock

RATE = 1_000.0


@pytest.fixture
def begin_rigs(spool):
    """`begin_rigs(client, name, count=3)`: writers with clocks that drift, shown as `name`."""
    writers = []

    def begin(client, name, count=3):
        for rig in range(count):
            units = [f"{rig}a", f"{rig}b"]
            writer = client.acquire(f"{name}/rig{rig}", RATE, units, spool=spool / str(rig))
            writer.add_sync_points([0, 10_000], [float(rig), rig + 10.0 + rig])
            writers.append(writer)
        flush(writers)
        client.aggregate(name, [f"{name}/rig{rig}" for rig in range(count)])
        return writers

    yield begin
    for writer in writers:
        writer.close()


@pytest.fixture
def rigs(begin_rigs, client, name):
    return begin_rigs(client, name)


def test_messages_of_all_rigs_come_in_one_stream(client, name, rigs) -> None:
    for rig, writer in enumerate(rigs):
        writer.append([1_000, 5_000], [f"{rig}a", f"{rig}b"])
        writer.finish()
    follower = client.follow(name)
    blocks = list(follower)
    assert follower.unit_ids.tolist() == ["0a", "0b", "1a", "1b", "2a", "2b"]
    for rig in range(3):
        (block,) = [block for block in blocks if block.source_name == f"{name}/rig{rig}"]
        assert block.sample_index.tolist() == [1_000, 5_000]
        assert block.unit_ids.tolist() == [f"{rig}a", f"{rig}b"]
        assert block.unit_index.tolist() == [2 * rig, 2 * rig + 1]
        slope = (10.0 + rig) / 10_000
        assert block.times.tolist() == pytest.approx([rig + 1_000 * slope, rig + 5_000 * slope])
    assert list(client.follow(name, start=blocks[-1].cursor)) == [], "it is over"
    behind = list(client.follow(name, start=blocks[0].cursor))
    assert samples(behind) == samples(blocks[1:])


def test_rigs_end_start_and_announce_when_they_like(client, name, rigs) -> None:
    follower = client.follow(name)
    rigs[1].append([7], ["1b"])
    rigs[1].finish()
    assert next(follower).source_name == f"{name}/rig1"
    rigs[0].add_units(["0long"])
    rigs[0].start_segment()
    rigs[0].append([8], ["0long"])
    block = next(follower)
    assert (block.unit_ids.tolist(), block.unit_index.tolist()) == (["0long"], [2])
    assert block.segment_index == 1
    assert follower.unit_ids.tolist() == ["0a", "0b", "0long", "1a", "1b", "2a", "2b"]
    assert client.open(name).unit_ids.tolist() == follower.unit_ids.tolist()
    rigs[2].append([9], ["2a"])
    block = next(follower)
    assert (block.unit_ids.tolist(), block.unit_index.tolist()) == (["2a"], [5])
    rigs[2].add_sync_points([20_000], [100.0])
    rigs[2].append([20_000], ["2a"])
    assert next(follower).times.tolist() == [100.0]
    rigs[0].finish()
    rigs[2].finish()
    assert list(follower) == []


def test_only_units_that_are_wanted_come(client, name, rigs) -> None:
    follower = client.follow(name, unit_ids=["2b", "0a"])
    rigs[0].add_units(["0c"])
    for rig, writer in enumerate(rigs):
        writer.append([1, 2], [f"{rig}a", f"{rig}b"])
        writer.finish()
    blocks = list(follower)
    assert samples(blocks) == {"0a": [1], "2b": [2]}
    with pytest.raises(UnitNotFoundError):
        client.follow(name, unit_ids=["3a"])


def test_following_begins_now_in_all_rigs(client, name, rigs) -> None:
    for rig, writer in enumerate(rigs):
        writer.append([1], [f"{rig}a"])
    flush(rigs)
    follower = client.follow(name, start="now")
    for rig, writer in enumerate(rigs):
        writer.append([2], [f"{rig}a"])
        writer.finish()
    assert samples(follower) == {"0a": [2], "1a": [2], "2a": [2]}


def test_a_restart_of_the_server_loses_and_repeats_nothing(
    new_server, connect_to, begin_rigs, name
) -> None:
    server = new_server()
    client = connect_to(server.address)
    rigs = begin_rigs(client, name)
    follower = client.follow(name)
    taken = []
    for number in range(4):
        for rig, writer in enumerate(rigs):
            writer.append([100 * number + rig], [f"{rig}a"])
        flush(rigs)
        while count(taken) < 3 * (number + 1):
            taken.append(next(follower))
        if number == 1:
            server.restart()
        if number == 2:
            server.kill()
            server.start()
    for writer in rigs:
        writer.finish()
    taken += list(follower)
    assert samples(taken) == {
        f"{rig}a": [100 * number + rig for number in range(4)] for rig in range(3)
    }


def test_a_rig_that_is_deleted_ends_the_stream(client, name, rigs) -> None:
    follower = client.follow(name)
    rigs[0].append([1], ["0a"])
    assert len(next(follower)) == 1
    client.delete(f"{name}/rig1")
    with pytest.raises(SortingNotFoundError):
        next(follower)
    with pytest.raises(SortingNotFoundError):
        client.follow(name)


def test_what_is_pinned_or_no_recording_cannot_be_followed(client, name, rigs) -> None:
    pinned = spikewire.aggregate_units([client.open(f"{name}/rig{rig}") for rig in range(3)])
    client.register(pinned, f"{name}-pinned")
    client.register(client.open(f"{name}/rig0").select_units(["0a"]), f"{name}-chosen")
    for other in (f"{name}-pinned", f"{name}-chosen"):
        with pytest.raises(NotRecordingError):
            client.follow(other)
    with pytest.raises(NotRecordingError):
        client.acquire(name, resume=True)


def test_rigs_are_followed_in_event_loops(client, server, name, rigs) -> None:
    async def follow() -> list[SpikeBlock]:
        async with await spikewire.aio.connect(server.address) as twin:
            return [block async for block in await twin.follow(name)]

    rigs[2].append([4], ["2b"])
    for writer in rigs:
        writer.finish()
    blocks = asyncio.run(asyncio.wait_for(follow(), 60))
    assert [block.source_name for block in blocks] == [f"{name}/rig2"]
    assert samples(blocks) == {"2b": [4]}


def flush(writers) -> None:
    for writer in writers:
        writer.flush(30)


def count(blocks) -> int:
    return sum(map(len, blocks))


def samples(blocks) -> dict[str, list[int]]:
    found = defaultdict(list)
    for block in blocks:
        for unit_id in np.unique(block.unit_ids):
            found[unit_id] += block.sample_index[block.unit_ids == unit_id].tolist()
    return dict(found)
