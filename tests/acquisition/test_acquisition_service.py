"""Recording over the wire: beginning, resuming, appending, reading, finishing, deleting."""

from __future__ import annotations

import threading
import time
import uuid
from itertools import pairwise

import grpc
import numpy as np
import pytest
from google.rpc import error_details_pb2, status_pb2

from spikewire.v1 import acquisition_service_pb2 as pb
from spikewire.v1 import dump_pb2, sorting_pb2, sorting_service_pb2
from spikewire.v1 import spike_train_service_pb2 as trains_pb
from spikewire.v1.spike_train_pb2 import SpikeChunk
from spikewire.wire.chunks import decode_spikes
from spikewire.wire.values import value_to_proto


@pytest.fixture
def name():
    return f"acquisition/{uuid.uuid4().hex}"


@pytest.fixture
def refused():
    """`with refused("REASON"):` a call fails for this reason; yields its metadata."""

    class Refused:
        def __init__(self, reason, code=None):
            self.reason, self.code, self.metadata = reason, code, {}

        def __enter__(self):
            return self

        def __exit__(self, kind, error, traceback):
            assert isinstance(error, grpc.RpcError), f"{self.reason} was expected"
            details = dict(error.trailing_metadata())["grpc-status-details-bin"]
            info = error_details_pb2.ErrorInfo()
            assert status_pb2.Status.FromString(details).details[0].Unpack(info)
            assert info.reason.removeprefix("ERROR_REASON_") == self.reason, error.details()
            self.metadata.update(info.metadata)
            return True

    return Refused


def requests_of(first, *chunks):
    return [
        pb.AppendSpikesRequest(sequence=sequence, chunks=[chunk])
        for sequence, chunk in enumerate(chunks, first)
    ]


def spikes_of(rig, name, revision="", **window):
    """Samples and unit indices of all segments, as StreamSpikes gives them."""
    found = []
    request = trains_pb.StreamSpikesRequest(name=name, revision=revision, **window)
    for message in rig.trains.StreamSpikes(request):
        for chunk in message.chunks:
            samples = np.empty(chunk.spike_count, np.int64)
            units = np.empty(chunk.spike_count, np.int64)
            decode_spikes(chunk, samples, units, 1000)
            segments = [chunk.segment_index] * chunk.spike_count
            found += zip(segments, samples.tolist(), units.tolist(), strict=True)
    return found


def describe(rig, name):
    return rig.sortings.GetSorting(sorting_service_pb2.GetSortingRequest(name=name)).sorting


def test_what_came_is_what_followers_get_byte_for_byte(rig, name):
    """The handlers that run take and give bytes; those of the generated code are overruled."""
    # Two spikes of unit 0, their number in more bytes than protobuf would write it in.
    chunk = b"\x18\x82\x00" + b"\x10\x0a"
    rig.start(name)
    request = b"\x0a" + bytes([len(chunk)]) + chunk
    assert pb.AppendSpikesRequest.FromString(request).SerializeToString() != request
    append = rig.channel.stream_stream("/spikewire.v1.AcquisitionService/AppendSpikes")
    first = pb.AppendSpikesRequest(name=name, epoch=1, sequence=3).SerializeToString()
    (*_, ack) = append(iter([first + request]))
    assert pb.AppendSpikesResponse.FromString(ack).spike_count == 2
    rig.finish(name, 1, 4)
    follow = rig.channel.unary_stream("/spikewire.v1.AcquisitionService/FollowSpikes")
    messages = list(follow(pb.FollowSpikesRequest(name=name).SerializeToString()))
    assert sum(message.startswith(request) for message in messages) == 1
    assert spikes_of(rig, name) == [(0, 5, 0), (0, 5, 0)]


def test_start_is_idempotent_by_request_id(rig, name, refused):
    first = rig.start(name, request_id="one", t_start_seconds=1.5)
    again = rig.start(name, request_id="one", t_start_seconds=1.5)
    assert again == first
    acquisition = first.acquisition
    assert (first.epoch, acquisition.next_sequence, acquisition.spike_count) == (1, 3, 0)
    assert list(acquisition.unit_ids.signed_ids.values) == [0, 1, 2, 3]
    assert [segment.t_start_seconds for segment in acquisition.segments] == [1.5]
    assert abs(acquisition.start_time.ToSeconds() - time.time()) < 60
    with refused("SORTING_EXISTS") as refusal:
        rig.start(name, request_id="two")
    assert refusal.metadata["name"] == name


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"name": "/x"}, "INVALID_NAME"),
        ({"request_id": ""}, "INVALID_ARGUMENT"),
        ({"request_id": "x" * 201}, "INVALID_ARGUMENT"),
        ({"sampling_frequency_hz": 0.0}, "INVALID_ARGUMENT"),
        ({"sampling_frequency_hz": float("nan")}, "INVALID_ARGUMENT"),
        ({"t_start_seconds": float("inf")}, "INVALID_ARGUMENT"),
        ({"ids": [1, 1]}, "INVALID_VALUE"),
    ],
)
def test_what_cannot_be_started(rig, name, refused, fields, reason):
    with refused(reason):
        rig.start(**({"name": name} | fields))
    with refused("SORTING_NOT_FOUND"):
        rig.get(name)


def test_units_may_come_later(rig, name, batch):
    started = rig.acquisition.StartAcquisition(
        pb.StartAcquisitionRequest(name=name, request_id="x", sampling_frequency_hz=1.0)
    )
    assert started.acquisition.next_sequence == 2
    added = pb.AppendSpikesRequest(sequence=2)
    added.units_added.unit_ids.string_ids.values.extend(["a", "b"])
    rig.append(name, 1, [added, *requests_of(3, batch([5], [1]))])
    assert list(describe(rig, name).unit_ids.string_ids.values) == ["a", "b"]
    assert spikes_of(rig, name) == [(0, 5, 1)]


def test_acknowledged_records_are_there(rig, name, batch):
    rig.start(name)
    acks = rig.append(name, 1, requests_of(3, batch([5, 9], [0, 1]), batch([1, 5], [2, 3])))
    assert (acks[-1].next_sequence, acks[-1].spike_count) == (5, 4)
    assert all(a.next_sequence <= b.next_sequence for a, b in pairwise(acks))
    sorting = describe(rig, name)
    assert sorting.state == sorting_pb2.SORTING_STATE_RECORDING
    assert sorting.origin == sorting_pb2.SORTING_ORIGIN_ACQUISITION
    assert sorting.spike_count == 4
    assert sorting.revision == f"{rig.get(name).acquisition_id}.4"
    assert spikes_of(rig, name) == [(0, 1, 2), (0, 5, 0), (0, 5, 3), (0, 9, 1)]


def test_a_repeat_is_acknowledged_at_once(rig, name, batch):
    rig.start(name)
    requests = requests_of(3, batch([5], [0]), batch([6], [0]))
    rig.append(name, 1, requests)
    acks = rig.append(name, 1, requests)
    assert acks[-1].next_sequence == 5
    assert rig.get(name).spike_count == 2


def test_a_stream_that_only_opens_says_where_to_go_on(rig, name, batch):
    rig.start(name)
    rig.append(name, 1, requests_of(3, batch([5], [0])))
    (ack,) = rig.append(name, 1, [])
    assert (ack.next_sequence, ack.spike_count) == (4, 1)


def test_what_came_before_a_mistake_is_acknowledged(rig, name, batch):
    rig.start(name)
    good = requests_of(3, batch([5], [0]), batch([6], [0]))
    gap = requests_of(7, batch([7], [0]))
    first = pb.AppendSpikesRequest(name=name, epoch=1)
    call = rig.acquisition.AppendSpikes(iter([first, *good, *gap]))
    acks = []
    with pytest.raises(grpc.RpcError) as caught:
        acks.extend(iter(call))
    assert caught.value.code() is grpc.StatusCode.OUT_OF_RANGE
    assert acks == [] or acks[-1].next_sequence <= 5
    assert rig.get(name).next_sequence == 5


def test_every_mistake_has_its_reason(rig, name, batch, refused):
    with refused("SORTING_NOT_FOUND"):
        rig.append(name, 1, requests_of(3, batch([5], [0])))
    rig.start(name)
    rig.append(name, 1, requests_of(3, batch([5], [0])))
    with refused("SEQUENCE_GAP") as refusal:
        rig.append(name, 1, requests_of(5, batch([5], [0])))
    assert (refusal.metadata["expected"], refusal.metadata["actual"]) == ("4", "5")
    with refused("RECORD_CONFLICT") as refusal:
        rig.append(name, 1, requests_of(3, batch([5], [1])))
    assert refusal.metadata["sequence"] == "3"
    with refused("INVALID_ARGUMENT"):
        rig.append(name, 1, requests_of(4, batch([5], [17])))
    with refused("INVALID_ARGUMENT"):
        rig.append(name, 9, [])
    with refused("SEGMENT_OUT_OF_RANGE"):
        rig.append(name, 1, requests_of(4, batch([5], [0], segment=1)))
    mixed = requests_of(4, batch([5], [0]))
    mixed[0].segment_started.SetInParent()
    with refused("INVALID_ARGUMENT"):
        rig.append(name, 1, mixed)
    assert rig.get(name).next_sequence == 4


def test_ten_thousand_empty_batches_are_refused(rig, name, refused):
    rig.start(name)
    with refused("INVALID_ARGUMENT"):
        rig.append(name, 1, requests_of(3, *[SpikeChunk()] * 10_000))
    assert rig.get(name).next_sequence == 3


def test_bytes_that_are_no_message_are_refused(rig, name, refused):
    append = rig.channel.stream_stream("/spikewire.v1.AcquisitionService/AppendSpikes")
    with refused("INVALID_ARGUMENT"):
        list(append(iter([b"\xff\xff\xff\xff"])))


def test_segments(rig, name, batch):
    rig.start(name)
    response = rig.acquisition.StartSegment(
        pb.StartSegmentRequest(
            name=name,
            epoch=1,
            sequence=3,
            segment_started=pb.SegmentStarted(t_start_seconds=60.0),
        )
    )
    assert response.next_sequence == 4
    started = pb.AppendSpikesRequest(sequence=4, segment_started=pb.SegmentStarted())
    chunks = requests_of(5, batch([9], [0], segment=2), batch([3], [1]), batch([1], [2], 1))
    rig.append(name, 1, [started, *chunks])
    segments = describe(rig, name).segments
    assert [s.t_start_seconds if s.HasField("t_start_seconds") else None for s in segments] == [
        None,
        60.0,
        None,
    ]
    assert spikes_of(rig, name) == [(0, 3, 1), (1, 1, 2), (2, 9, 0)]


def test_another_writer_ends_the_one_before(rig, name, batch, refused):
    rig.start(name)
    # The stream stays open and is idle when it is fenced.
    idle = rig.acquisition.AppendSpikes(open_stream(name))
    assert next(idle).next_sequence == 3
    resumed = rig.start(name, resume=True)
    assert (resumed.epoch, resumed.acquisition.next_sequence) == (2, 3)
    with refused("WRITER_FENCED") as refusal:
        next(idle)
    assert (refusal.metadata["name"], refusal.metadata["epoch"]) == (name, "2")
    with refused("WRITER_FENCED"):
        rig.append(name, 1, requests_of(3, batch([5], [0])))
    with refused("WRITER_FENCED"):
        rig.finish(name, 1, 3)
    rig.append(name, 2, requests_of(3, batch([5], [0])))


def open_stream(name, epoch=1):
    """A stream of requests that never ends, and waits for nobody when the test does."""
    yield pb.AppendSpikesRequest(name=name, epoch=epoch)
    threading.Event().wait(30)


def test_a_retried_start_does_not_fence(rig, name, refused):
    rig.start(name, request_id="one")
    rig.start(name, resume=True)
    with refused("WRITER_FENCED"):
        rig.start(name, request_id="one")


def test_what_is_not_recorded_cannot_be_resumed(rig, name, refused):
    with refused("SORTING_NOT_FOUND"):
        rig.start(name, resume=True)
    rig.start(name)
    rig.finish(name, 1, 3)
    with refused("NOT_RECORDING"):
        rig.start(name, resume=True)
    with refused("NOT_RECORDING"):
        rig.append(name, 1, [])
    with refused("SORTING_EXISTS"):
        rig.start(name)


def test_finishing_seals_and_keeps_the_revision(rig, name, batch, refused):
    annotation = dump_pb2.ValueEntry(key="rat", value=value_to_proto("7"))
    rig.start(name, annotations=[annotation])
    rng = np.random.default_rng(1)
    chunks = [
        batch(np.sort(rng.integers(0, 10_000, 300)), rng.integers(0, 4, 300)) for _ in range(20)
    ]
    rig.append(name, 1, requests_of(3, *chunks))
    before, live = describe(rig, name), spikes_of(rig, name)

    with refused("SEQUENCE_GAP"):
        rig.finish(name, 1, 24)
    with refused("RECORD_CONFLICT"):
        rig.finish(name, 1, 22)
    sorting = rig.finish(name, 1, 23)
    assert sorting.state == sorting_pb2.SORTING_STATE_READY
    assert sorting.origin == sorting_pb2.SORTING_ORIGIN_STORE
    assert sorting.revision == before.revision
    assert sorting.spike_count == 6000
    assert [info.key for info in sorting.annotations] == ["rat"]
    assert rig.finish(name, 1, 23) == sorting
    with refused("NOT_RECORDING"):
        rig.finish(name, 1, 22)
    assert spikes_of(rig, name) == spikes_of(rig, name, before.revision) == live
    assert rig.get(name).finished


def test_earlier_revisions_are_pinned(rig, name, batch, refused):
    rig.start(name)
    units = pb.AppendSpikesRequest(sequence=4)
    units.units_added.unit_ids.signed_ids.values.append(77)
    rig.append(
        name,
        1,
        [*requests_of(3, batch([5], [0])), units, *requests_of(5, batch([1], [4]))],
    )
    acquisition_id = rig.get(name).acquisition_id
    for finished in (False, True):
        assert spikes_of(rig, name, f"{acquisition_id}.2") == []
        assert spikes_of(rig, name, f"{acquisition_id}.4") == [(0, 5, 0)]
        assert spikes_of(rig, name, f"{acquisition_id}.5") == [(0, 1, 4), (0, 5, 0)]
        counts = [
            list(
                rig.trains.CountSpikes(
                    trains_pb.CountSpikesRequest(name=name, revision=f"{acquisition_id}.{number}")
                )
                .segments[0]
                .unit_counts
            )
            for number in (3, 4, 5)
        ]
        assert counts == [[1, 0, 0, 0], [1, 0, 0, 0, 0], [1, 0, 0, 0, 1]]
        for wrong in (f"{acquisition_id}.6", f"{acquisition_id}.0", f"{'00' * 16}.3", "x"):
            with refused("REVISION_MISMATCH"):
                spikes_of(rig, name, wrong)
        if not finished:
            rig.finish(name, 1, 6)


def test_a_log_that_expired(new_server, rig_at, batch, refused):
    server = new_server()
    rig = rig_at(server.address)
    rig.start("x")
    rig.append("x", 1, requests_of(3, batch([5], [0]), batch([6], [0])))
    last = rig.finish("x", 1, 5).revision
    cursor = next(rig.follow("x")).cursor
    (log,) = (server.store / "acquisitions").glob("*.log")
    log.unlink()
    server.restart()
    assert len(spikes_of(rig, "x", last)) == 2
    with refused("REVISION_EXPIRED"):
        spikes_of(rig, "x", last.replace(".4", ".3"))
    with refused("REVISION_EXPIRED"):
        list(rig.follow("x", cursor=cursor))


def test_deleting_ends_writers_and_followers(rig, name, batch, refused):
    rig.start(name)
    rig.append(name, 1, requests_of(3, batch([5], [0])))
    writer = rig.acquisition.AppendSpikes(open_stream(name))
    assert next(writer).next_sequence == 4
    follower = rig.follow(name)
    assert [len(next(follower).chunks) for _ in range(3)] == [0, 0, 1]
    with refused("REVISION_MISMATCH"):
        delete(rig, name, if_revision="x")
    delete(rig, name)
    with refused("SORTING_NOT_FOUND"):
        next(writer)
    with refused("SORTING_NOT_FOUND"):
        next(follower)
    with refused("SORTING_NOT_FOUND"):
        spikes_of(rig, name)
    assert rig.start(name).acquisition.next_sequence == 3


def delete(rig, name, **fields):
    rig.sortings.DeleteSorting(sorting_service_pb2.DeleteSortingRequest(name=name, **fields))


def test_a_name_that_is_taken_is_not_recorded(rig, name, refused):
    rig.start(name)
    rig.finish(name, 1, 3)
    with refused("SORTING_EXISTS"):
        rig.start(name)


def test_listing_shows_what_is_recorded(rig, name):
    rig.start(name)
    request = sorting_service_pb2.ListSortingsRequest(prefix=name)
    (sorting,) = rig.sortings.ListSortings(request).sortings
    assert sorting.state == sorting_pb2.SORTING_STATE_RECORDING
    assert sorting.sampling_frequency_hz == 30_000.0


def test_a_damaged_log_is_told_and_hinders_nobody(new_server, rig_at, batch, refused):
    server = new_server()
    rig = rig_at(server.address)
    for name in ("damaged", "whole"):
        rig.start(name)
        rig.append(name, 1, requests_of(3, batch([5], [0])))
        rig.append(name, 1, requests_of(4, batch([6], [0])))
    (log,) = (server.store / "acquisitions").glob(f"{rig.get('damaged').acquisition_id}.log")
    server.stop()
    log.with_suffix(".rows").unlink()
    content = bytearray(log.read_bytes())
    content[len(content) // 2] ^= 0x40
    log.write_bytes(content)
    server.start()
    rig = rig_at(server.address)
    assert rig.append("whole", 1, requests_of(5, batch([7], [0])))[-1].next_sequence == 6
    sorting = describe(rig, "damaged")
    assert sorting.state == sorting_pb2.SORTING_STATE_BROKEN
    assert "damaged at byte" in sorting.state_detail
    assert sorting.origin == sorting_pb2.SORTING_ORIGIN_ACQUISITION
    with refused("SORTING_BROKEN"):
        spikes_of(rig, "damaged")
    with refused("NOT_RECORDING"):
        rig.append("damaged", 1, requests_of(5, batch([7], [0])))
    with refused("SORTING_EXISTS"):
        rig.start("damaged")
    delete(rig, "damaged")
    rig.start("damaged")


def test_a_start_is_retried_after_a_restart(new_server, rig_at, batch, refused):
    server = new_server()
    rig = rig_at(server.address)
    first = rig.start("x", request_id="one")
    rig.append("x", 1, requests_of(3, batch([5], [0])))
    server.restart()
    rig = rig_at(server.address)
    again = rig.start("x", request_id="one")
    assert again.epoch == first.epoch
    assert again.acquisition.acquisition_id == first.acquisition.acquisition_id
    assert again.acquisition.start_time == first.acquisition.start_time
    assert again.acquisition.next_sequence == 4
    with refused("SORTING_EXISTS"):
        rig.start("x", request_id="two")


def test_a_view_of_what_is_recorded(rig, name, batch):
    rig.start(name)
    rig.append(name, 1, requests_of(3, batch([5, 6], [0, 1])))
    reference = dump_pb2.Value(sorting_value=dump_pb2.SortingReference(name=name))
    kwargs = {"parent_sorting": reference, "unit_ids": value_to_proto([1])}
    dump = dump_pb2.DumpDict(
        class_name="spikeinterface.core.unitsselectionsorting.UnitsSelectionSorting",
        kwargs=[dump_pb2.ValueEntry(key=key, value=value) for key, value in kwargs.items()],
    )
    rig.sortings.RegisterSorting(
        sorting_service_pb2.RegisterSortingRequest(name=f"{name}-view", dump=dump)
    )
    assert spikes_of(rig, f"{name}-view") == [(0, 6, 0)]
    rig.append(name, 1, requests_of(4, batch([1], [1])))
    assert spikes_of(rig, f"{name}-view") == [(0, 1, 0), (0, 6, 0)]


def test_windows_read_only_what_overlaps(rig, name, batch):
    rig.start(name)
    chunks = [batch(np.arange(100) + 100 * k, np.arange(100) % 4) for k in range(20)]
    rig.append(name, 1, requests_of(3, *chunks[::-1]))
    found = spikes_of(rig, name, start_frame=150, end_frame=460)
    assert [sample for _, sample, _ in found] == list(range(150, 460))
    train = rig.trains.GetUnitSpikeTrain(
        trains_pb.GetUnitSpikeTrainRequest(
            name=name,
            unit=trains_pb.UnitSelection(unit_indices=trains_pb.UnitIndices(values=[1])),
            start_frame=150,
            end_frame=160,
        )
    )
    assert train.spike_count == 2
