"""FollowSpikesResponse put together from stored records, which need no decoding."""

from __future__ import annotations

import struct
from collections import OrderedDict
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikewire.core.errors import InvalidValueError
from spikewire.v1 import acquisition_service_pb2 as pb
from spikewire.wire.chunks import encode_spikes
from spikewire_server.acquisition.append_messages import decode_batch
from spikewire_server.acquisition.record import Kind
from spikewire_server.acquisition.recording import Recording

MAX_MESSAGE_BYTES = 1024 * 1024
_MAX_MESSAGE_RECORDS = 4096
_CURSOR = struct.Struct("<B16sQQ")
_CURSOR_VERSION = 1
_KEPT_MESSAGES = 16


class Position(NamedTuple):
    """Where a follower is."""

    sequence: int = 1
    """The next record that it may need."""
    spikes_from: int = 0
    """Batches below this sequence are left out: who begins now needs the units, not the past."""


class Message(NamedTuple):
    """One message to followers."""

    data: bytes
    """A serialized FollowSpikesResponse."""
    stop: int
    """The sequence behind the last record in it."""
    is_full: bool
    """Whether it ends for another reason than that there were no more records."""
    is_last: bool = False
    """Whether the acquisition ends with it."""


def pack_cursor(acquisition_id: str, position: Position) -> bytes:
    """Return a position as clients keep it."""
    return _CURSOR.pack(_CURSOR_VERSION, bytes.fromhex(acquisition_id), *position)


def unpack_cursor(cursor: bytes) -> dict[str, Position]:
    """Return the acquisitions and the positions in them that a cursor means.

    That of several acquisitions is the cursors of each, one behind the other.

    Raises
    ------
    InvalidValueError
        If it is none of ours.
    """
    positions = {}
    for start in range(0, max(len(cursor), 1), _CURSOR.size):
        part = cursor[start : start + _CURSOR.size]
        if len(part) != _CURSOR.size or part[0] != _CURSOR_VERSION:
            raise InvalidValueError("field cursor: it is not one that this server gave")
        _, acquisition_id, sequence, spikes_from = _CURSOR.unpack(part)
        positions[acquisition_id.hex()] = Position(max(sequence, 1), spikes_from)
    return positions


class Messages:
    """The messages of one recording; followers who are at the same place share them.

    Made by any thread, kept and asked for by the event loop alone.
    """

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self._kept: OrderedDict[int, Message] = OrderedDict()

    def kept(self, first: int) -> Message | None:
        """Return the message that begins with a record, if it was made and is as long as can be."""
        message = self._kept.get(first)
        if message and (message.is_full or message.stop == self._recording.next_sequence):
            return message
        return None

    def keep(self, first: int, message: Message) -> None:
        """Keep a message for those who come to the same place."""
        self._kept[first] = message
        self._kept.move_to_end(first)
        if len(self._kept) > _KEPT_MESSAGES:
            self._kept.popitem(last=False)


def next_message(
    recording: Recording, first: int, units: NDArray[np.bool_] | None = None
) -> Message:
    """Return the message that begins with a record: as many batches as fit, or one other record.

    Parameters
    ----------
    recording : Recording
        Has the records.
    first : int
        The record's sequence.
    units : ndarray of bool, shape (units,), optional
        Which units to send; units announced later are left out.
    """
    if recording.log.records.kind_of(first) != Kind.SPIKES:
        return announcement(recording, first)
    stop = _end_of_batches(recording, first)
    tail = _tail(recording, first, Position(stop))
    is_full = stop < recording.next_sequence
    payloads = recording.log.read(first, stop)
    if units is None:
        return Message(b"".join([*payloads, tail.SerializeToString()]), stop, is_full)
    for payload in payloads:
        _add_chosen(tail, payload, units)
    return Message(tail.SerializeToString() if tail.chunks else b"", stop, is_full)


def announcement(recording: Recording, sequence: int, spikes_from: int = 0) -> Message:
    """Return the message of a record that is no batch."""
    after = Position(sequence + 1, spikes_from)
    message = _tail(recording, sequence, after)
    kind = Kind(recording.log.records.kind_of(sequence))
    payload = bytes(recording.log.read(sequence, sequence + 1)[0])
    match kind:
        case Kind.UNITS:
            message.units_added.MergeFromString(payload)
        case Kind.SEGMENT:
            message.segment_started.MergeFromString(payload)
            message.segment_started.SetInParent()
        case Kind.SYNC:
            message.sync_point.MergeFromString(payload)
            message.sync_point.SetInParent()
        case Kind.FINISHED:
            message.finished.SetInParent()
    return Message(message.SerializeToString(), after.sequence, True, kind is Kind.FINISHED)


def heartbeat(recording: Recording, position: Position) -> bytes:
    """Return a message that holds nothing but where a follower is."""
    return pb.FollowSpikesResponse(
        sequence=position.sequence,
        first_spike_index=recording.log.records.spikes_before(position.sequence),
        cursor=pack_cursor(recording.acquisition_id, position),
    ).SerializeToString()


def _end_of_batches(recording: Recording, first: int) -> int:
    """Return the sequence behind as many batches as fit in a message that begins with one."""
    if first + 1 == recording.next_sequence:  # as it is for followers who keep up
        return first + 1
    rows = recording.log.records.rows_of(first, first + _MAX_MESSAGE_RECORDS)
    ends = rows.offset + rows.length - rows.offset[0]
    count = max(int(np.searchsorted(ends, MAX_MESSAGE_BYTES, side="right")), 1)
    others = np.flatnonzero(rows.kind[:count] != Kind.SPIKES)
    return first + (int(others[0]) if len(others) else count)


def _tail(recording: Recording, first: int, after: Position) -> pb.FollowSpikesResponse:
    message = pb.FollowSpikesResponse(
        sequence=first,
        first_spike_index=recording.log.records.spikes_before(first),
        cursor=pack_cursor(recording.acquisition_id, after),
    )
    time = message.commit_time
    time.seconds, time.nanos = divmod(recording.log.time_ns(after.sequence - 1), 10**9)
    return message


def _add_chosen(
    message: pb.FollowSpikesResponse, payload: memoryview, units: NDArray[np.bool_]
) -> None:
    samples, unit_indices, segment_index = decode_batch(payload)
    chosen = unit_indices < len(units)
    chosen[chosen] = units[unit_indices[chosen]]
    message.chunks.extend(encode_spikes(samples[chosen], unit_indices[chosen], segment_index))
