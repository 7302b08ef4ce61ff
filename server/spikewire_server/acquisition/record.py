"""One record of a log: what it says, and the header before it on disk."""

from __future__ import annotations

import struct
import zlib
from enum import IntEnum
from typing import NamedTuple

# magic, checksum of what follows, length and checksum of the payload; sequence, first sequence
# of the group, first spike index, smallest and largest sample, time; spikes, segment; kind
_HEADER = struct.Struct("<4sIIIQQQqqqIIB7x")
_CHECKED_FROM = 8

MAGIC = b"SWr\x01"
HEADER_BYTES = _HEADER.size
MAX_PAYLOAD_BYTES = 64 * 1024 * 1024
"""More than any message that a server accepts; a longer length is damage."""


class Kind(IntEnum):
    """What a record says; the numbers are in files and never change."""

    STARTED = 0
    """A serialized StartAcquisitionRequest: the first record, without a sequence."""
    EPOCH = 1
    """A writer took over: its epoch, 8 bytes; without a sequence."""
    SPIKES = 2
    """A batch as it lies in field 1 of AppendSpikesRequest: tag, length, SpikeChunk."""
    UNITS = 3
    """A serialized UnitsAdded."""
    SEGMENT = 4
    """A serialized SegmentStarted."""
    SYNC = 5
    """A serialized SyncPoint."""
    FINISHED = 6
    """Nothing more will come; no payload."""


NUMBERED = frozenset({Kind.SPIKES, Kind.UNITS, Kind.SEGMENT, Kind.SYNC, Kind.FINISHED})
"""The kinds that followers see; the others are between the server and itself."""


class Record(NamedTuple):
    """A record that was accepted."""

    kind: Kind
    sequence: int
    """Its number; of an unnumbered record the number of the one that comes next."""
    payload: bytes
    crc: int
    """What a repeat is judged by."""
    first_spike_index: int
    """How many spikes of the acquisition come before it."""
    spike_count: int = 0
    segment_index: int = 0
    min_sample: int = 0
    max_sample: int = 0


class Header(NamedTuple):
    """What stands before a payload."""

    record: Record
    """The record, its payload left empty."""
    payload_bytes: int
    group_sequence: int
    """The first sequence of the group that it was committed with: all below was on disk."""
    time_ns: int
    """When it was written, in nanoseconds since 1970."""


def checksum(kind: Kind, payload: bytes) -> int:
    """Return the checksum of what a record says."""
    return zlib.crc32(payload, kind)


def pack_header(record: Record, group_sequence: int, time_ns: int) -> bytes:
    """Return the bytes that stand before the payload of a record."""
    fields = (
        len(record.payload),
        record.crc,
        record.sequence,
        group_sequence,
        record.first_spike_index,
        record.min_sample,
        record.max_sample,
        time_ns,
        record.spike_count,
        record.segment_index,
        record.kind,
    )
    crc = zlib.crc32(_HEADER.pack(MAGIC, 0, *fields)[_CHECKED_FROM:])
    return _HEADER.pack(MAGIC, crc, *fields)


def unpack_header(data: bytes | memoryview) -> Header | None:
    """Return the header in the first bytes of some data; None if there is none."""
    if len(data) < HEADER_BYTES or data[:4] != MAGIC:
        return None
    _, crc, length, payload_crc, sequence, group, *place, time_ns, spikes, segment, kind = (
        _HEADER.unpack_from(data)
    )
    if zlib.crc32(data[_CHECKED_FROM:HEADER_BYTES]) != crc or length > MAX_PAYLOAD_BYTES:
        return None
    first_spike, low, high = place
    try:
        record = Record(
            Kind(kind), sequence, b"", payload_crc, first_spike, spikes, segment, low, high
        )
    except ValueError:  # a kind of a later release
        return None
    return Header(record, length, group, time_ns)
