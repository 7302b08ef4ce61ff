"""The records of an acquisition, as a rig keeps and sends them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from enum import IntEnum
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikewire.core.dtypes import AnyArray, IntArray
from spikewire.v1 import acquisition_service_pb2 as pb
from spikewire.wire.chunks import encode_spikes
from spikewire.wire.unit_ids import unit_ids_to_proto


class Kind(IntEnum):
    """What a record says; the numbers are in files and never change."""

    SPIKES = 1
    UNITS = 2
    SEGMENT = 3
    SYNC = 4


class Draft(NamedTuple):
    """A record that has no number yet."""

    kind: Kind
    payload: bytes
    """Its field of AppendSpikesRequest, serialized: these bytes are spooled, sent and stored."""
    spike_count: int = 0


class Record(NamedTuple):
    """A numbered record."""

    kind: Kind
    sequence: int
    payload: bytes
    spike_count: int
    time_ns: int
    """When it was appended, in nanoseconds since 1970, by the rig's clock."""


def batches(
    samples: IntArray, unit_indices: NDArray[np.integer[Any]], segment_index: int
) -> list[Draft]:
    """Return the records of a batch of spikes, more than one if it is larger than a chunk.

    Parameters
    ----------
    samples : ndarray of int64, shape (spikes,)
        Ascending.
    unit_indices : ndarray of int, shape (spikes,)
        Positions in the units announced so far.
    segment_index : int
        The segment.
    """
    return [
        Draft(
            Kind.SPIKES,
            pb.AppendSpikesRequest(chunks=[chunk]).SerializeToString(),
            chunk.spike_count,
        )
        for chunk in encode_spikes(samples, unit_indices, segment_index)
    ]


def units_added(unit_ids: AnyArray) -> Draft:
    """Return the record that announces units."""
    added = pb.UnitsAdded(unit_ids=unit_ids_to_proto(unit_ids))
    return _draft(Kind.UNITS, pb.AppendSpikesRequest(units_added=added))


def segment_started(t_start: float | None) -> Draft:
    """Return the record that starts a segment, at a time in seconds if it is known."""
    started = pb.SegmentStarted(t_start_seconds=t_start)
    return _draft(Kind.SEGMENT, pb.AppendSpikesRequest(segment_started=started))


def sync_point(segment_index: int, sample_index: int, time: float) -> Draft:
    """Return the record that says at which common time, in seconds, a sample was taken."""
    point = pb.SyncPoint(segment_index=segment_index, sample_index=sample_index, time_seconds=time)
    return _draft(Kind.SYNC, pb.AppendSpikesRequest(sync_point=point))


def messages(records: Sequence[Record]) -> Iterator[bytes]:
    """Yield AppendSpikesRequest messages: a run of batches is one, every other record is one."""
    for is_batch, run in groupby(records, lambda record: record.kind is Kind.SPIKES):
        if is_batch:
            yield _message(run)
        else:
            yield from (_message([record]) for record in run)


def _message(records: Iterable[Record]) -> bytes:
    # A serialized message is its fields in any order: payloads need no decoding.
    records = list(records)
    number = pb.AppendSpikesRequest(sequence=records[0].sequence)
    return b"".join([*(record.payload for record in records), number.SerializeToString()])


def _draft(kind: Kind, request: pb.AppendSpikesRequest) -> Draft:
    return Draft(kind, request.SerializeToString(deterministic=True))
