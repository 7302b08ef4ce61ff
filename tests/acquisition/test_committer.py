"""What is submitted is written in groups; behind a group that failed nothing is, until a reset."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest

from spikewire_server.acquisition.committer import Committer

TIMEOUT = 30


class Storage:
    """Writes a group when `allowed`; the logs in `broken` fail."""

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)
        self.allowed = threading.Semaphore(0)
        self.broken = set()
        self.written = []

    def commit(self, groups):
        self.begun.release()
        assert self.allowed.acquire(timeout=TIMEOUT)
        failed = {log: OSError(28, "full") for log in groups if log in self.broken}
        for log, records in groups.items():
            if log not in failed:
                self.written += [(log.acquisition_id, record) for record in records]
        return failed


class Log(SimpleNamespace):
    __hash__ = object.__hash__


@pytest.fixture
def storage():
    return Storage()


@pytest.fixture
def told():
    return threading.Semaphore(0)


@pytest.fixture
def committer(storage, told):
    committer = Committer(storage, lambda outcome: told.release())
    yield committer
    for _ in range(10):
        storage.allowed.release()
    committer.close()


def test_what_follows_a_group_that_failed_is_dropped_until_a_reset(committer, storage, told):
    bad, good = Log(acquisition_id="bad"), Log(acquisition_id="good")
    storage.broken = {bad}
    committer.submit(bad, ["first"])
    assert storage.begun.acquire(timeout=TIMEOUT)
    committer.submit(bad, ["while it was written"])
    storage.allowed.release()
    assert told.acquire(timeout=TIMEOUT)
    storage.broken = set()

    committer.submit(bad, ["after it failed"])
    committer.submit(good, ["of another"])
    storage.allowed.release(3)
    assert told.acquire(timeout=TIMEOUT)
    committer.reset(bad)
    committer.submit(bad, ["again"])
    committer.close()
    assert storage.written == [("good", "of another"), ("bad", "again")]
