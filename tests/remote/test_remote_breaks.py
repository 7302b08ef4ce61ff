"""What the client makes of servers that break off, lie or fall silent."""

from __future__ import annotations

import grpc
import numpy as np
import pytest

import spikewire
from spikewire.core.errors import (
    DeadlineExceededError,
    InvalidTypeError,
    MalformedMessageError,
    NotSupportedByServerError,
    RevisionMismatchError,
    ServerUnavailableError,
    SortingNotFoundError,
)
from spikewire.remote import calls, channel, columns, transfer
from spikewire.remote.channel import Connection
from spikewire.remote.client import Client
from spikewire.remote.columns import Columns
from spikewire.remote.methods import STREAM_SPIKES
from spikewire.remote.target import parse_target
from spikewire.v1 import spike_train_service_pb2 as pb
from spikewire.wire.chunks import encode_spikes

UNAVAILABLE = grpc.StatusCode.UNAVAILABLE


@pytest.fixture
def client(fake):
    with spikewire.connect(fake.address) as connected:
        yield connected


@pytest.fixture
def sorting(client):
    return client.open("a/b")


@pytest.mark.parametrize("breaks", [[0], [1], [2], [5, 0, 0, 3], [1, 1, 1], [100]])
def test_the_spike_vector_survives_breaks(fake, sorting, breaks):
    fake.script.breaks = list(breaks)
    np.testing.assert_array_equal(sorting.to_spike_vector(), fake.script.sorting.to_spike_vector())
    requests = fake.script.asked("StreamSpikes")
    assert len(requests) == len(breaks) + 1
    assert {request.revision for request in requests} == {"r1"}
    received = np.cumsum([0] + [max(count - 1, 0) for count in breaks])
    if max(breaks) < 10:  # within the first segment every message has as many spikes
        assert [request.offset for request in requests] == (received * 40).tolist()


@pytest.mark.parametrize("breaks", [[0], [2], [3, 1, 4, 2], [100]])
def test_trains_survive_breaks(fake, sorting, breaks):
    fake.script.breaks = list(breaks)
    trains = sorting.get_unit_spike_trains([3, 0, 4], segment_index=1, use_cache=False)
    assert list(trains) == [3, 0, 4]
    for unit, train in trains.items():
        np.testing.assert_array_equal(train, fake.script.sorting.get_unit_spike_train(unit, 1))
    assert len(fake.script.asked("GetUnitSpikeTrains")) == len(breaks) + 1


def test_a_long_train_is_fetched_as_a_stream(fake, sorting):
    train = sorting.get_unit_spike_train(2, segment_index=0, use_cache=False)
    np.testing.assert_array_equal(train, fake.script.sorting.get_unit_spike_train(2, 0))
    assert len(train) > 50
    assert len(fake.script.asked("GetUnitSpikeTrain")) == 1
    assert len(fake.script.asked("GetUnitSpikeTrains")) == 1


def test_units_that_are_asked_for_twice_are_sent_once(fake, sorting):
    first, second, other = sorting.segments[0].get_unit_spike_trains([1, 1, 2])
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(other, fake.script.sorting.get_unit_spike_train(2, 0))
    (request,) = fake.script.asked("GetUnitSpikeTrains")
    assert list(request.units.unit_indices.values) == [1, 2]


def test_attempts_are_counted_since_the_last_progress(fake, sorting, monkeypatch):
    monkeypatch.setattr(transfer, "STREAM_ATTEMPTS", 2)
    fake.script.breaks = [2] * 6  # each time one message more
    assert len(sorting.to_spike_vector()) == 1000


def test_a_stream_without_progress_is_given_up(fake, sorting, monkeypatch):
    monkeypatch.setattr(transfer, "STREAM_ATTEMPTS", 3)
    fake.script.breaks = [4] + [0] * 50
    with pytest.raises(ServerUnavailableError, match=fake.address):
        sorting.to_spike_vector()
    assert len(fake.script.asked("StreamSpikes")) == 3


def test_other_content_is_never_spliced_in(fake, sorting):
    fake.script.breaks = [3]
    fake.script.revisions = ["r1", "r2"]
    with pytest.raises(RevisionMismatchError, match="open it again"):
        sorting.to_spike_vector()
    assert len(fake.script.asked("StreamSpikes")) == 2


def test_what_the_server_refuses_is_raised_at_once(fake, sorting):
    fake.script.failures = [RevisionMismatchError("changed")]
    with pytest.raises(RevisionMismatchError, match="changed"):
        sorting.to_spike_vector()
    assert len(fake.script.asked("StreamSpikes")) == 1


def chunk(samples, units=None, segment=0):
    samples = np.array(samples)
    units = np.zeros(len(samples), np.int64) if units is None else np.array(units)
    return pb.StreamSpikesResponse(chunks=encode_spikes(samples, units, segment))


@pytest.mark.parametrize(
    ("announced", "messages"),
    [
        (3, [chunk([1, 2])]),
        (1, [chunk([1, 2])]),
        (2**60, [chunk([1, 2])]),
        (4, [chunk([5, 6]), chunk([4, 5])]),
        (4, [chunk([5, 6], segment=1), chunk([7, 8])]),
        (2, [chunk([5, 6], segment=2)]),
        (2, [chunk([5, 6], units=[0, 5])]),
    ],
    ids=["short", "long", "boundless", "descending", "segments back", "no segment", "no unit"],
)
def test_lies_about_spikes_are_found_out(fake, sorting, announced, messages):
    fake.script.announced, fake.script.messages = announced, messages
    with pytest.raises(MalformedMessageError):
        sorting.to_spike_vector()


def test_columns_grow_with_what_has_come(monkeypatch):
    monkeypatch.setattr(columns, "_AHEAD", 4)
    grown = Columns([np.int64, np.int64], 11)
    for start in range(0, 11, 3):
        for column in grown.next(min(3, 11 - start)):
            column[...] = np.arange(start, min(start + 3, 11))
            assert column.base.size <= 2 * (start + 4)
    for column in grown.complete():
        assert column.tolist() == list(range(11))


def test_a_silent_server_is_given_up(fake):
    connection = Connection(parse_target(fake.address), stall_seconds=0.2)
    with Client(connection, None) as client:
        sorting = client.open("a")
        fake.script.silent_after = 2
        with pytest.raises(DeadlineExceededError, match="silent"):
            sorting.to_spike_vector()
        with pytest.raises(DeadlineExceededError, match="silent"):
            client.upload(fake.script.sorting, "b")


def test_a_slow_reader_is_not_a_silent_server(fake):
    connection = Connection(parse_target(fake.address), stall_seconds=0.05)
    request = pb.StreamSpikesRequest(name="a", revision="r1")
    with Client(connection, None):
        messages = connection.receive(STREAM_SPIKES, request)
        first = next(messages)
        fake.script.released.wait(0.2)
        assert pb.StreamSpikesResponse.FromString(first).revision == "r1"
        assert len(list(messages)) == 26


def test_calls_are_repeated_while_the_server_is_unavailable(fake, client):
    fake.script.failures = [UNAVAILABLE, UNAVAILABLE]
    assert client.open("a").remote_name == "a"
    assert len(fake.script.asked("GetSorting")) == 3


def test_calls_are_given_up_in_the_end(fake, client, monkeypatch):
    monkeypatch.setattr(calls, "CALL_ATTEMPTS", 3)
    fake.script.failures = [UNAVAILABLE] * 10
    with pytest.raises(ServerUnavailableError, match=fake.address):
        client.open("a")
    assert len(fake.script.asked("GetSorting")) == 3


@pytest.mark.parametrize("code", [grpc.StatusCode.INTERNAL, grpc.StatusCode.RESOURCE_EXHAUSTED])
def test_nothing_else_is_repeated(fake, client, code):
    fake.script.failures = [code, code]
    with pytest.raises(spikewire.SpikewireError):
        client.open("a")
    assert len(fake.script.asked("GetSorting")) == 1


def test_writes_under_an_etag_are_not_repeated(fake, client):
    sorting = client.open("a", mode="r+")
    fake.script.failures = [UNAVAILABLE]
    with pytest.raises(ServerUnavailableError):
        sorting.annotate(b=1)
    (request,) = fake.script.asked("SetAnnotation")
    assert (request.key, request.if_etag, request.HasField("if_etag")) == ("b", "", True)
    sorting.annotate(a=2)
    sorting.annotate(a=3)
    assert [request.if_etag for request in fake.script.asked("SetAnnotation")[1:]] == ["e1", "e2"]


def test_a_repeated_delete_takes_not_found_for_success(fake, client, not_found):
    fake.script.failures = [UNAVAILABLE, not_found]
    client.delete("a")
    fake.script.failures = [not_found]
    with pytest.raises(SortingNotFoundError):
        client.delete("a")


def test_an_upload_is_repeated_from_its_start(fake, client):
    fake.script.failures = [UNAVAILABLE]
    client.upload(fake.script.sorting, "b")
    *_, whole = fake.script.asked("pieces")
    assert sum(piece.HasField("header") for piece in whole) == 1
    assert sum(chunk.spike_count for piece in whole for chunk in piece.chunks) == 1000


def test_what_cannot_be_sent_ends_an_upload_with_its_own_error(fake, client):
    sorting = fake.script.sorting.clone()
    sorting.set_property("odd", np.array([object()] * 5, dtype=object))
    with pytest.raises(InvalidTypeError, match="object"):
        client.upload(sorting, "b")


def test_only_sortings_are_uploaded(client):
    with pytest.raises(InvalidTypeError, match="dict"):
        client.upload({}, "b")


def test_a_call_that_an_older_server_lacks_says_so(fake, sorting):
    fake.script.lacks = {"CountSpikes"}
    with pytest.raises(NotSupportedByServerError, match="CountSpikes"):
        sorting.count_total_num_spikes()


def test_pages_are_put_together(fake, client):
    assert [info.name for info in client.list(prefix="s", filter="*")] == ["s0", "s1", "s2"]
    assert {request.prefix for request in fake.script.asked("ListSortings")} == {"s"}


def test_what_a_newer_server_adds_is_ignored(client):
    assert client.info.features == {"telepathy"}
    assert client.info.limits["name_bytes"] == 512


def test_a_closed_client_says_so(fake, client):
    sorting = client.open("a")
    client.close()
    with pytest.raises(ServerUnavailableError, match="closed"):
        sorting.to_spike_vector()
    with pytest.raises(ServerUnavailableError, match="closed"):
        client.list()


def test_a_forked_child_has_a_channel_of_its_own(fake, client, monkeypatch):
    client.open("a")
    connection = client._connection
    channel_of_parent = connection._live.channel
    monkeypatch.setattr(channel.os, "getpid", lambda: -1)
    client.open("a")
    assert connection._live.channel is not channel_of_parent
    assert connection._of_parents[0].channel is channel_of_parent
    connection._of_parents[0].channel.close()
