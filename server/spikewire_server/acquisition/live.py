"""An acquisition that is being recorded: who may write, and what comes next."""

from __future__ import annotations

from collections.abc import Sequence

from spikewire.core.errors import (
    InvalidValueError,
    NotRecordingError,
    RecordConflictError,
    SequenceGapError,
    SortingNotFoundError,
    StoreUnwritableError,
    WriterFencedError,
)
from spikewire.wire.errors import with_metadata
from spikewire_server.acquisition.append_messages import Batch, BatchChecker, Span
from spikewire_server.acquisition.committer import Committer
from spikewire_server.acquisition.follow_messages import Messages
from spikewire_server.acquisition.pending import Pending
from spikewire_server.acquisition.record import Kind, Record, checksum
from spikewire_server.acquisition.recording import Recording, announce
from spikewire_server.acquisition.signal import Signal

_NO_SPAN = Span(0, 0, 0, 0)


class ServerStoppingError(Exception):
    """The server stops: whoever writes or follows goes on when there is one again."""


class LiveAcquisition:
    """Takes the records of one acquisition; for the event loop alone.

    A record is accepted first and durable later. What is accepted can be lost, with
    all behind it, when the disk cannot be written; the writer then begins again
    behind the last durable one.

    Parameters
    ----------
    recording : Recording
        What is durable.
    committer : Committer
        Makes records durable.
    checker : BatchChecker
        Looks into batches.
    max_units : int
        How many units may be announced.

    Attributes
    ----------
    changed : Signal
        Fires when records became durable or were lost, when another writer takes
        over, and when the acquisition is deleted.
    failures : int
        How often accepted records were lost.
    epoch : int
        The epoch of the writer who may write.
    next_sequence : int
        The sequence that the next new record must have.
    pending : Pending
        What is accepted and not durable yet.
    messages : Messages
        What its followers are sent.
    """

    def __init__(
        self, recording: Recording, committer: Committer, checker: BatchChecker, max_units: int
    ) -> None:
        self.recording = recording
        self.changed = Signal()
        self.failures = 0
        self.epoch = recording.log.epoch
        self.next_sequence = recording.next_sequence
        self.pending = Pending()
        self.is_deleted = False
        self.is_stopping = False
        self.messages = Messages(recording)
        self._committer = committer
        self._checker = checker
        self._max_units = max_units
        self._spike_count = recording.log.records.spike_count
        self._is_finished = recording.is_finished
        self._failure = ""

    def append(self, epoch: int, kind: Kind, sequence: int, payload: bytes) -> None:
        """Accept a record that is no batch; a repeat of one that is here is no mistake.

        Raises
        ------
        WriterFencedError
            If another writer took over.
        SequenceGapError
            If records are missing before it.
        RecordConflictError
            If it repeats the sequence of another record.
        NotRecordingError, SortingNotFoundError
            If the acquisition was finished, or deleted.
        SpikewireError
            If it cannot be announced.
        """
        if self._is_new(epoch, kind, sequence, payload):
            announce(self.recording.roster, sequence, kind, payload, self._max_units)
            self._is_finished = kind is Kind.FINISHED
            self._accept([self._record(kind, payload, _NO_SPAN)])

    def append_batches(self, epoch: int, sequence: int, batches: Sequence[Batch]) -> None:
        """Accept batches, numbered from `sequence` on, up to the first that is refused.

        Raises
        ------
        SpikewireError
            As `append`, and what `BatchChecker.check` raises.
        """
        accepted: list[Record] = []
        try:
            for number, batch in enumerate(batches, sequence):
                if self._is_new(epoch, Kind.SPIKES, number, batch.payload):
                    span = self._checker.check(batch, self.recording.roster)
                    accepted.append(self._record(Kind.SPIKES, batch.payload, span))
        finally:
            self._accept(accepted)

    def take_over(self) -> int:
        """Give the acquisition to a new writer, and return its epoch.

        The writer before is fenced at once; the epoch counts once it is durable.
        """
        self.check_open()
        self.epoch += 1
        payload = self.epoch.to_bytes(8, "little")
        crc = checksum(Kind.EPOCH, payload)
        record = Record(Kind.EPOCH, self.next_sequence, payload, crc, self._spike_count)
        self._accept([record])
        self.changed.fire()
        return self.epoch

    def check_epoch(self, epoch: int) -> None:
        """Make sure that a writer is the one that may write.

        Raises
        ------
        WriterFencedError
            If another writer took over.
        InvalidValueError
            If the epoch was never given to a writer.
        """
        if epoch < self.epoch:
            raise with_metadata(
                WriterFencedError(
                    f"another writer took over {self.recording.name!r}: its epoch is {self.epoch}, "
                    f"not {epoch}"
                ),
                name=self.recording.name,
                epoch=self.epoch,
            )
        if epoch > self.epoch:
            raise InvalidValueError(
                f"field epoch: {epoch} was given to no writer of {self.recording.name!r}; "
                f"StartAcquisition gives epochs"
            )

    def check_open(self) -> None:
        """Make sure that new records can come.

        Raises
        ------
        NotRecordingError, SortingNotFoundError
            If the acquisition was finished, or deleted.
        """
        self.check_exists()
        if self._is_finished:
            name = self.recording.name
            raise with_metadata(NotRecordingError(f"{name!r} is finished"), name=name)

    def check_exists(self) -> None:
        """Make sure that the acquisition was not deleted.

        Raises
        ------
        SortingNotFoundError
            If it was.
        """
        if self.is_deleted:
            name = self.recording.name
            raise with_metadata(
                SortingNotFoundError(f"{name!r} was deleted while it was recorded"), name=name
            )

    def check_waiting(self) -> None:
        """Make sure that those who wait here for ever still can.

        Raises
        ------
        SortingNotFoundError
            If the acquisition was deleted.
        ServerStoppingError
            If the server stops.
        """
        self.check_exists()
        if self.is_stopping:
            raise ServerStoppingError

    def check_failures(self, known: int) -> None:
        """Make sure that no records were lost since `failures` was so many.

        Raises
        ------
        StoreUnwritableError
            If there were.
        """
        if self.failures != known:
            raise StoreUnwritableError(
                f"the log of {self.recording.name!r} cannot be written: {self._failure}; what was "
                f"not acknowledged is not kept: send it again later"
            )

    async def durable(self) -> None:
        """Wait until all that is accepted now is on disk.

        Raises
        ------
        StoreUnwritableError
            If it cannot be written.
        SortingNotFoundError
            If it was deleted.
        """
        failures, accepted = self.failures, self.pending.accepted
        while self.pending.settled < accepted:
            self.check_exists()
            await self.changed.wait()
            self.check_failures(failures)

    def committed(self, error: OSError | None) -> None:
        """Take note that records became durable, or that all that are not are lost."""
        if error is not None:
            self._roll_back(error)
        self.pending.settle(self.recording.log)
        self.changed.fire()

    def delete(self) -> None:
        """End it: its name is gone."""
        self.is_deleted = True
        self.changed.fire()

    def stop(self) -> None:
        """Send those away who wait here."""
        self.is_stopping = True
        self.changed.fire()

    def _is_new(self, epoch: int, kind: Kind, sequence: int, payload: bytes) -> bool:
        self.check_epoch(epoch)
        if sequence == self.next_sequence:
            self.check_open()
            return True
        if not 0 < sequence < self.next_sequence:
            raise with_metadata(
                SequenceGapError(
                    f"the next record of {self.recording.name!r} has the sequence "
                    f"{self.next_sequence}, not {sequence}"
                ),
                expected=self.next_sequence,
                actual=sequence,
            )
        if self._crc_of(sequence) != checksum(kind, payload):
            raise with_metadata(
                RecordConflictError(
                    f"the record {sequence} of {self.recording.name!r} is another one than was "
                    f"sent before"
                ),
                sequence=sequence,
            )
        return False

    def _record(self, kind: Kind, payload: bytes, span: Span) -> Record:
        record = Record(
            kind,
            self.next_sequence,
            payload,
            checksum(kind, payload),
            self._spike_count,
            span.spike_count,
            span.segment_index,
            span.min_sample,
            span.max_sample,
        )
        self.next_sequence += 1
        self._spike_count += span.spike_count
        return record

    def _accept(self, records: Sequence[Record]) -> None:
        if records:
            self.pending.add(records)
            self._committer.submit(self.recording.log, records)

    def _crc_of(self, sequence: int) -> int:
        records = self.recording.log.records
        if sequence <= len(records):
            return int(records.rows_of(sequence, sequence + 1).crc[0])
        return self.pending.crc_of(sequence)

    def _roll_back(self, error: OSError) -> None:
        log = self.recording.log
        self._committer.reset(log)
        self.pending.lose()
        self.epoch = log.epoch
        self.next_sequence = self.recording.next_sequence
        self.recording.roster.forget_from(self.next_sequence)
        self._spike_count = log.records.spike_count
        self._is_finished = self.recording.is_finished
        self.failures += 1
        self._failure = error.strerror or str(error)
