"""The records of an acquisition that are accepted and not durable yet."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from spikewire_server.acquisition.log import SpikeLog
from spikewire_server.acquisition.record import Kind, Record


class Pending:
    """Records on their way to the disk, in their order.

    Attributes
    ----------
    accepted : int
        How many there ever were.
    settled : int
        How many of them are durable by now, or lost.
    bytes : int
        The payload of the others.
    """

    def __init__(self) -> None:
        self.accepted = 0
        self.settled = 0
        self.bytes = 0
        self._records: deque[Record] = deque()

    def add(self, records: Sequence[Record]) -> None:
        """Take note of records that were accepted."""
        self._records.extend(records)
        self.accepted += len(records)
        self.bytes += sum(len(record.payload) for record in records)

    def settle(self, log: SpikeLog) -> None:
        """Forget the records that a log has."""
        next_sequence = log.records.next_sequence
        while self._records and _is_in(log, self._records[0], next_sequence):
            self.bytes -= len(self._records.popleft().payload)
            self.settled += 1

    def lose(self) -> None:
        """Forget all."""
        self._records.clear()
        self.settled, self.bytes = self.accepted, 0

    def crc_of(self, sequence: int) -> int:
        """Return the checksum of a numbered record, which must be here."""
        return next(
            record.crc
            for record in self._records
            if record.sequence == sequence and record.kind is not Kind.EPOCH
        )


def _is_in(log: SpikeLog, record: Record, next_sequence: int) -> bool:
    if record.kind is Kind.EPOCH:
        return log.epoch >= int.from_bytes(record.payload, "little")
    return record.sequence < next_sequence
