"""Followers: the past and what comes in one stream, from anywhere, however slow they are."""

from __future__ import annotations

import asyncio
import queue
import uuid

import grpc
import numpy as np
import psutil
import pytest

from spikewire.v1 import acquisition_service_pb2 as pb
from spikewire.v1 import sorting_pb2
from spikewire.v1 import spike_train_service_pb2 as trains_pb
from spikewire_server.acquisition import following
from spikewire_server.acquisition.files import FileLogs
from spikewire_server.acquisition.follow_messages import (
    MAX_MESSAGE_BYTES,
    Messages,
    Position,
    next_message,
    pack_cursor,
    unpack_cursor,
)
from spikewire_server.acquisition.following import Followed, follow
from spikewire_server.acquisition.recording import Recording
from spikewire_server.acquisition.signal import Signal
from spikewire_server.workers import Workers

ID = "00" * 16


@pytest.fixture
def name():
    return f"following/{uuid.uuid4().hex}"


class Stream:
    """A rig's stream that a test feeds message by message."""

    def __init__(self, rig, name, epoch=1, sequence=3):
        self.sequence = sequence
        self._requests = queue.SimpleQueue()
        self._requests.put(pb.AppendSpikesRequest(name=name, epoch=epoch))
        self._call = rig.acquisition.AppendSpikes(iter(self._requests.get, None))
        next(self._call)

    def send(self, *chunks, **fields):
        """Send records and wait until they are on disk."""
        request = pb.AppendSpikesRequest(sequence=self.sequence, chunks=chunks, **fields)
        self.sequence += len(chunks) or 1
        self._requests.put(request)
        while next(self._call).next_sequence < self.sequence:
            pass

    def close(self):
        self._requests.put(None)
        list(self._call)


@pytest.fixture
def stream(rig, name):
    rig.start(name)
    opened = Stream(rig, name)
    yield opened
    opened.close()


def received(messages):
    """What messages say, record by record, checked to be without gap or repeat."""
    records = []
    for message in messages:
        kind = message.WhichOneof("record")
        if not message.chunks and kind is None:
            continue
        sequence = message.sequence
        for chunk in message.chunks:
            records.append((sequence, chunk.base_sample, chunk.spike_count))
            sequence += 1
        if kind is not None:
            records.append((sequence, kind))
    return records


def take(call, count):
    """The next messages that say something, as many as hold so many records."""
    messages, records = [], []
    while len(records) < count:
        messages.append(next(call))
        records = received(messages)
    assert len(records) == count
    return messages


def test_the_past_and_the_present_are_one_stream(rig, name, stream, batch):
    stream.send(batch([5], [0]), batch([6, 7], [0, 1]))
    call = rig.follow(name)
    assert received(take(call, 4)) == [
        (1, "units_added"),
        (2, "segment_started"),
        (3, 5, 1),
        (4, 6, 2),
    ]
    stream.send(batch([8], [0]))
    (message,) = take(call, 1)
    assert (message.sequence, message.first_spike_index) == (5, 3)
    assert message.commit_time.ToNanoseconds() > 0
    stream.send(sync_point=pb.SyncPoint(sample_index=10, time_seconds=1.0))
    stream.send(segment_started=pb.SegmentStarted(t_start_seconds=3.0))
    stream.send(units_added=pb.UnitsAdded(unit_ids=ids(9)))
    sync, segment, units = take(call, 3)
    assert (sync.sync_point.sample_index, sync.sync_point.time_seconds) == (10, 1.0)
    assert segment.segment_started.t_start_seconds == 3.0
    assert list(units.units_added.unit_ids.signed_ids.values) == [9]
    stream.close()
    rig.finish(name, 1, stream.sequence)
    assert received(call) == [(9, "finished")]


def ids(*values):
    return sorting_pb2.UnitIds(signed_ids=sorting_pb2.SignedIds(values=values))


def test_from_now_units_and_segments_come_first(rig, name, stream, batch):
    stream.send(batch([5], [0]))
    stream.send(units_added=pb.UnitsAdded(unit_ids=ids(9)))
    stream.send(batch([6], [0]))
    call = rig.follow(name, from_now=True)
    preamble = take(call, 3)
    assert received(preamble) == [(1, "units_added"), (2, "segment_started"), (4, "units_added")]
    now = next(call)
    assert (received([now]), now.sequence) == ([], 6)
    # Whoever lost the stream in between goes on from the cursor of the last message.
    for position, message in enumerate(preamble):
        again = rig.follow(name, cursor=message.cursor)
        assert received(take(again, 2 - position)) == received(preamble[position + 1 :])
        assert next(again) == now
    stream.send(batch([7], [0]))
    assert received(take(call, 1)) == [(6, 7, 1)]
    assert received(take(rig.follow(name, cursor=now.cursor), 1)) == [(6, 7, 1)]


def test_a_cursor_goes_on_behind_its_message(rig, name, stream, batch):
    stream.send(*[batch([k], [0]) for k in range(10)])
    messages = take(rig.follow(name, from_begin=True), 12)
    for position, message in enumerate(messages[:-1]):
        rest = received(messages[position + 1 :])
        assert received(take(rig.follow(name, cursor=message.cursor), len(rest))) == rest
    stream.send(batch([99], [0]))
    last = rig.follow(name, cursor=messages[-1].cursor)
    assert received(take(last, 1)) == [(13, 99, 1)]


def test_following_what_is_finished(rig, name, stream, batch):
    stream.send(batch([5], [0]))
    cursor = take(rig.follow(name), 3)[-1].cursor
    stream.close()
    rig.finish(name, 1, 4)
    assert received(rig.follow(name))[-1] == (4, "finished")
    assert received(rig.follow(name, cursor=cursor)) == [(4, "finished")]
    now = received(rig.follow(name, from_now=True))
    assert now == [(1, "units_added"), (2, "segment_started"), (4, "finished")]


@pytest.mark.parametrize("by", ["unit_ids", "unit_indices"])
def test_some_units_only(rig, name, stream, batch, by):
    selection = trains_pb.UnitSelection(unit_ids=ids(1, 3))
    if by == "unit_indices":
        selection = trains_pb.UnitSelection(unit_indices=trains_pb.UnitIndices(values=[1, 3]))
    stream.send(batch([5, 6, 7, 8], [0, 1, 3, 3]), batch([9], [2]), batch([10, 11], [1, 0]))
    call = rig.follow(name, units=selection)
    messages = take(call, 4)
    assert received(messages)[2:] == [(3, 6, 3), (4, 10, 1)]
    assert messages[-1].first_spike_index == 0
    stream.send(units_added=pb.UnitsAdded(unit_ids=ids(9)))
    stream.send(batch([12, 13], [4, 3]))
    assert received(take(call, 2)) == [(6, "units_added"), (7, 13, 1)]


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"cursor": b"x"}, grpc.StatusCode.INVALID_ARGUMENT),
        ({"cursor": bytes(33)}, grpc.StatusCode.INVALID_ARGUMENT),
        ({"cursor": pack_cursor(ID, Position(3))}, grpc.StatusCode.OUT_OF_RANGE),
        ({"units": trains_pb.UnitSelection(unit_ids=ids(77))}, grpc.StatusCode.NOT_FOUND),
        ({"name": "no such name"}, grpc.StatusCode.NOT_FOUND),
    ],
)
def test_what_cannot_be_followed(rig, name, stream, fields, code):
    with pytest.raises(grpc.RpcError) as caught:
        next(rig.follow(**({"name": name} | fields)))
    assert caught.value.code() is code


def test_a_cursor_behind_the_end_is_refused(rig, name, stream):
    cursor = pack_cursor(rig.get(name).acquisition_id, Position(9))
    with pytest.raises(grpc.RpcError) as caught:
        next(rig.follow(name, cursor=cursor))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_cursors_are_opaque_and_say_where(rig):
    position = Position(5, 7)
    assert unpack_cursor(pack_cursor(ID, position)) == {ID: position}


def test_too_many_followers_are_refused(new_server, rig_at, tmp_path):
    config = tmp_path / "settings.toml"
    config.write_text("max_followers = 3\n")
    rig = rig_at(new_server(flags=("--config", str(config))).address)
    rig.start("x")
    calls = [rig.follow("x") for _ in range(3)]
    for call in calls:
        take(call, 2)
    assert refusal(rig.follow("x")) is grpc.StatusCode.RESOURCE_EXHAUSTED
    calls[0].cancel()
    while (code := refusal(rig.follow("x"))) is not None:  # the server hears of it in a moment
        assert code is grpc.StatusCode.RESOURCE_EXHAUSTED


def refusal(call):
    """Why a stream does not begin; None if it does."""
    try:
        next(call)
    except grpc.RpcError as error:
        return error.code()
    return None


def test_a_follower_that_never_reads_costs_no_memory(new_server, rig_at, batch):
    server = new_server()
    rig = rig_at(server.address)
    rig.start("x")
    idle = [rig.follow("x") for _ in range(20)]
    for call in idle:
        take(call, 2)
    stream = Stream(rig, "x")
    rng = np.random.default_rng(0)
    chunk = batch(np.arange(20_000), rng.integers(0, 4, 20_000))
    stream.send(*[chunk] * 50)
    process = psutil.Process(server.pid)
    before = process.memory_info().rss
    for _ in range(30):
        stream.send(*[chunk] * 50)  # 2 MB each: kept for each follower it were 1.2 GB
    assert process.memory_info().rss - before < 150 * 1024 * 1024
    assert stream.sequence - 1 == rig.get("x").next_sequence - 1 == 1552
    # One that wakes up gets all of it.
    last = 0
    while last < 1552:
        message = next(idle[0])
        assert message.sequence == last + 1 or not last
        last = message.sequence + len(message.chunks) - 1
    for call in idle:
        call.cancel()
    stream.close()


@pytest.fixture
def recording(tmp_path, new_maker):
    """A recording in memory's reach, and a way to add batches to it."""
    logs, maker = FileLogs(tmp_path / "logs"), new_maker()
    made = Recording(logs.create(ID, maker.first()))

    def add(count=1, size=10):
        records = [maker.spikes_of(np.arange(size), np.arange(size) % 4) for _ in range(count)]
        assert logs.commit({made.log: records}) == {}

    made.add = add
    return made


class LocalFeed:
    """What `follow` needs of an acquisition."""

    def __init__(self, recording):
        self.recording, self.messages, self.changed = recording, Messages(recording), Signal()

    def check_waiting(self):
        pass


def test_a_message_holds_what_is_pending_up_to_its_limit(recording):
    recording.add(count=30, size=20_000)
    first = next_message(recording, 3)
    assert MAX_MESSAGE_BYTES * 0.9 < len(first.data) < MAX_MESSAGE_BYTES + 100
    assert first.is_full
    last = next_message(recording, first.stop)
    assert (last.stop, last.is_full) == (33, False)
    assert len(pb.FollowSpikesResponse.FromString(last.data).chunks) == 33 - first.stop


def test_a_batch_beyond_the_limit_is_a_message_alone(recording):
    recording.add(count=2, size=262_144)
    recording.add(count=1, size=10)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("spikewire_server.acquisition.follow_messages.MAX_MESSAGE_BYTES", 1000)
        assert [next_message(recording, first).stop for first in (3, 4, 5)] == [4, 5, 6]


def test_followers_at_the_same_place_share_their_messages(recording):
    async def run():
        feed, workers = LocalFeed(recording), Workers(1)
        followers = [follow([Followed(feed, Position(), None)], workers) for _ in range(3)]
        for count in (5, 1, 2):
            recording.add(count)
            feed.changed.fire()
            if count == 5:
                first = [[await anext(follower) for _ in range(3)] for follower in followers]
                assert all(messages == first[0] for messages in first)
            else:
                sent = [await anext(follower) for follower in followers]
                assert all(message is sent[0] for message in sent)
        workers.close()

    asyncio.run(run())


def test_what_is_kept_of_messages_is_bounded(recording):
    messages = Messages(recording)
    for first in range(3, 100):
        recording.add()
        messages.keep(first, next_message(recording, first))
    assert messages.kept(3) is None
    assert messages.kept(99) is not None
    assert len(messages._kept) <= 16


def test_a_message_that_could_be_longer_now_is_made_anew(recording):
    messages = Messages(recording)
    recording.add()
    messages.keep(3, next_message(recording, 3))
    assert messages.kept(3) is not None
    recording.add()
    assert messages.kept(3) is None


def test_who_hears_nothing_gets_heartbeats(recording, monkeypatch):
    monkeypatch.setattr(following, "HEARTBEAT_SECONDS", 0.0)

    async def run():
        feed, workers = LocalFeed(recording), Workers(1)
        recording.add()
        follower = follow([Followed(feed, Position(), None)], workers)
        messages = [pb.FollowSpikesResponse.FromString(await anext(follower)) for _ in range(5)]
        workers.close()
        return messages

    *first, heartbeat, again = asyncio.run(run())
    assert received(first) == [(1, "units_added"), (2, "segment_started"), (3, 0, 10)]
    assert received([heartbeat]) == []
    assert (heartbeat.sequence, heartbeat.first_spike_index) == (4, 10)
    assert heartbeat.cursor == first[-1].cursor
    assert again == heartbeat


def test_a_server_that_stops_sends_followers_and_writers_away(new_server, rig_at, batch):
    server = new_server()
    rig = rig_at(server.address)
    rig.start("x")
    stream = Stream(rig, "x")
    stream.send(batch([5], [0]))
    call = rig.follow("x")
    cursor = take(call, 3)[-1].cursor
    assert server.stop() == 0
    for waiting in (call, stream._call):
        with pytest.raises(grpc.RpcError) as caught:
            next(waiting)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    server.start()
    rig = rig_at(server.address)
    call = rig.follow("x", cursor=cursor)
    again = Stream(rig, "x", sequence=4)
    again.send(batch([6], [0]))
    assert received(take(call, 1)) == [(4, 6, 1)]
    again.close()
