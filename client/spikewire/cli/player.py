"""Plays a recorded sorting as a rig would record it."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikewire.core.dtypes import IntArray
from spikewire.core.errors import InvalidValueError
from spikewire.core.sorting import BaseSorting

if TYPE_CHECKING:
    from spikewire.remote.live.writer import SpikeWriter

# Without a clock that holds it back, a player must not fill the spool's disk.
_MAX_AHEAD_SPIKES = 4_000_000
_UNTIMED_SPIKES = 65_536


class Position(NamedTuple):
    """Where in a sorting a player begins."""

    segment_index: int = 0
    start_frame: int | None = None
    skipped: int = 0
    """How many spikes from that frame on were played."""


class Player:
    """Plays a recorded sorting as a rig would record it: batches, when their time has come.

    The clock begins with the first spike that is played of each segment. The source is
    read some spikes at a time.

    Parameters
    ----------
    source : BaseSorting
        What is played.
    writer : SpikeWriter
        What records; its units are those of the source.
    speed : float
        How many times as fast as it was recorded; inf plays as fast as it can be recorded.
    batch_seconds : float
        How much time of the recording makes a batch.

    Attributes
    ----------
    seconds : float
        The time of the recording that was played.
    late : float
        By how many seconds the last batch was too late.
    latest : float
        By how many any batch was too late at most.
    """

    def __init__(
        self, source: BaseSorting, writer: SpikeWriter, speed: float, batch_seconds: float
    ) -> None:
        self.seconds = self.late = self.latest = 0.0
        self._source = source
        self._writer = writer
        self._speed = speed
        self._rate = source.get_sampling_frequency()
        self._batch_frames = max(round(batch_seconds * self._rate), 1)
        self._unit_ids = source.unit_ids

    def play(self, position: Position) -> Iterator[int]:
        """Play from a position to the end; yield the number of spikes of each batch.

        Raises
        ------
        SpikewireError
            The source cannot be read, or the writer not write.
        """
        for segment_index in range(position.segment_index, self._source.get_num_segments()):
            if segment_index == self._writer.segment_count:
                self._writer.start_segment(self._source.segments[segment_index]._t_start)
            pieces = _pieces(self._source, position._replace(segment_index=segment_index))
            yield from self._play(pieces)
            position = Position()

    def _play(self, pieces: Iterator[tuple[IntArray, IntArray]]) -> Iterator[int]:
        """Play the rest of a segment."""
        begun, first, before = time.monotonic(), None, self.seconds
        for samples, unit_indices in pieces:
            first = int(samples[0]) if first is None else first
            frames = (samples - first).astype(np.uint64)  # exact, also beyond an int64
            for start, stop in self._batches(frames):
                if math.isfinite(self._speed):
                    full = (int(frames[start]) // self._batch_frames + 1) * self._batch_frames
                    self._wait_until(begun + full / self._rate / self._speed)
                elif self._writer.stats.lag_spikes > _MAX_AHEAD_SPIKES:
                    self._writer.flush()
                self._writer.append(samples[start:stop], self._unit_ids[unit_indices[start:stop]])
                self.seconds = before + int(frames[stop - 1]) / self._rate
                yield stop - start

    def _batches(self, frames: NDArray[np.uint64]) -> Iterator[tuple[int, int]]:
        """Return where the batches of some spikes begin and end."""
        if math.isfinite(self._speed):
            numbers = frames // np.uint64(self._batch_frames)
            starts = [0, *(np.flatnonzero(numbers[1:] != numbers[:-1]) + 1).tolist()]
        else:
            starts = list(range(0, len(frames), _UNTIMED_SPIKES))
        return zip(starts, [*starts[1:], len(frames)], strict=True)

    def _wait_until(self, due: float) -> None:
        while (left := due - time.monotonic()) > 0:
            time.sleep(left)
        self.late = -left
        self.latest = max(self.latest, self.late)


def position_behind(recorded: BaseSorting, source: BaseSorting) -> Position:
    """Return where to go on with the replay of a source.

    Parameters
    ----------
    recorded : BaseSorting
        What was recorded so far.
    source : BaseSorting
        What is being replayed.

    Raises
    ------
    InvalidValueError
        What was recorded is not the beginning of the source.
    """
    segment_index = recorded.get_num_segments() - 1
    is_replay = segment_index < source.get_num_segments()
    if not (is_replay and np.array_equal(recorded.unit_ids, source.unit_ids)):
        raise InvalidValueError("what was recorded so far has other units, or more segments")
    last = recorded.segments[segment_index].get_last_spike_frame()
    if last is None:
        return Position(segment_index)
    there = recorded.to_spike_columns(segment_index, last)
    original = source.to_spike_columns(segment_index, last, last + 1)
    count = len(there[0])
    if not all(np.array_equal(a, b[:count]) for a, b in zip(there, original, strict=True)):
        raise InvalidValueError(
            f"what was recorded so far ends with other spikes, at sample {last} of segment "
            f"{segment_index}"
        )
    return Position(segment_index, last, count)


def _pieces(source: BaseSorting, position: Position) -> Iterator[tuple[IntArray, IntArray]]:
    """Read a segment from a position on, some spikes at a time."""
    segment = source.segments[position.segment_index]
    skipped = position.skipped
    for samples, unit_indices in segment.iter_spike_columns(position.start_frame, None):
        if len(samples) > skipped:
            yield samples[skipped:], unit_indices[skipped:]
        skipped = max(skipped - len(samples), 0)
