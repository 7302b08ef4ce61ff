"""What a follower knows of an acquisition, whichever way its messages come."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby, takewhile, zip_longest
from typing import Any, Literal, TypeAlias

import numpy as np

from spikewire.core.clocks import Clock
from spikewire.core.dtypes import AnyArray, FloatArray, IntArray
from spikewire.core.errors import InvalidValueError, MalformedMessageError, UnitNotFoundError
from spikewire.core.unit_ids import as_unit_ids, ids_side_by_side, of_one_dtype, some
from spikewire.v1 import acquisition_service_pb2 as pb
from spikewire.v1.sorting_pb2 import Segment
from spikewire.v1.spike_train_pb2 import SpikeChunk
from spikewire.v1.spike_train_service_pb2 import UnitSelection
from spikewire.wire.chunks import MAX_CHUNK_SPIKES, decode_spikes
from spikewire.wire.unit_ids import selection_to_proto, unit_ids_from_proto, unit_ids_to_proto

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
    clock: Clock
    """How the samples become seconds, as far as it was known when they came."""
    source_name: str
    """The acquisition that they are of: of those that a view shows as one, its name."""
    latency: float
    """Seconds from when the spikes were on the server's disk until they were here: as the
    clocks of both machines say, so it may be negative."""

    @property
    def times(self) -> FloatArray:
        """The time of each spike in seconds, (spikes,).

        By the sync points of its own rig where it has sent some, else by the start time of
        the segment and the sampling frequency.
        """
        times: FloatArray = self.clock.times_at(self.sample_index)
        return times

    def __len__(self) -> int:
        """The number of spikes."""
        return len(self.sample_index)


class _Source:
    """One acquisition, as far as its messages have told."""

    def __init__(self, acquisition: pb.Acquisition) -> None:
        self.name = acquisition.name
        self.sampling_frequency = acquisition.sampling_frequency_hz
        self.unit_ids = as_unit_ids(unit_ids_from_proto(acquisition.unit_ids))
        self.t_starts = [_t_start(segment) for segment in acquisition.segments]
        self.is_finished = False
        self._announced = acquisition.next_sequence  # what records below announce is known
        self._points: dict[int, tuple[list[int], list[float]]] = {}
        for index, segment in enumerate(acquisition.segments):
            for known in segment.clocks:
                self._points[index] = list(known.sample_indices), list(known.times_seconds)
        self._clocks: dict[int, Clock] = {}

    def take(self, message: pb.FollowSpikesResponse) -> None:
        """Take note of what a message announces."""
        self.is_finished |= message.HasField("finished")
        if message.sequence < self._announced:
            return
        match message.WhichOneof("record"):
            case "units_added":
                added = unit_ids_from_proto(message.units_added.unit_ids)
                every = np.concatenate([self.unit_ids, added]) if len(self.unit_ids) else added
                self.unit_ids = as_unit_ids(every)
            case "segment_started":
                self.t_starts.append(_t_start(message.segment_started))
            case "sync_point":
                point = message.sync_point
                samples, seconds = self._points.setdefault(point.segment_index, ([], []))
                samples.append(point.sample_index)
                seconds.append(point.time_seconds)
                self._clocks.pop(point.segment_index, None)
            case _:
                return
        # Who lost the stream may be told again.
        self._announced = message.sequence + 1

    def clock(self, segment_index: int) -> Clock:
        """Return how the samples of a segment become seconds."""
        clock = self._clocks.get(segment_index)
        if clock is None:
            points = self._points.get(segment_index)
            if points is None:
                start = self.t_starts[segment_index] if segment_index < len(self.t_starts) else None
                points = [0], [start or 0.0]
            try:
                clock = Clock(*points, self.sampling_frequency)
            except InvalidValueError as error:
                raise MalformedMessageError(f"impossible sync points: {error}") from error
            self._clocks[segment_index] = clock
        return clock


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
    cursor : bytes
        Behind the last message; empty before the first.

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
        self._sources = [_Source(source) for source in acquisition.sources or [acquisition]]
        self._by_name = {source.name: source for source in self._sources}
        self.unit_ids = self._known_units()
        self.cursor = start if isinstance(start, bytes) else b""
        self._from_now = start == "now"
        self._wanted = None if unit_ids is None else self._places(unit_ids)

    @property
    def is_finished(self) -> bool:
        """Whether the acquisition has ended, and everything has come."""
        return all(source.is_finished for source in self._sources)

    @property
    def t_starts(self) -> list[float | None]:
        """The time of sample 0 of each segment started so far, in seconds, where stated."""
        together = zip_longest(*(source.t_starts for source in self._sources))
        return [next((start for start in starts if start is not None), None) for starts in together]

    def request(self) -> pb.FollowSpikesRequest:
        """Return what to ask for next."""
        request = pb.FollowSpikesRequest(name=self.name, units=self._selection())
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
        source = self._source_of(message)
        source.take(message)
        if message.HasField("units_added"):
            self.unit_ids = self._known_units()
        runs = [list(run) for _, run in groupby(message.chunks, lambda chunk: chunk.segment_index)]
        cursors = [self.cursor] * (len(runs) - 1) + [message.cursor]
        blocks = [
            self._block(source, run, cursor, latency)
            for run, cursor in zip(runs, cursors, strict=False)
        ]
        self.cursor = message.cursor
        return blocks

    def _source_of(self, message: pb.FollowSpikesResponse) -> _Source:
        if len(self._sources) == 1:
            return self._sources[0]
        source = self._by_name.get(message.source_name)
        if source is None:
            raise MalformedMessageError(
                f"{message.source_name!r} is none of what {self.name!r} was made of: follow it anew"
            )
        return source

    def _known_units(self) -> AnyArray:
        known = [source.unit_ids for source in self._sources]
        return known[0] if len(known) == 1 else as_unit_ids(ids_side_by_side(of_one_dtype(known)))

    def _first_index(self, source: _Source) -> int:
        """Return the position of the first unit of a source among those of all."""
        before = takewhile(lambda other: other is not source, self._sources)
        return sum(len(other.unit_ids) for other in before)

    def _block(
        self, source: _Source, chunks: list[SpikeChunk], cursor: bytes, latency: float
    ) -> SpikeBlock:
        for chunk in chunks:
            if not 0 < chunk.spike_count <= MAX_CHUNK_SPIKES:
                raise MalformedMessageError(f"a chunk says that it has {chunk.spike_count} spikes")
        count = sum(chunk.spike_count for chunk in chunks)
        samples, units = np.empty(count, np.int64), np.empty(count, np.int64)
        start = 0
        for chunk in chunks:
            stop = start + chunk.spike_count
            decode_spikes(chunk, samples[start:stop], units[start:stop], len(source.unit_ids))
            start = stop
        units += self._first_index(source)
        segment = chunks[0].segment_index
        clock = source.clock(segment)
        return SpikeBlock(
            samples, self.unit_ids[units], units, segment, cursor, clock, source.name, latency
        )

    def _places(self, unit_ids: Iterable[Any]) -> list[tuple[_Source, int]]:
        """Return of which source, and there at which position, units are."""
        every = [
            (source, index) for source in self._sources for index in range(len(source.unit_ids))
        ]
        places = dict(zip(self.unit_ids.tolist(), every, strict=True))
        wanted = list(unit_ids)
        unknown = [unit_id for unit_id in wanted if unit_id not in places]
        if unknown:
            raise UnitNotFoundError(f"{self.name!r} has no units {some(unknown)} yet")
        return [places[unit_id] for unit_id in wanted]

    def _selection(self) -> UnitSelection:
        if self._wanted is None:
            return UnitSelection()
        indices = [self._first_index(source) + index for source, index in self._wanted]
        if len(self._sources) == 1:
            return selection_to_proto(indices)
        # Of several rigs the positions may move before the server looks at them.
        return UnitSelection(unit_ids=unit_ids_to_proto(self.unit_ids[indices]))


def _t_start(segment: Segment | pb.SegmentStarted) -> float | None:
    return segment.t_start_seconds if segment.HasField("t_start_seconds") else None
