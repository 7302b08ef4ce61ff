"""A follower gets what is recorded, from where it wants, once, in order, to the end."""

from __future__ import annotations

import pytest

from spikewire.core.errors import InternalServerError, ServerUnavailableError
from spikewire.remote.calls import CALL_ATTEMPTS

RATE = 30_000.0


@pytest.fixture
def writer(client, name, spool):
    with client.acquire(name, sampling_frequency=RATE, unit_ids=["a", "b"], spool=spool) as writer:
        yield writer


def test_past_and_future_are_one_stream(client, name, writer) -> None:
    writer.append([1, 2], ["a", "b"])
    writer.flush(30)
    follower = client.follow(name)
    first = next(follower)
    assert first.sample_index.tolist() == [1, 2]
    assert first.unit_ids.tolist() == ["a", "b"]
    assert (first.segment_index, len(first)) == (0, 2)
    writer.add_units(["c"])
    writer.start_segment(t_start=4.0)
    writer.append([3], ["c"])
    second = next(follower)
    assert (second.sample_index.tolist(), second.unit_ids.tolist()) == ([3], ["c"])
    assert second.segment_index == 1
    assert follower.unit_ids.tolist() == ["a", "b", "c"]
    assert follower.t_starts == (None, 4.0)
    writer.finish()
    assert list(follower) == []
    assert [block.sample_index.tolist() for block in client.follow(name)] == [[1, 2], [3]]


def test_following_begins_now_or_behind_a_block(client, name, writer) -> None:
    writer.append([1], ["a"])
    writer.flush(30)
    now = client.follow(name, start="now")
    writer.append([2], ["b"])
    writer.flush(30)
    begin = client.follow(name)
    first = next(begin)
    behind_first = client.follow(name, start=first.cursor)
    writer.append([3], ["b"])
    writer.finish()
    assert samples(first, *begin) == [1, 2, 3]
    assert samples(*now) == [2, 3]
    assert samples(first, *behind_first) == [1, 2, 3]


@pytest.mark.usefixtures("eager")
def test_a_server_that_only_fails_is_given_up(client, name, writer, monkeypatch) -> None:
    follower = client.follow(name)
    asked = []

    def fail(_rpc, request):
        asked.append(request)
        # That it was away in between is no progress.
        raise ServerUnavailableError("away") if len(asked) % 2 else InternalServerError("a defect")
        yield

    monkeypatch.setattr(client._connection, "receive", fail)
    with pytest.raises(InternalServerError, match="a defect"):
        next(follower)
    assert len(asked) == 2 * CALL_ATTEMPTS


def samples(*blocks) -> list[int]:
    return [sample for block in blocks for sample in block.sample_index.tolist()]
