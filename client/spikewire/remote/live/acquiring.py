"""How a rig begins to record, or goes on with what it recorded."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np

from spikewire.core.dtypes import AnyArray
from spikewire.core.errors import (
    InvalidValueError,
    NotRecordingError,
    RecordConflictError,
    RevisionExpiredError,
    SortingExistsError,
)
from spikewire.core.unit_ids import as_unit_ids
from spikewire.remote.backoff import Backoff
from spikewire.remote.calls import CALL_ATTEMPTS, call
from spikewire.remote.channel import Connection
from spikewire.remote.live.announced import Announced
from spikewire.remote.live.append_stream import MESSAGE_BYTES
from spikewire.remote.live.old_spools import label_spool, remove_old_spools
from spikewire.remote.live.recording import Recording
from spikewire.remote.live.records import Record, messages
from spikewire.remote.live.retrying import may_pass, pause
from spikewire.remote.live.sender import Sender
from spikewire.remote.live.spool import Spool, SpoolReader
from spikewire.remote.live.stats import WriterStats
from spikewire.remote.methods import APPEND_SPIKES, GET_ACQUISITION, START_ACQUISITION
from spikewire.remote.watchdog import Watch
from spikewire.v1 import acquisition_service_pb2 as pb
from spikewire.wire.unit_ids import unit_ids_to_proto
from spikewire.wire.values import entries_to_proto

MAX_SPOOL_BYTES = 16 * 1024**3


@dataclass(frozen=True)
class Rig:
    """Begins recordings.

    Parameters
    ----------
    connection : Connection
        The way to the server.
    spools : Path
        The folder of the spools, one subfolder an acquisition.
    max_spool_bytes : int
        How large a spool may become.
    sync : bool
        Whether spools are synced to the disk with every record.
    max_units : int
        How many units the server admits; 0 means any number.
    on_progress : callable, optional
        Is told how far they are.
    """

    connection: Connection
    spools: Path
    max_spool_bytes: int
    sync: bool
    max_units: int
    on_progress: Callable[[WriterStats], object] | None

    def acquire(
        self,
        name: str,
        sampling_frequency: float | None,
        unit_ids: Iterable[Any] | AnyArray,
        annotations: Mapping[str, Any] | None,
        t_start: float | None,
        resume: bool,
    ) -> Recording:
        """Begin to record, or go on; see `Client.acquire`."""
        units = as_unit_ids(unit_ids if isinstance(unit_ids, np.ndarray) else list(unit_ids))
        remove_old_spools(self.connection, self.spools, self.max_spool_bytes)
        if resume:
            return self._resume(name, sampling_frequency, units)
        if sampling_frequency is None:
            raise InvalidValueError("sampling_frequency is needed, unless resume is True")
        return self._begin(name, sampling_frequency, units, annotations or {}, t_start)

    def _begin(
        self,
        name: str,
        sampling_frequency: float,
        unit_ids: AnyArray,
        annotations: Mapping[str, Any],
        t_start: float | None,
    ) -> Recording:
        """Begin an acquisition, or go on with the one whose spool is here."""
        request = pb.StartAcquisitionRequest(
            name=name,
            request_id=uuid.uuid4().hex,
            sampling_frequency_hz=sampling_frequency,
            unit_ids=unit_ids_to_proto(unit_ids) if len(unit_ids) else None,
            t_start_seconds=t_start,
            annotations=entries_to_proto(annotations),
        )
        self.spools.mkdir(parents=True, exist_ok=True)  # if that fails, nothing has begun
        try:
            started = self.connection.run(call(START_ACQUISITION, request))
        except SortingExistsError:
            if not self._has_spool_of(name):
                raise
            return self._resume(name, sampling_frequency, unit_ids)
        spool = self._spool(started.acquisition)
        try:
            return self._recording(started, spool)
        except BaseException:
            spool.close()
            raise

    def _resume(self, name: str, sampling_frequency: float | None, unit_ids: AnyArray) -> Recording:
        """Take over the acquisition that is open, with its spool if that is here."""
        present = self._describe(name)
        rate = present.sampling_frequency_hz
        if sampling_frequency not in (None, rate):
            raise InvalidValueError(
                f"{name!r} is recorded at {rate} Hz, not at {sampling_frequency} Hz"
            )
        # Its lock comes first: the writer of another process must not be fenced.
        spool = self._spool(present)
        try:
            request = pb.StartAcquisitionRequest(name=name, resume=True)
            started = self.connection.run(call(START_ACQUISITION, request))
            if started.acquisition.acquisition_id != present.acquisition_id:
                raise NotRecordingError(f"{name!r} ended, and began anew, just now: try again")
            self._confirm(started, spool)
            recording = self._recording(started, spool)
        except BaseException:
            spool.close()
            raise
        try:
            known = set(recording.announced.unit_ids.tolist())
            recording.add_units(unit_ids[[unit_id not in known for unit_id in unit_ids.tolist()]])
        except BaseException:
            recording.close()
            raise
        return recording

    def _describe(self, name: str) -> pb.Acquisition:
        request = pb.GetAcquisitionRequest(name=name)
        return self.connection.run(call(GET_ACQUISITION, request)).acquisition

    def _has_spool_of(self, name: str) -> bool:
        try:
            present = self._describe(name)
        except (NotRecordingError, RevisionExpiredError):  # no acquisition has the name
            return False
        return not present.finished and (self.spools / present.acquisition_id).is_dir()

    def _spool(self, acquisition: pb.Acquisition) -> Spool:
        folder = self.spools / acquisition.acquisition_id
        spool = Spool(folder, self.max_spool_bytes, self.sync)
        label_spool(folder, self.connection.target, acquisition.name)
        return spool

    def _confirm(self, started: pb.StartAcquisitionResponse, spool: Spool) -> None:
        """Send what the server has already: it tells whether it is the same."""
        next_sequence = started.acquisition.next_sequence

        def requests(watch: Watch) -> Iterator[bytes]:
            yield _opening(started)
            with closing(SpoolReader(spool)) as reader:
                while there := _below(next_sequence, reader.read(MESSAGE_BYTES)):
                    yield from messages(there)
            watch.waiting()

        backoff = Backoff(CALL_ATTEMPTS)
        while True:
            try:
                for _ in self.connection.exchange(APPEND_SPIKES, requests):
                    pass
            except RecordConflictError as error:
                raise RecordConflictError(
                    f"{error}: another writer took over, and the spool {spool.folder} holds what "
                    f"this machine had not sent; move it away to go on without that"
                ) from error
            except Exception as error:
                seconds = backoff.pause()
                if seconds is None or not may_pass(error):
                    raise
                self.connection.run(pause(seconds))
            else:
                return

    def _recording(self, started: pb.StartAcquisitionResponse, spool: Spool) -> Recording:
        acquisition = started.acquisition
        next_sequence = acquisition.next_sequence
        spool.trim(next_sequence)
        announced = Announced.of(acquisition, self.max_units)
        spike_count = 0
        with closing(SpoolReader(spool, next_sequence)) as reader:
            while left := reader.read(MESSAGE_BYTES):
                for record in left:
                    announced.take(record)
                    spike_count += record.spike_count
        spool.skip_to(next_sequence)
        sender = Sender(
            self.connection,
            acquisition.name,
            _opening(started),
            spool,
            next_sequence,
            self.on_progress,
        )
        sender.appended(spike_count)
        sender.start()
        return Recording(started, spool, announced, sender)


def _opening(started: pb.StartAcquisitionResponse) -> bytes:
    """Return the message that begins an AppendSpikes call."""
    return pb.AppendSpikesRequest(
        name=started.acquisition.name, epoch=started.epoch
    ).SerializeToString()


def _below(sequence: int, records: list[Record]) -> list[Record]:
    return list(takewhile(lambda record: record.sequence < sequence, records))
