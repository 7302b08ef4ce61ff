"""Sends the records of an acquisition to one follower: those that there are, then those to come."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from spikewire.v1 import acquisition_service_pb2 as pb
from spikewire_server.acquisition.follow_messages import (
    Message,
    Messages,
    Position,
    announcement,
    heartbeat,
    next_message,
    pack_cursor,
)
from spikewire_server.acquisition.record import Kind
from spikewire_server.acquisition.recording import Recording
from spikewire_server.acquisition.signal import Signal
from spikewire_server.workers import Workers

HEARTBEAT_SECONDS = 5.0


class Feed(Protocol):
    """An acquisition that can be followed."""

    recording: Recording
    messages: Messages
    changed: Signal

    def check_waiting(self) -> None:
        """Raise if it was deleted, or the server stops."""


class EndedFeed:
    """An acquisition that has ended: nobody waits here."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self.messages = Messages(recording)
        self.changed = Signal()

    def check_waiting(self) -> None:
        """Do nothing: a log goes when its last reader does."""


class Followed:
    """One acquisition that somebody follows, and how far he is.

    Parameters
    ----------
    feed : Feed
        The acquisition.
    position : Position
        Where to begin.
    units : ndarray of bool, shape (units,), optional
        Which units to send.
    """

    def __init__(self, feed: Feed, position: Position, units: NDArray[np.bool_] | None) -> None:
        self.feed = feed
        self.position = position
        self.units = units
        recording = feed.recording
        if recording.is_finished and position.sequence >= recording.next_sequence:
            # Who comes back is told once more that it is over.
            self.position = Position(recording.next_sequence - 1)
        self.is_over = False

    @property
    def has_more(self) -> bool:
        """Whether there are records to send."""
        return not self.is_over and self.position.sequence < self.feed.recording.next_sequence

    @property
    def cursor(self) -> bytes:
        """How far he is, as clients keep it."""
        return pack_cursor(self.feed.recording.acquisition_id, self.position)

    async def begin(self, workers: Workers) -> AsyncGenerator[bytes, None]:
        """Yield what was announced before the place where to begin, for who leaves the past out."""
        position = self.position
        if position.sequence >= position.spikes_from:
            return
        recording = self.feed.recording
        for sequence in _announcements(recording, position):
            message = await workers.run(announcement, recording, sequence, position.spikes_from)
            yield message.data
        self.position = Position(position.spikes_from)
        # At once, so that who began now and lost the stream goes on from here.
        yield heartbeat(recording, self.position)

    async def take(self, workers: Workers) -> bytes:
        """Return the next message, and go on behind it; empty if it has none of the units."""
        message = await _message(self.feed, self.position.sequence, self.units, workers)
        self.position = Position(message.stop)
        self.is_over = message.is_last
        return message.data


async def follow(sources: Sequence[Followed], workers: Workers) -> AsyncGenerator[bytes, None]:
    """Yield serialized FollowSpikesResponse messages until the acquisitions are finished.

    A follower has no queue, only positions: what is pending when it can take a
    message again goes into that message, up to 1 MiB.

    Parameters
    ----------
    sources : sequence of Followed
        What to follow; their messages name them if they are several.
    workers : Workers
        Read what is no longer in memory.

    Raises
    ------
    SortingNotFoundError
        If one that goes on is deleted meanwhile.
    """
    for source in sources:
        async with aclosing(source.begin(workers)) as messages:
            async for data in messages:
                yield data + _origin(source, sources)
    quiet_since = time.monotonic()
    with Signal.any_of([source.feed.changed for source in sources]) as changed:
        while not all(source.is_over for source in sources):
            is_moving = False
            for source in sources:  # in turn: one that has much does not hold up the others
                if not source.is_over:
                    source.feed.check_waiting()
                if source.has_more:
                    is_moving = True
                    data = await source.take(workers)
                    if data:
                        yield data + _origin(source, sources)
                        quiet_since = time.monotonic()
            if is_moving:
                continue
            if time.monotonic() - quiet_since >= HEARTBEAT_SECONDS:
                first = sources[0]
                yield heartbeat(first.feed.recording, first.position) + _origin(first, sources)
                quiet_since = time.monotonic()
                continue
            await changed.wait()


def _origin(source: Followed, sources: Sequence[Followed]) -> bytes:
    """Return the end of a message of one of several: its name, and the cursor of all.

    The stored bytes stay as they are: of a field that comes twice, the last one counts.
    """
    if len(sources) == 1:
        return b""
    return pb.FollowSpikesResponse(
        source_name=source.feed.recording.name,
        cursor=b"".join(other.cursor for other in sources),
    ).SerializeToString()


def _announcements(recording: Recording, position: Position) -> list[int]:
    first = position.sequence
    kinds = recording.log.records.rows_of(first, position.spikes_from).kind
    others = (kinds != Kind.SPIKES) & (kinds != Kind.FINISHED)
    return (np.flatnonzero(others) + first).tolist()


async def _message(
    feed: Feed, first: int, units: NDArray[np.bool_] | None, workers: Workers
) -> Message:
    recording = feed.recording
    if units is None:
        kept = feed.messages.kept(first)
        if kept is not None:
            return kept
    if units is None and recording.log.is_recent(first):
        message = next_message(recording, first)
    else:
        message = await workers.run(next_message, recording, first, units)
    if units is None:
        feed.messages.keep(first, message)
    return message
