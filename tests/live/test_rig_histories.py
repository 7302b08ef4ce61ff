"""Random histories of a writer, its spool and a server's log, over a network that fails."""

from __future__ import annotations

import itertools
import secrets
from collections import deque
from contextlib import suppress
from enum import Enum
from pathlib import Path

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
    RecordConflictError,
    ServerUnavailableError,
    SortingExistsError,
    SpikewireError,
    StoreUnwritableError,
    WriterFencedError,
)
from spikewire.remote import backoff
from spikewire.remote.channel import Connection
from spikewire.remote.client import Client
from spikewire.remote.library import ServerInfo
from spikewire.remote.live import append_stream, spool, spool_file
from spikewire.remote.live.records import Kind as RecordKind
from spikewire.remote.methods import GET_ACQUISITION, START_ACQUISITION
from spikewire.remote.target import parse_target
from spikewire.remote.watchdog import Watch
from spikewire.v1 import acquisition_service_pb2 as pb
from spikewire_server.acquisition.append_messages import BatchChecker, decode_batch, split
from spikewire_server.acquisition.appending import Appender
from spikewire_server.acquisition.files import FileLogs
from spikewire_server.acquisition.lifecycle import _first_records
from spikewire_server.acquisition.live import LiveAcquisition
from spikewire_server.acquisition.record import Kind
from spikewire_server.acquisition.recording import Recording
from spikewire_server.services.acquisition_service import _acquisition

NUMBERS = itertools.count()
NAME = "rig"
UNITS = [3, 5]


class Fate(Enum):
    """What becomes of a message of a rig."""

    ARRIVES = "it is on disk and acknowledged"
    TWICE = "so it is, and comes again"
    UNACKNOWLEDGED = "it is on disk, but the connection breaks before the rig hears of it"
    LOST = "the connection breaks before it arrives"
    LATE = "the connection breaks, and it arrives behind messages of the next one"
    KILLED = "the server is killed before it is on disk"
    DISK_FULL = "the server cannot write it"


class Committer:
    """Keeps what is accepted until it is committed, or lost."""

    def __init__(self, logs) -> None:
        self._logs = logs
        self._submitted = []

    def submit(self, log, records) -> None:
        self._submitted += records

    def reset(self, log) -> None:
        self._submitted.clear()

    def commit(self, live) -> None:
        records, self._submitted = self._submitted, []
        if records:
            assert self._logs.commit({live.recording.log: records}) == {}
            live.committed(None)


class Server:
    """The server's part of recording, without its event loop."""

    def __init__(self, folder) -> None:
        self._folder = folder
        self._logs = FileLogs(folder)
        self.live: LiveAcquisition | None = None
        self.fates: deque[Fate] = deque()
        self._late: list[tuple[Appender, bytes]] = []

    def call(self, method, request):
        if method is GET_ACQUISITION:
            return pb.GetAcquisitionResponse(acquisition=_acquisition(self.live.recording))
        assert method is START_ACQUISITION
        epoch = 1
        if request.resume:
            epoch = self.live.take_over()
            self._committer.commit(self.live)
        elif self.live is not None:
            raise SortingExistsError(NAME)
        else:
            records = _first_records(request, max_units=100)
            self._open(self._logs.create(secrets.token_hex(16), records))
        return pb.StartAcquisitionResponse(
            acquisition=_acquisition(self.live.recording), epoch=epoch
        )

    def take(self, messages):
        """Take the messages of one call; yield acknowledgements."""
        _, opening = split(next(messages))
        appender = Appender(self.live, opening.epoch)
        for data in messages:
            fate = self.fates.popleft() if self.fates else Fate.ARRIVES
            if fate is Fate.LATE:
                self._late.append((appender, data))
            if fate in (Fate.LOST, Fate.LATE):
                raise ServerUnavailableError("the connection broke")
            appender.take(*split(data))
            if fate is Fate.KILLED:
                self.restart()
                raise ServerUnavailableError("killed")
            if fate is Fate.DISK_FULL:
                self.live.committed(OSError(28, "No space left on device"))
                self.live.check_failures(self.live.failures - 1)
            self._committer.commit(self.live)
            if fate is Fate.UNACKNOWLEDGED:
                raise ServerUnavailableError("the connection broke")
            if fate is Fate.TWICE:
                appender.take(*split(data))
            self._deliver_late()
            yield pb.AppendSpikesResponse(next_sequence=self.live.recording.next_sequence)

    def restart(self) -> None:
        """As after kill -9: what was accepted and not committed is gone."""
        acquisition_id = self.live.recording.acquisition_id
        self._logs.close()
        self._logs = FileLogs(self._folder)
        self._open(self._logs.open(acquisition_id, to_append=True))
        self._late.clear()

    def spikes(self) -> list[tuple[int, int, int]]:
        """Segment, sample and unit of what is on disk, as it arrived."""
        found = []
        log = self.live.recording.log
        for sequence in range(1, log.records.next_sequence):
            if log.records.kind_of(sequence) == Kind.SPIKES:
                (payload,) = log.read(sequence, sequence + 1)
                samples, units, segment = decode_batch(payload)
                found += [
                    (segment, int(sample), int(unit))
                    for sample, unit in zip(samples, units, strict=True)
                ]
        return found

    def close(self) -> None:
        self._logs.close()

    def _open(self, log) -> None:
        self._committer = Committer(self._logs)
        self.live = LiveAcquisition(Recording(log), self._committer, BatchChecker(), 100)

    def _deliver_late(self) -> None:
        late, self._late = self._late, []
        for appender, data in late:
            with suppress(SpikewireError):  # nobody hears of it: its call has ended
                appender.take(*split(data))
        self._committer.commit(self.live)


class Wire(Connection):
    """Leads to a server in this process."""

    def __init__(self, server) -> None:
        super().__init__(parse_target("nowhere"))
        self._server = server

    def _current(self):
        if self.is_closed:
            raise ServerUnavailableError("closed")

    def _call(self, rpc, request, timeout):
        return self._server.call(rpc, request)

    def exchange(self, rpc, requests):
        yield from self._server.take(requests(Watch(lambda: None)))


BATCHES = st.lists(st.tuples(st.integers(-50, 50), st.integers(0, 1)), max_size=6)


class Histories(RuleBasedStateMachine):
    """A rig and a server, beside a list of what the rig appended."""

    def __init__(self, folder) -> None:
        super().__init__()
        self.folder = folder / str(next(NUMBERS))

    @initialize()
    def begin(self) -> None:
        self.server = Server(self.folder / "logs")
        self.taken: list[tuple[int, int, int]] = []
        self.units = list(UNITS)
        self.segments = 1
        self.writer = self.acquire(unit_ids=UNITS)

    def acquire(self, spool_name="spool", **options):
        client = Client(Wire(self.server), ServerInfo("nowhere", "0", frozenset(), {}))
        spool = self.folder / spool_name
        while True:
            # It gives up after some attempts, and whoever looks after the rig tries again.
            with suppress(ServerUnavailableError, StoreUnwritableError):
                return client.acquire(
                    NAME, 30_000.0, spool=spool, max_spool_bytes=1 << 30, **options
                )

    def take(self, batch, writer=None) -> None:
        samples = np.array([sample for sample, _ in batch], np.int64)
        units = [index % len(self.units) for _, index in batch]
        (writer or self.writer).append(samples, np.take(self.units, units))
        order = np.argsort(samples, kind="stable")
        self.taken += [(self.segments - 1, int(samples[k]), units[k]) for k in order]

    @rule(batches=st.lists(BATCHES, min_size=1, max_size=5))
    def append(self, batches) -> None:
        for batch in batches:
            self.take(batch)

    @rule()
    def add_unit(self) -> None:
        self.units.append(max(self.units) + 1)
        self.writer.add_units(self.units[-1:])

    @rule()
    def start_segment(self) -> None:
        assert self.writer.start_segment() == self.segments
        self.segments += 1

    @rule(fates=st.lists(st.sampled_from(Fate), max_size=6))
    def meet(self, fates) -> None:
        self.server.fates.extend(fates)

    @rule()
    def flush(self) -> None:
        self.writer.flush(60)
        assert self.server.spikes() == self.taken
        stats = self.writer.stats
        assert stats.acknowledged == stats.appended

    @rule(torn=st.integers(0, 60), asks_to_resume=st.booleans())
    def kill_rig(self, torn, asks_to_resume) -> None:
        """The rig dies, perhaps in the middle of a write, and is started again."""
        folder = self.writer.spool_folder
        self.writer.close()
        record = spool_file.Record(RecordKind.SPIKES, 1 << 40, b"x" * 21, 1, 0)
        for path in sorted(folder.glob("*.spool"))[-1:]:
            path.write_bytes(path.read_bytes() + spool_file.pack(record)[:torn])
        self.writer = self.acquire(unit_ids=self.units, resume=asks_to_resume)
        assert self.writer.unit_ids.tolist() == self.units
        assert self.writer.segment_count == self.segments

    @rule(batch=BATCHES)
    def take_over(self, batch) -> None:
        """Another rig goes on for a while; this one had sent everything."""
        self.writer.flush(60)
        other = self.acquire("other", resume=True)
        self.take(batch, other)
        other.flush(60)
        other.close()
        with pytest.raises(WriterFencedError):
            self.append_and_flush([1_000], UNITS[:1])
        self.writer.close()
        # What it took, being fenced and not knowing it, is not what the other one wrote.
        try:
            self.writer = self.acquire(resume=True)
        except RecordConflictError:
            self.writer.spool_folder.rename(self.folder / f"away{next(NUMBERS)}")
            self.writer = self.acquire(resume=True)
        else:
            self.taken.append((self.segments - 1, 1_000, 0))

    def append_and_flush(self, samples, labels) -> None:
        self.writer.append(samples, labels)
        self.writer.flush(60)

    @invariant()
    def nothing_is_invented_and_nothing_lost(self) -> None:
        if hasattr(self, "server"):
            stats = self.writer.stats
            assert stats.acknowledged <= stats.appended

    def teardown(self) -> None:
        if hasattr(self, "server"):
            self.flush()
            self.writer.close()
            self.server.close()


@pytest.fixture
def small_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few records a message and a file, and no pauses worth the name."""
    monkeypatch.setattr(append_stream, "MESSAGE_BYTES", 150)
    monkeypatch.setattr(append_stream, "WINDOW_BYTES", 300)
    monkeypatch.setattr(spool, "FILE_BYTES", 400)
    monkeypatch.setattr(backoff, "_FIRST_SECONDS", 0.0001)
    monkeypatch.setattr(backoff, "_LONGEST_SECONDS", 0.001)


@pytest.mark.usefixtures("small_portions")
def test_what_was_taken_arrives_whatever_happens(tmp_path: Path, is_thorough: bool) -> None:
    run_state_machine_as_test(
        lambda: Histories(tmp_path),
        settings=settings(
            max_examples=1_000 if is_thorough else 60,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
