"""A full disk: the rig is told, nothing acknowledged is lost, and it goes on when there is room."""

from __future__ import annotations

import grpc
import numpy as np
import pytest

from spikewire.v1 import acquisition_service_pb2 as pb
from spikewire.v1 import spike_train_service_pb2 as trains_pb

resource = pytest.importorskip("resource")
pytestmark = pytest.mark.skipif(
    not hasattr(resource, "prlimit"), reason="only Linux can limit another process's files"
)


class Room:
    """How long a file of a server may get: beyond it writing fails as on a full disk."""

    def __init__(self, server) -> None:
        self._pid = server.pid

    def leave(self, size) -> None:
        _, hard = resource.prlimit(self._pid, resource.RLIMIT_FSIZE)
        resource.prlimit(self._pid, resource.RLIMIT_FSIZE, (size, hard))

    def clear(self) -> None:
        self.leave(resource.RLIM_INFINITY)


@pytest.fixture
def server(new_server):
    return new_server()


@pytest.fixture
def room(server):
    return Room(server)


def requests_of(first, count, batch):
    chance = np.random.default_rng(first)
    for sequence in range(first, first + count):
        samples = np.sort(chance.integers(0, 100_000, 2_000))
        chunk = batch(samples, chance.integers(0, 4, 2_000))
        yield pb.AppendSpikesRequest(sequence=sequence, chunks=[chunk])


def append(rig, name, requests):
    """Send records; return where the server is, and what ended the stream."""
    first = pb.AppendSpikesRequest(name=name, epoch=1)
    durable = 0
    try:
        for ack in rig.acquisition.AppendSpikes(iter([first, *requests]), timeout=30):
            durable = ack.next_sequence
    except grpc.RpcError as error:
        return durable, error
    return durable, None


def test_recording_goes_on_when_there_is_room(server, rig, rig_at, room, batch):
    rig = rig_at(server.address)
    rig.start("x")
    durable, error = append(rig, "x", requests_of(3, 20, batch))
    assert (durable, error) == (23, None)
    spikes = rig.get("x").spike_count

    room.leave(200_000)  # of the log and of the journal
    requests = list(requests_of(23, 200, batch))
    durable, error = append(rig, "x", requests)
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "cannot be written" in error.details()
    for _ in range(3):
        again, error = append(rig, "x", requests[durable - 23 :])
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert again >= durable
        durable = again
    # It is up, and reads.
    assert rig.get("x").next_sequence == durable
    request = trains_pb.StreamSpikesRequest(name="x")
    first = next(rig.trains.StreamSpikes(request))
    assert first.spike_count == spikes + 2_000 * (durable - 23)

    room.clear()
    last, error = append(rig, "x", requests[durable - 23 :])
    assert (last, error) == (223, None)
    server.restart()
    rig = rig_at(server.address)
    assert rig.get("x").spike_count == 220 * 2_000


def test_starting_and_finishing_on_a_full_disk(server, rig_at, room, batch):
    rig = rig_at(server.address)
    rig.start("x")
    append(rig, "x", requests_of(3, 20, batch))
    room.leave(8_000)  # more than the lines that the server has logged so far
    for call in (
        lambda: rig.start("y"),
        lambda: rig.start("x", resume=True),
        lambda: rig.finish("x", 1, 23),
        lambda: rig.acquisition.StartSegment(
            pb.StartSegmentRequest(name="x", epoch=1, sequence=23)
        ),
    ):
        with pytest.raises(grpc.RpcError) as caught:
            call()
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    room.leave(150_000)  # enough for the end of the log, too little for the spikes in the store
    with pytest.raises(grpc.RpcError) as caught:
        rig.finish("x", 1, 23)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert rig.get("x").finished
    room.clear()
    assert rig.finish("x", 1, 23).spike_count == 40_000
    assert rig.start("y").acquisition.next_sequence == 3
