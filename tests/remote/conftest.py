"""A server in this process that does what a script says: breaks, lies, falls silent."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent import futures

import grpc
import numpy as np
import pytest

from spikewire import NumpySorting
from spikewire.core.errors import SortingNotFoundError
from spikewire.remote import backoff
from spikewire.v1 import (
    server_service_pb2,
    server_service_pb2_grpc,
    sorting_service_pb2_grpc,
    spike_train_service_pb2_grpc,
)
from spikewire.v1 import sorting_pb2 as sorting_pb
from spikewire.v1 import sorting_service_pb2 as sorting_service_pb
from spikewire.v1 import spike_train_service_pb2 as trains_pb
from spikewire.wire.chunks import encode_spikes
from spikewire.wire.errors import status_of
from spikewire.wire.trains import encode_trains
from spikewire.wire.unit_ids import unit_ids_to_proto

STEP = 40  # spikes in one message
SEGMENTS = 2


class Script:
    """What goes wrong, and what was asked."""

    def __init__(self) -> None:
        rng = np.random.default_rng(7)
        self.sorting = NumpySorting.from_samples_and_labels(
            [np.sort(rng.integers(0, 10_000, 500)) for _ in range(SEGMENTS)],
            [rng.integers(0, 5, 500) for _ in range(SEGMENTS)],
            30_000.0,
        )
        # The revisions that the next answers state; then it is "r1".
        self.revisions: list[str] = []
        self.requests: list = []
        # How many messages each of the next streams gets out before the connection breaks.
        self.breaks: list[int] = []
        # How the next calls fail.
        self.failures: list[Exception | grpc.StatusCode] = []
        # Methods that the server does not know.
        self.lacks: set[str] = set()
        # Is called with a method before each answer of it.
        self.before = lambda method: None
        self.announced: int | None = None
        self.messages: list | None = None
        self.silent_after: int | None = None
        # How many spikes of a train an answer of a session holds at most.
        self.most: int | None = None
        self.released = threading.Event()

    def revision(self) -> str:
        return self.revisions.pop(0) if self.revisions else "r1"

    def asked(self, method: str) -> list:
        return [request for name, request in self.requests if name == method]


def window_of(request):
    """The two bounds of a request, None where it has none."""
    return [
        getattr(request, bound) if request.HasField(bound) else None
        for bound in ("start_frame", "end_frame")
    ]


class Scripted:
    """Behaviour that all services share."""

    def __init__(self, script: Script) -> None:
        self.script = script

    def begin(self, method, request, context):
        self.script.requests.append((method, request))
        if method in self.script.lacks:
            context.abort(grpc.StatusCode.UNIMPLEMENTED, "an older server")
        self.script.before(method)
        if not self.script.failures:
            return
        failure = self.script.failures.pop(0)
        if isinstance(failure, grpc.StatusCode):
            context.abort(failure, "as the script says")
        status = status_of(failure, "id")
        context.set_trailing_metadata(status.trailing_metadata)
        context.abort(status.code, status.details)

    def play(self, messages, context):
        script = self.script
        left = script.breaks.pop(0) if script.breaks else None
        for sent, message in enumerate(messages):
            if sent == left:
                context.abort(grpc.StatusCode.UNAVAILABLE, "the connection breaks")
            if sent == script.silent_after:
                script.released.wait(30)
            yield message
        if left is not None and left > sent:
            context.abort(grpc.StatusCode.UNAVAILABLE, "the connection breaks at the end")


class FakeTrains(Scripted, spike_train_service_pb2_grpc.SpikeTrainServiceServicer):
    def StreamSpikes(self, request, context):  # noqa: N802
        self.begin("StreamSpikes", request, context)
        yield from self.play(self.spikes(request), context)

    def spikes(self, request):
        script = self.script
        vector = script.sorting.to_spike_vector()
        if request.HasField("segment_index"):
            vector = vector[vector["segment_index"] == request.segment_index]
        count = len(vector) if script.announced is None else script.announced
        yield trains_pb.StreamSpikesResponse(revision=script.revision(), spike_count=count)
        if script.messages is not None:
            yield from script.messages
            return
        for segment in range(SEGMENTS):
            part = vector[vector["segment_index"] == segment]
            first = np.searchsorted(vector["segment_index"], segment)
            part = part[max(request.offset - first, 0) :]
            for start in range(0, len(part), STEP):
                piece = part[start : start + STEP]
                yield trains_pb.StreamSpikesResponse(
                    chunks=encode_spikes(piece["sample_index"], piece["unit_index"], segment)
                )

    def GetUnitSpikeTrains(self, request, context):  # noqa: N802
        self.begin("GetUnitSpikeTrains", request, context)
        yield from self.play(self.trains(request), context)

    def trains(self, request):
        script = self.script
        units = list(request.units.unit_indices.values)
        segment = request.segment_index
        trains = [
            (unit, script.sorting.get_unit_spike_train(unit, segment, *window_of(request)))
            for unit in units
        ]
        count = sum(len(train) for _, train in trains)
        yield trains_pb.GetUnitSpikeTrainsResponse(revision=script.revision(), spike_count=count)
        skip = request.offset
        for unit, train in trains:
            rest = train[skip:]
            skip = max(skip - len(train), 0)
            for start in range(0, len(rest), STEP):
                piece = rest[start : start + STEP]
                yield trains_pb.GetUnitSpikeTrainsResponse(
                    chunks=encode_trains([(unit, piece)], segment)
                )

    def GetUnitSpikeTrain(self, request, context):  # noqa: N802
        self.begin("GetUnitSpikeTrain", request, context)
        (unit,) = request.unit.unit_indices.values
        train = self.script.sorting.get_unit_spike_train(
            unit, request.segment_index, *window_of(request)
        )
        (chunk,) = encode_trains([(unit, train[:50])], request.segment_index)
        return trains_pb.GetUnitSpikeTrainResponse(
            chunk=chunk, revision=self.script.revision(), spike_count=len(train)
        )

    def CountSpikes(self, request, context):  # noqa: N802
        self.begin("CountSpikes", request, context)
        vector = self.script.sorting.to_spike_vector()
        spikes = vector[vector["segment_index"] == request.segment_index]
        counts = trains_pb.SegmentCounts(
            segment_index=request.segment_index,
            unit_counts=np.bincount(spikes["unit_index"], minlength=5).tolist(),
            last_sample=int(spikes["sample_index"][-1]),
        )
        return trains_pb.CountSpikesResponse(segments=[counts], revision=self.script.revision())

    def Query(self, requests, context):  # noqa: N802
        for request in requests:
            self.begin("Query", request, context)
            units = list(request.units.unit_indices.values)
            segment, window = request.segment_index, window_of(request)
            trains = [
                (unit, self.script.sorting.get_unit_spike_train(unit, segment, *window))
                for unit in units
            ]
            if self.script.silent_after is not None:
                self.script.released.wait(30)
            yield trains_pb.QueryResponse(
                chunks=encode_trains(
                    [(unit, train[: self.script.most]) for unit, train in trains],
                    request.segment_index,
                ),
                revision=self.script.revision(),
                spike_count=sum(len(train) for _, train in trains),
            )


class FakeSortings(Scripted, sorting_service_pb2_grpc.SortingServiceServicer):
    def GetSorting(self, request, context):  # noqa: N802
        self.begin("GetSorting", request, context)
        return sorting_service_pb.GetSortingResponse(sorting=self.describe(request.name))

    def describe(self, name):
        sorting = self.script.sorting
        return sorting_pb.Sorting(
            name=name,
            state=sorting_pb.SORTING_STATE_READY,
            revision="r1",
            sampling_frequency_hz=30_000.0,
            unit_ids=unit_ids_to_proto(sorting.unit_ids),
            segments=[sorting_pb.Segment()] * SEGMENTS,
            annotations=[{"key": "a", "etag": "e1"}],
        )

    def GetAnnotations(self, request, context):  # noqa: N802
        self.begin("GetAnnotations", request, context)
        return sorting_service_pb.GetAnnotationsResponse(
            annotations=[{"key": "a", "value": {"int_value": 1}, "etag": "e1"}]
        )

    def SetAnnotation(self, request, context):  # noqa: N802
        self.begin("SetAnnotation", request, context)
        return sorting_service_pb.SetAnnotationResponse(etag="e2")

    def DeleteSorting(self, request, context):  # noqa: N802
        self.begin("DeleteSorting", request, context)
        return sorting_service_pb.DeleteSortingResponse()

    def ListSortings(self, request, context):  # noqa: N802
        self.begin("ListSortings", request, context)
        page = int(request.page_token or 0)
        return sorting_service_pb.ListSortingsResponse(
            sortings=[{"name": f"s{page}"}], next_page_token=str(page + 1) if page < 2 else ""
        )

    def UploadSorting(self, requests, context):  # noqa: N802
        received = []
        try:
            for request in requests:
                received.append(request)
                if len(received) == 1:
                    self.begin("UploadSorting", request, context)
        finally:
            self.script.requests.append(("pieces", received))
        if self.script.silent_after is not None:
            self.script.released.wait(30)
        return sorting_service_pb.UploadSortingResponse(
            sorting=self.describe(received[0].header.name)
        )


class FakeServerInfo(Scripted, server_service_pb2_grpc.ServerServiceServicer):
    def GetServerInfo(self, request, context):  # noqa: N802
        self.begin("GetServerInfo", request, context)
        return server_service_pb2.GetServerInfoResponse(
            version="9.9", features=["telepathy"], limits={"name_bytes": 512}
        )


class FakeServer:
    """A running server; `script` says what it does."""

    def __init__(self) -> None:
        self.script = Script()
        self._server = grpc.server(futures.ThreadPoolExecutor(8))
        server_service_pb2_grpc.add_ServerServiceServicer_to_server(
            FakeServerInfo(self.script), self._server
        )
        sorting_service_pb2_grpc.add_SortingServiceServicer_to_server(
            FakeSortings(self.script), self._server
        )
        spike_train_service_pb2_grpc.add_SpikeTrainServiceServicer_to_server(
            FakeTrains(self.script), self._server
        )
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        self._server.start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def close(self) -> None:
        self.script.released.set()
        self._server.stop(None).wait()


@pytest.fixture
def fake() -> Iterator[FakeServer]:
    server = FakeServer()
    yield server
    server.close()


@pytest.fixture(autouse=True)
def no_long_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backoff, "_FIRST_SECONDS", 0.001)
    monkeypatch.setattr(backoff, "_LONGEST_SECONDS", 0.002)


@pytest.fixture
def not_found() -> SortingNotFoundError:
    return SortingNotFoundError("no such sorting")
