"""What a follower knows of an acquisition, whichever way its messages come."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Literal, TypeAlias

import numpy as np

from spikewire.core.dtypes import AnyArray, IntArray
from spikewire.core.errors import InvalidValueError, MalformedMessageError, UnitNotFoundError
from spikewire.core.unit_ids import as_unit_ids, some
from spikewire.v1 import acquisition_service_pb2 as pb
from spikewire.v1.sorting_pb2 import Segment
from spikewire.v1.spike_train_pb2 import SpikeChunk
from spikewire.wire.chunks import MAX_CHUNK_SPIKES, decode_spikes
from spikewire.wire.unit_ids import selection_to_proto, unit_ids_from_proto

Start: TypeAlias = Literal["begin", "now"] | bytes


@dataclass(frozen=True, eq=False)
class SpikeBlock:
    """Spikes of one segment that came together, in the order in which they were appended."""

    sample_index: IntArray
    """int64, (spikes,); ascending within a batch of the rig, not from batch to batch."""
    unit_ids: AnyArray
    """The unit of each spike, (spikes,)."""
    unit_index: IntArray
    """int64, (spikes,): the positions of these in the `unit_ids` of the follower."""
    segment_index: int
    """The segment."""
    cursor: bytes
    """Where `Client.follow` goes on so that nothing behind this block is missed. Spikes
    that the server sent together with it may come again if they are of several segments."""
    latency: float
    """Seconds from when the spikes were on the server's disk until they were here: as the
    clocks of both machines say, so it may be negative."""

    def __len__(self) -> int:
        """The number of spikes."""
        return len(self.sample_index)


class Following:
    """Where a follower is.

    Parameters
    ----------
    acquisition : Acquisition
        What the server told of it.
    start : {"begin", "now"} or bytes
        Where to begin; bytes are the cursor of a block.
    unit_ids : iterable, optional
        The units that are wanted; by default all, also those to come.

    Attributes
    ----------
    unit_ids : ndarray, shape (units,)
        The units announced so far.
    t_starts : list of float or None
        The time of sample 0 of each segment started so far, in seconds, where stated.
    cursor : bytes
        Behind the last message; empty before the first.
    is_finished : bool
        Whether the acquisition has ended, and everything has come.

    Raises
    ------
    InvalidValueError
        `start` is nothing where one can begin.
    UnitNotFoundError
        A unit that is wanted was not announced yet.
    """

    def __init__(
        self, acquisition: pb.Acquisition, start: Start, unit_ids: Iterable[Any] | None
    ) -> None:
        if not isinstance(start, bytes) and start not in ("begin", "now"):
            raise InvalidValueError(
                f"start must be 'begin', 'now' or the cursor of a block, not {start!r}"
            )
        self.name = acquisition.name
        self.sampling_frequency = acquisition.sampling_frequency_hz
        self.unit_ids = as_unit_ids(unit_ids_from_proto(acquisition.unit_ids))
        self.t_starts = [_t_start(segment) for segment in acquisition.segments]
        self.cursor = start if isinstance(start, bytes) else b""
        self.is_finished = False
        self._announced = acquisition.next_sequence  # what records below announce is known
        self._from_now = start == "now"
        self._units = selection_to_proto(self._indices(unit_ids))

    def request(self) -> pb.FollowSpikesRequest:
        """Return what to ask for next."""
        request = pb.FollowSpikesRequest(name=self.name, units=self._units)
        if self.cursor:
            request.cursor = self.cursor
        elif self._from_now:
            request.from_now = True
        else:
            request.from_begin = True
        return request

    def take_present(self, message: pb.FollowSpikesResponse) -> bool:
        """Take the messages that tell who begins now where that is; False when it is told."""
        if message.WhichOneof("record") is not None:
            return True
        self.cursor = message.cursor
        return False

    def take(self, message: pb.FollowSpikesResponse) -> list[SpikeBlock]:
        """Take note of what a message announces; return its spikes.

        Raises
        ------
        MalformedMessageError
            It breaks a rule of the protocol.
        """
        latency = time.time() - message.commit_time.ToNanoseconds() / 1e9
        if message.sequence >= self._announced:
            self._take_announcement(message)
        runs = [list(run) for _, run in groupby(message.chunks, lambda chunk: chunk.segment_index)]
        cursors = [self.cursor] * (len(runs) - 1) + [message.cursor]
        blocks = [
            self._block(run, cursor, latency) for run, cursor in zip(runs, cursors, strict=False)
        ]
        self.cursor = message.cursor
        self.is_finished = message.HasField("finished")
        return blocks

    def _take_announcement(self, message: pb.FollowSpikesResponse) -> None:
        match message.WhichOneof("record"):
            case "units_added":
                added = unit_ids_from_proto(message.units_added.unit_ids)
                every = np.concatenate([self.unit_ids, added]) if len(self.unit_ids) else added
                self.unit_ids = as_unit_ids(every)
            case "segment_started":
                self.t_starts.append(_t_start(message.segment_started))

    def _block(self, chunks: list[SpikeChunk], cursor: bytes, latency: float) -> SpikeBlock:
        for chunk in chunks:
            if not 0 < chunk.spike_count <= MAX_CHUNK_SPIKES:
                raise MalformedMessageError(f"a chunk says that it has {chunk.spike_count} spikes")
        count = sum(chunk.spike_count for chunk in chunks)
        samples, units = np.empty(count, np.int64), np.empty(count, np.int64)
        start = 0
        for chunk in chunks:
            stop = start + chunk.spike_count
            decode_spikes(chunk, samples[start:stop], units[start:stop], len(self.unit_ids))
            start = stop
        segment = chunks[0].segment_index
        return SpikeBlock(samples, self.unit_ids[units], units, segment, cursor, latency)

    def _indices(self, unit_ids: Iterable[Any] | None) -> list[int] | None:
        if unit_ids is None:
            return None
        positions = {unit_id: index for index, unit_id in enumerate(self.unit_ids.tolist())}
        wanted = list(unit_ids)
        unknown = [unit_id for unit_id in wanted if unit_id not in positions]
        if unknown:
            raise UnitNotFoundError(f"{self.name!r} has no units {some(unknown)} yet")
        return [positions[unit_id] for unit_id in wanted]


def _t_start(segment: Segment | pb.SegmentStarted) -> float | None:
    return segment.t_start_seconds if segment.HasField("t_start_seconds") else None
