"""A live acquisition does whatever a sorting does; its batches came late and interleaved."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import spikewire
from spikewire.testing import SortingContract
from spikewire.testing.reading import ReadingContract
from spikewire.v1 import acquisition_service_pb2 as pb
from spikewire.wire.chunks import encode_spikes
from spikewire.wire.unit_ids import unit_ids_to_proto
from spikewire_server.acquisition.append_messages import BatchChecker, split
from spikewire_server.acquisition.files import FileLogs
from spikewire_server.acquisition.live_sorting import LiveSorting
from spikewire_server.acquisition.record import Kind, Record, checksum
from spikewire_server.acquisition.recording import Recording

NUMBERS = itertools.count()


def late_batches(truth):
    """The spikes of a sorting in small batches, the last ones first, segments in turn."""
    pieces = []
    for segment in range(truth.get_num_segments()):
        spikes = truth.to_spike_vector(concatenated=False)[segment]
        # Cut between samples: spikes of one sample keep their order only within a batch.
        cuts = np.flatnonzero(np.diff(spikes["sample_index"])) + 1
        # Each read decodes all batches: a hundred meet whatever thousands would.
        for piece in np.split(spikes, cuts[:: max(2, len(cuts) // 100)]):
            pieces += encode_spikes(piece["sample_index"], piece["unit_index"], segment)
    return pieces[::-1][::2] + pieces[::-1][1::2]


class TestLiveSorting(ReadingContract):
    """The sorting that the server makes of a log."""

    def make_sorting(self, truth, folder):
        requests = [
            (Kind.STARTED, pb.StartAcquisitionRequest(name="x", sampling_frequency_hz=30_000.0)),
            (Kind.UNITS, pb.UnitsAdded(unit_ids=unit_ids_to_proto(truth.unit_ids))),
            *[(Kind.SEGMENT, pb.SegmentStarted())] * truth.get_num_segments(),
        ]
        records = [
            Record(kind, number or 1, data, checksum(kind, data), 0)
            for number, (kind, data) in enumerate(
                (kind, message.SerializeToString()) for kind, message in requests
            )
        ]
        logs = FileLogs(folder)
        log = logs.create(f"{next(NUMBERS):032x}", records)
        recording = Recording(log)
        for chunk in late_batches(truth):
            payload = pb.AppendSpikesRequest(chunks=[chunk]).SerializeToString()
            span = BatchChecker().check(split(payload)[0][0], recording.roster)
            logs.commit({log: [record_of(recording, payload, span)]})
        return LiveSorting(recording, recording.last_sequence)


def record_of(recording, payload, span):
    records = recording.log.records
    crc = checksum(Kind.SPIKES, payload)
    return Record(
        Kind.SPIKES,
        records.next_sequence,
        payload,
        crc,
        records.spike_count,
        span.spike_count,
        span.segment_index,
        span.min_sample,
        span.max_sample,
    )


class RemoteContract(SortingContract):
    """An acquisition as a client sees it."""

    def record(self, truth, server, rig_at):
        """Record a sorting; return the client, the name, and what finishing takes."""
        rig, name = rig_at(server.address), f"live-contract/{next(NUMBERS)}"
        started = rig.acquisition.StartAcquisition(
            pb.StartAcquisitionRequest(
                name=name,
                request_id=name,
                sampling_frequency_hz=truth.sampling_frequency,
                unit_ids=unit_ids_to_proto(truth.unit_ids),
            )
        )
        requests = []
        for _ in range(1, truth.get_num_segments()):
            requests.append(pb.AppendSpikesRequest(segment_started=pb.SegmentStarted()))
        requests += [pb.AppendSpikesRequest(chunks=[chunk]) for chunk in late_batches(truth)]
        for sequence, request in enumerate(requests, started.acquisition.next_sequence):
            request.sequence = sequence
        rig.append(name, started.epoch, requests)
        return rig, name, rig.get(name).next_sequence


class TestRemoteLiveSorting(RemoteContract):
    """While it is recorded."""

    @pytest.fixture
    def sorting(self, truth, server, rig_at):
        _, name, _ = self.record(truth, server, rig_at)
        with spikewire.connect(server.address) as client:
            yield client.open(name)


class TestSealedSorting(RemoteContract):
    """When it is finished."""

    @pytest.fixture
    def sorting(self, truth, server, rig_at):
        rig, name, next_sequence = self.record(truth, server, rig_at)
        rig.finish(name, 1, next_sequence)
        with spikewire.connect(server.address) as client:
            yield client.open(name)
