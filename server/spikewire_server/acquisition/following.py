"""Sends the records of an acquisition to one follower: those that there are, then those to come."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from spikewire_server.acquisition.follow_messages import (
    Message,
    Messages,
    Position,
    announcement,
    heartbeat,
    next_message,
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


async def follow(
    feed: Feed, position: Position, units: NDArray[np.bool_] | None, workers: Workers
) -> AsyncGenerator[bytes, None]:
    """Yield serialized FollowSpikesResponse messages until the acquisition is finished.

    A follower has no queue, only a position: what is pending when it can take a
    message again goes into that message, up to 1 MiB.

    Parameters
    ----------
    feed : Feed
        What to follow.
    position : Position
        Where to begin.
    units : ndarray of bool, shape (units,), optional
        Which units to send.
    workers : Workers
        Read what is no longer in memory.

    Raises
    ------
    SortingNotFoundError
        If it is deleted meanwhile.
    """
    recording = feed.recording
    if position.sequence < position.spikes_from:
        for sequence in _announcements(recording, position):
            message = await workers.run(announcement, recording, sequence, position.spikes_from)
            yield message.data
        position = Position(position.spikes_from)
        # At once, so that who began now and lost the stream goes on from here.
        yield heartbeat(recording, position)
    quiet_since = time.monotonic()
    while True:
        feed.check_waiting()
        if position.sequence < recording.next_sequence:
            message = await _message(feed, position.sequence, units, workers)
            position = Position(message.stop)
            if message.data:
                yield message.data
                quiet_since = time.monotonic()
            if message.is_last:
                return
            continue
        if time.monotonic() - quiet_since >= HEARTBEAT_SECONDS:
            yield heartbeat(recording, position)
            quiet_since = time.monotonic()
            continue
        await feed.changed.wait()


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
