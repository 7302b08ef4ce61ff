"""Who may write, and what comes next: repeats, gaps, conflicts, fences, lost groups, restarts."""

from __future__ import annotations

import itertools
from collections import deque

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from spikewire.core.errors import (
    ContractError,
    InvalidValueError,
    LimitExceededError,
    MalformedMessageError,
    NotRecordingError,
    RecordConflictError,
    SegmentIndexError,
    SequenceGapError,
    SortingNotFoundError,
    StoreUnwritableError,
    WriterFencedError,
)
from spikewire.v1 import acquisition_service_pb2 as pb
from spikewire.wire.errors import metadata_of
from spikewire_server.acquisition.append_messages import BatchChecker, split
from spikewire_server.acquisition.files import FileLogs
from spikewire_server.acquisition.live import LiveAcquisition
from spikewire_server.acquisition.record import Kind
from spikewire_server.acquisition.recording import Recording

ID = "00" * 16
NUMBERS = itertools.count()


class ManualCommitter:
    """Commits when it is told to, or fails."""

    def __init__(self, storage) -> None:
        self.storage = storage
        self.submitted = deque()

    def submit(self, log, records) -> None:
        self.submitted.extend(records)

    def reset(self, log) -> None:
        self.submitted.clear()

    def commit(self, live) -> None:
        if self.submitted:
            records, self.submitted = list(self.submitted), deque()
            assert self.storage.commit({live.recording.log: records}) == {}
            live.committed(None)

    def fail(self, live) -> None:
        live.committed(OSError(28, "No space left on device"))


class Writer:
    """An acquisition in a folder, and ways to write to it."""

    def __init__(self, folder, maker) -> None:
        self.folder = folder
        self.storage = FileLogs(folder)
        self._open(self.storage.create(ID, maker.first()))

    def _open(self, log) -> None:
        self.committer = ManualCommitter(self.storage)
        self.live = LiveAcquisition(Recording(log), self.committer, BatchChecker(), 6)

    def restart(self) -> None:
        """As after kill -9: what was accepted and not committed is gone."""
        self.storage = FileLogs(self.folder)
        self._open(self.storage.open(ID, to_append=True))

    def send(self, sequence, *chunks, epoch=1) -> None:
        request = pb.AppendSpikesRequest(chunks=chunks)
        self.live.append_batches(epoch, sequence, split(request.SerializeToString())[0])

    def add_units(self, sequence, ids, epoch=1) -> None:
        added = pb.UnitsAdded()
        added.unit_ids.signed_ids.values.extend(ids)
        self.live.append(epoch, Kind.UNITS, sequence, added.SerializeToString())

    def commit(self) -> None:
        self.committer.commit(self.live)

    def fail(self) -> None:
        self.committer.fail(self.live)

    @property
    def durable(self) -> list[bytes]:
        log = self.live.recording.log
        return [bytes(payload) for payload in log.read(1, log.records.next_sequence)]


@pytest.fixture
def writer(tmp_path, new_maker):
    return Writer(tmp_path / "logs", new_maker())


def test_records_count_when_they_are_durable(writer, batch):
    live = writer.live
    writer.send(3, batch([1, 2], [0, 1]), batch([3], [0]))
    assert (live.next_sequence, live.recording.next_sequence) == (5, 3)
    assert live.pending.bytes > 0
    writer.commit()
    assert (live.next_sequence, live.recording.next_sequence) == (5, 5)
    assert live.pending.bytes == 0
    assert live.recording.log.records.spike_count == 3


@pytest.mark.parametrize("committed", [True, False])
def test_a_repeat_is_a_success_and_a_conflict_is_not(writer, batch, committed):
    writer.send(3, batch([1, 2], [0, 1]))
    writer.send(4, batch([5], [0]))
    if committed:
        writer.commit()
    writer.send(3, batch([1, 2], [0, 1]), batch([5], [0]), batch([6], [0]))
    assert writer.live.next_sequence == 6
    with pytest.raises(RecordConflictError) as caught:
        writer.send(4, batch([5], [1]))
    assert metadata_of(caught.value) == {"sequence": "4"}
    with pytest.raises(RecordConflictError):
        writer.add_units(3, [9])


def test_a_gap_is_an_error(writer, batch):
    for sequence in (0, 4, 2**63):
        with pytest.raises(SequenceGapError) as caught:
            writer.send(sequence, batch([1], [0]))
        assert metadata_of(caught.value) == {"expected": "3", "actual": str(sequence)}
    assert writer.live.next_sequence == 3


def test_batches_before_one_that_is_refused_are_taken(writer, batch):
    with pytest.raises(MalformedMessageError):
        writer.send(3, batch([1], [0]), batch([2], [99]), batch([3], [0]))
    assert writer.live.next_sequence == 4
    writer.commit()
    assert writer.live.recording.next_sequence == 4


def test_units_are_announced_before_they_are_used(writer, batch):
    with pytest.raises(MalformedMessageError):
        writer.send(3, batch([1], [4]))
    writer.add_units(3, [40])
    writer.send(4, batch([1], [4]))
    writer.commit()
    assert writer.live.recording.roster.unit_ids_at(2).tolist() == [0, 1, 2, 3]
    assert writer.live.recording.roster.unit_ids_at(3).tolist() == [0, 1, 2, 3, 40]


def test_units_that_cannot_be_announced(writer):
    with pytest.raises(ContractError, match="announced before"):
        writer.add_units(3, [3])
    with pytest.raises(ContractError, match="unique"):
        writer.add_units(3, [8, 8])
    with pytest.raises(LimitExceededError, match="6 is the limit"):
        writer.add_units(3, [10, 11, 12])
    text = pb.UnitsAdded()
    text.unit_ids.string_ids.values.append("a")
    with pytest.raises(ContractError, match="cannot join"):
        writer.live.append(1, Kind.UNITS, 3, text.SerializeToString())
    assert writer.live.next_sequence == 3
    assert writer.live.recording.roster.unit_count == 4


def test_segments_and_sync_points(writer, batch):
    live = writer.live
    with pytest.raises(SegmentIndexError):
        writer.send(3, batch([1], [0], segment=1))
    live.append(1, Kind.SEGMENT, 3, pb.SegmentStarted(t_start_seconds=2.5).SerializeToString())
    writer.send(4, batch([1], [0], segment=1), batch([1], [0], segment=0))
    nan = pb.SegmentStarted(t_start_seconds=float("nan"))
    with pytest.raises(InvalidValueError, match="nan"):
        live.append(1, Kind.SEGMENT, 6, nan.SerializeToString())

    def sync(sequence, sample, time, segment=0):
        point = pb.SyncPoint(segment_index=segment, sample_index=sample, time_seconds=time)
        live.append(1, Kind.SYNC, sequence, point.SerializeToString())

    sync(6, 100, 1.0)
    sync(7, 0, 0.5, segment=1)
    for sample, time in ((100, 2.0), (200, 1.0), (200, float("inf"))):
        with pytest.raises(InvalidValueError, match="must"):
            sync(8, sample, time)
    with pytest.raises(SegmentIndexError):
        sync(8, 200, 2.0, segment=2)
    writer.commit()
    assert live.recording.roster.t_starts_at(2) == (None,)
    assert live.recording.roster.t_starts_at(7) == (None, 2.5)
    writer.restart()
    assert writer.live.recording.roster.t_starts_at(7) == (None, 2.5)


def test_a_new_writer_fences_the_one_before(writer, batch):
    live = writer.live
    writer.send(3, batch([1], [0]))
    assert live.take_over() == 2
    with pytest.raises(WriterFencedError) as caught:
        writer.send(4, batch([2], [0]))
    assert metadata_of(caught.value) == {"name": "x", "epoch": "2"}
    writer.send(4, batch([2], [0]), epoch=2)
    with pytest.raises(InvalidValueError, match="given to no writer"):
        writer.send(5, batch([2], [0]), epoch=3)
    writer.commit()
    assert live.recording.next_sequence == 5

    writer.restart()
    with pytest.raises(WriterFencedError):
        writer.send(5, batch([2], [0]), epoch=1)
    writer.send(5, batch([2], [0]), epoch=2)


def test_what_a_full_disk_refused_is_forgotten(writer, batch):
    live = writer.live
    writer.send(3, batch([1], [0]))
    writer.commit()
    known = live.failures
    writer.send(4, batch([2], [0]))
    writer.add_units(5, [50])
    live.take_over()
    writer.fail()
    assert (live.next_sequence, live.epoch, live.pending.bytes) == (4, 1, 0)
    assert live.recording.roster.unit_count == 4
    with pytest.raises(StoreUnwritableError, match="No space left on device"):
        live.check_failures(known)

    writer.add_units(4, [51])
    writer.send(5, batch([2], [4]))
    writer.commit()
    assert live.recording.roster.unit_ids_at(5).tolist() == [0, 1, 2, 3, 51]
    assert live.recording.log.records.spike_count == 2


def test_a_finished_acquisition_takes_nothing_more(writer, batch):
    live = writer.live
    writer.send(3, batch([1], [0]))
    live.append(1, Kind.FINISHED, 4, b"")
    live.append(1, Kind.FINISHED, 4, b"")
    for _ in range(2):
        with pytest.raises(NotRecordingError):
            writer.send(5, batch([2], [0]))
        with pytest.raises(RecordConflictError):
            writer.send(4, batch([2], [0]))
        with pytest.raises(NotRecordingError):
            writer.live.take_over()
        writer.send(3, batch([1], [0]))
        writer.commit()
        assert writer.live.recording.is_finished
        assert writer.live.recording.last_sequence == 3
        writer.restart()


def test_a_finish_that_is_lost_did_not_happen(writer, batch):
    writer.live.append(1, Kind.FINISHED, 3, b"")
    writer.fail()
    assert not writer.live.recording.is_finished
    writer.send(3, batch([1], [0]))


def test_a_deleted_acquisition_takes_nothing_more(writer, batch):
    writer.live.delete()
    with pytest.raises(SortingNotFoundError, match="deleted"):
        writer.send(3, batch([1], [0]))


class Rigs(RuleBasedStateMachine):
    """A rig that keeps what was not acknowledged, and everything that may go wrong."""

    def __init__(self, folder, new_maker, batch) -> None:
        super().__init__()
        self.folder, self.new_maker, self.batch = folder, new_maker, batch

    @initialize()
    def begin(self) -> None:
        self.writer = Writer(self.folder / str(next(NUMBERS)), self.new_maker())
        self.records = self.writer.durable  # what the rig made, first to last
        self.epoch = 1
        self.sent = len(self.records)
        self.labels = 0

    def make(self) -> None:
        self.labels += 1
        chunk = self.batch(np.arange(3) + 10 * self.labels, [0, 1, 2])
        self.records.append(pb.AppendSpikesRequest(chunks=[chunk]).SerializeToString())

    def send(self, first, stop) -> None:
        data = b"".join(self.records[first:stop])
        self.writer.live.append_batches(self.epoch, first + 1, split(data)[0])
        self.sent = max(self.sent, stop)

    @rule(count=st.integers(1, 4))
    def send_new(self, count) -> None:
        for _ in range(count):
            self.make()
        self.send(self.sent, self.sent + count)

    @rule(back=st.integers(1, 5))
    def send_again(self, back) -> None:
        self.send(max(self.sent - back, 2), self.sent)

    @rule(back=st.integers(1, 5))
    def send_something_else(self, back) -> None:
        sequence = max(self.sent - back, 2) + 1
        if sequence <= self.sent:
            with pytest.raises(RecordConflictError):
                self.writer.send(sequence, self.batch([1], [0]), epoch=self.epoch)

    @rule(skipped=st.integers(1, 3))
    def skip(self, skipped) -> None:
        with pytest.raises(SequenceGapError):
            self.writer.send(self.sent + 1 + skipped, self.batch([1], [0]), epoch=self.epoch)

    @rule()
    def commit(self) -> None:
        self.writer.commit()

    @rule()
    def lose_group(self) -> None:
        self.writer.fail()
        self.go_on()

    @rule()
    def restart(self) -> None:
        self.writer.restart()
        self.epoch = self.writer.live.epoch
        self.go_on()

    def go_on(self) -> None:
        """Send again what was not acknowledged, as the protocol says."""
        self.sent = self.writer.live.recording.next_sequence - 1
        assert self.writer.live.next_sequence == self.sent + 1
        self.send(self.sent, len(self.records))

    @rule()
    def take_over(self) -> None:
        old, self.epoch = self.epoch, self.writer.live.take_over()
        with pytest.raises(WriterFencedError):
            self.writer.send(self.sent + 1, self.batch([1], [0]), epoch=old)
        self.writer.commit()

    @invariant()
    def what_is_durable_is_what_the_rig_made(self) -> None:
        if hasattr(self, "writer"):
            durable = self.writer.durable
            assert durable == self.records[: len(durable)]
            live = self.writer.live
            assert live.next_sequence == self.sent + 1
            assert live.recording.log.records.spike_count == 3 * (len(durable) - 2)


def test_random_histories(tmp_path, new_maker, batch):
    run_state_machine_as_test(
        lambda: Rigs(tmp_path, new_maker, batch),
        settings=settings(
            max_examples=60,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
