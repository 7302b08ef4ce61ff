"""Sessions that wait for the next question: of one revision, few, and not for long."""

from __future__ import annotations

import pytest

from spikewire.remote import sessions
from spikewire.remote.sessions import SessionPool
from spikewire.v1 import spike_train_service_pb2 as pb

REQUEST = pb.QueryRequest(name="rat", revision="1")


@pytest.fixture
def closed() -> list[str]:
    """The sessions that were ended."""
    return []


@pytest.fixture
def pool(closed) -> SessionPool[str]:
    return SessionPool(closed.append)


def test_a_session_serves_the_revision_that_it_was_opened_for(pool) -> None:
    pool.give(REQUEST, "session")
    assert pool.take(pb.QueryRequest(name="rat", revision="2")) is None
    assert pool.take(pb.QueryRequest(name="cat", revision="1")) is None
    assert pool.take(REQUEST) == "session"
    assert pool.take(REQUEST) is None


def test_the_oldest_of_many_end(pool, closed) -> None:
    for number in range(sessions._MAX_IDLE + 2):
        pool.give(REQUEST, f"session {number}")
    assert sorted(closed) == ["session 0", "session 1"]


def test_what_nobody_used_for_a_while_ends(pool, closed, monkeypatch) -> None:
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    pool.give(REQUEST, "old")
    now += sessions._MAX_IDLE_SECONDS + 1
    pool.give(REQUEST, "new")
    assert closed == ["old"]
    assert pool.take(REQUEST) == "new"
