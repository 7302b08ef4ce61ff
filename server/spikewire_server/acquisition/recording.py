"""An acquisition as far as it is on disk: what readers and followers see of it."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from spikewire.v1 import acquisition_service_pb2 as pb
from spikewire.wire.unit_ids import unit_ids_from_proto
from spikewire_server.acquisition.counting import SegmentCounts
from spikewire_server.acquisition.log import SpikeLog
from spikewire_server.acquisition.record import Kind
from spikewire_server.acquisition.roster import Roster


class Recording:
    """The durable records of an acquisition; safe to ask from several threads.

    Parameters
    ----------
    log : SpikeLog
        Its records.
    """

    def __init__(self, log: SpikeLog) -> None:
        self.log = log
        self.roster = Roster()
        self._counts: dict[int, SegmentCounts] = {}
        self._request = pb.StartAcquisitionRequest.FromString(log.started)
        kinds = log.records.rows.kind
        for sequence in (np.flatnonzero(kinds != Kind.SPIKES) + 1).tolist():
            (payload,) = log.read(sequence, sequence + 1)
            announce(self.roster, sequence, Kind(kinds[sequence - 1]), payload, max_units=1 << 32)

    @property
    def acquisition_id(self) -> str:
        """Identifies it among all that had its name."""
        return self.log.acquisition_id

    @property
    def name(self) -> str:
        """The name that it was begun with."""
        return self._request.name

    @property
    def request_id(self) -> str:
        """What the client chose when it began."""
        return self._request.request_id

    @property
    def sampling_frequency(self) -> float:
        """In Hz."""
        return self._request.sampling_frequency_hz

    @property
    def start_time(self) -> datetime:
        """When it was begun, in UTC."""
        return datetime.fromtimestamp(self.log.start_time_ns / 1e9, UTC)

    @property
    def next_sequence(self) -> int:
        """The sequence behind the last record on disk."""
        return self.log.records.next_sequence

    @property
    def is_finished(self) -> bool:
        """Whether nothing more will come."""
        count = len(self.log.records)
        return count > 0 and self.log.records.kind_of(count) == Kind.FINISHED

    @property
    def last_sequence(self) -> int:
        """The last record on disk that says something of the sorting: its end does not."""
        return self.next_sequence - 1 - self.is_finished

    def counts(self, sequence: int, segment_index: int) -> NDArray[np.int64]:
        """Return how many spikes each unit has in a segment up to a record, shape (units,)."""
        counts = self._counts.setdefault(segment_index, SegmentCounts(self.log, segment_index))
        return counts.up_to(sequence, len(self.roster.unit_ids_at(sequence)))

    def revision_at(self, sequence: int) -> str:
        """Return the revision of the sorting up to a record."""
        return f"{self.acquisition_id}.{sequence}"


def parse_revision(revision: str) -> tuple[str, int] | None:
    """Return acquisition and sequence of a live revision; None if it is of another kind."""
    acquisition_id, dot, sequence = revision.partition(".")
    if not dot or not sequence.isascii() or not sequence.isdecimal() or len(sequence) > 19:
        return None
    return acquisition_id, int(sequence)


def announce(
    roster: Roster, sequence: int, kind: Kind, payload: bytes | memoryview, max_units: int
) -> None:
    """Enter in a roster what a record that is no batch announces.

    Raises
    ------
    SpikewireError
        If it cannot be announced; the roster is then as it was.
    """
    match kind:
        case Kind.UNITS:
            units = pb.UnitsAdded.FromString(bytes(payload)).unit_ids
            roster.add_units(sequence, unit_ids_from_proto(units), max_units)
        case Kind.SEGMENT:
            started = pb.SegmentStarted.FromString(bytes(payload))
            t_start = started.t_start_seconds if started.HasField("t_start_seconds") else None
            roster.start_segment(sequence, t_start)
        case Kind.SYNC:
            point = pb.SyncPoint.FromString(bytes(payload))
            roster.add_sync_point(
                sequence, point.segment_index, point.sample_index, point.time_seconds
            )
