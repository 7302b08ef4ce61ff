"""Reading the spikes of a sorting on a server a chunk at a time, without holding them all."""

from __future__ import annotations

import gc
import weakref
from itertools import islice

import numpy as np
import pytest

import spikewire
from spikewire.core.errors import (
    MalformedMessageError,
    RevisionMismatchError,
    ServerUnavailableError,
)
from spikewire.remote import transfer
from spikewire.remote.columns import Pieces

SPIKES = 500  # of each segment, in messages of 40


@pytest.fixture
def client(fake):
    with spikewire.connect(fake.address) as connected:
        yield connected


@pytest.fixture
def sorting(client):
    return client.open("a/b")


def same(blocks, fake, segment, start=None, end=None):
    blocks = list(blocks)
    expected = fake.script.sorting.segments[segment].get_spike_columns(start, end)
    for column, truth in zip(zip(*blocks, strict=True), expected, strict=True):
        np.testing.assert_array_equal(np.concatenate(column), truth)


@pytest.mark.parametrize("breaks", [[], [0], [1], [5, 0, 0, 3], [1, 1, 1], [100]])
def test_the_chunks_are_the_columns(fake, sorting, breaks):
    for segment in range(2):
        fake.script.breaks = list(breaks)
        blocks = list(sorting.segments[segment].iter_spike_columns())
        assert len(blocks) >= 13
        same(blocks, fake, segment)
    assert {request.revision for request in fake.script.asked("StreamSpikes")} == {"r1"}
    assert len(fake.script.asked("StreamSpikes")) == 2 * (len(breaks) + 1)


def test_no_more_than_what_is_being_used_is_held(fake, sorting, monkeypatch):
    held = {"now": 0, "most": 0}

    def let_go(count):
        held["now"] -= count

    def counted(self, count, give=Pieces.next):
        columns = give(self, count)
        held["now"] += count
        held["most"] = max(held.values())
        weakref.finalize(columns[0], let_go, count)
        return columns

    monkeypatch.setattr(Pieces, "next", counted)
    fake.script.breaks = [4, 4]
    spikes = 0
    for samples, unit_indices in sorting.segments[0].iter_spike_columns():
        assert len(samples) == len(unit_indices)
        spikes += len(samples)
    del samples
    gc.collect()
    assert spikes == SPIKES
    assert held["now"] == 0
    assert held["most"] <= 2 * 40  # the one that is used and the one that comes


def test_nothing_is_asked_before_the_first_chunk_is_wanted(fake, sorting):
    blocks = sorting.segments[0].iter_spike_columns()
    assert fake.script.asked("StreamSpikes") == []
    next(blocks)
    assert len(fake.script.asked("StreamSpikes")) == 1
    blocks.close()


def test_who_stops_early_ends_the_call(fake, sorting, client):
    watchdog = client._connection._current().watchdog
    fake.script.silent_after = 4
    blocks = sorting.segments[0].iter_spike_columns()
    assert len(list(islice(blocks, 3))) == 3
    assert len(watchdog._watches) == 1
    blocks.close()
    assert not watchdog._watches


def test_a_view_streams_what_its_parent_does(fake, sorting):
    view = sorting.select_units([3, 1])
    truth = fake.script.sorting.select_units([3, 1])
    blocks = list(view.segments[0].iter_spike_columns())
    assert len(blocks) > 3
    for column, expected in zip(
        zip(*blocks, strict=True), truth.segments[0].get_spike_columns(), strict=True
    ):
        np.testing.assert_array_equal(np.concatenate(column), expected)


def test_other_content_is_never_spliced_in(fake, sorting):
    fake.script.breaks, fake.script.revisions = [3], ["r1", "r2"]
    blocks = sorting.segments[0].iter_spike_columns()
    assert len(list(islice(blocks, 2))) == 2
    with pytest.raises(RevisionMismatchError, match="open it again"):
        next(blocks)


@pytest.mark.parametrize("announced", [SPIKES - 1, SPIKES + 1])
def test_what_was_announced_has_to_come(fake, sorting, announced):
    fake.script.announced = announced
    with pytest.raises(MalformedMessageError, match="announced"):
        list(sorting.segments[0].iter_spike_columns())


def test_a_stream_without_progress_is_given_up(fake, sorting, monkeypatch):
    monkeypatch.setattr(transfer, "STREAM_ATTEMPTS", 3)
    fake.script.breaks = [4] + [0] * 50
    blocks = sorting.segments[0].iter_spike_columns()
    assert len(list(islice(blocks, 3))) == 3
    with pytest.raises(ServerUnavailableError, match=fake.address):
        next(blocks)
