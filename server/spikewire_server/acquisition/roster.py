"""What was announced of an acquisition, and by which of its records."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikewire.core.clocks import MAX_SYNC_POINTS, Clock, UnitClocks, check_sync_point
from spikewire.core.errors import (
    ContractError,
    InvalidValueError,
    LimitExceededError,
    SegmentIndexError,
)
from spikewire.core.unit_ids import as_unit_ids
from spikewire.wire.errors import with_metadata

MAX_SEGMENTS = 100_000


class _Units(NamedTuple):
    sequence: int
    ids: NDArray[Any]


class _Segment(NamedTuple):
    sequence: int
    t_start: float | None


class _SyncPoint(NamedTuple):
    sequence: int
    segment_index: int
    sample_index: int
    time: float


class Roster:
    """The units, segments and sync points of an acquisition.

    One thread announces; others may ask at the same time for what was announced
    up to a record that they know to be there.
    """

    def __init__(self) -> None:
        self._units: list[_Units] = []
        self._segments: list[_Segment] = []
        self._sync_points: list[_SyncPoint] = []
        self._known: set[Any] = set()
        self._last_sync: dict[int, _SyncPoint] = {}
        self._kept_clocks: tuple[int, dict[int, UnitClocks]] | None = None  # of so many points

    @property
    def unit_count(self) -> int:
        """How many units were announced."""
        return len(self._known)

    @property
    def segment_count(self) -> int:
        """How many segments were started."""
        return len(self._segments)

    def add_units(self, sequence: int, unit_ids: NDArray[Any], max_count: int) -> None:
        """Announce units.

        Raises
        ------
        ContractError
            If one is known already or occurs twice, or their type is another than before.
        LimitExceededError
            If there would be more units than `max_count`.
        """
        ids = as_unit_ids(unit_ids)
        if self._units and ids.dtype.kind != self._units[0].ids.dtype.kind:
            raise ContractError(
                f"units of type {ids.dtype} cannot join units of type {self._units[0].ids.dtype}"
            )
        repeated = [unit_id for unit_id in ids.tolist() if unit_id in self._known]
        if repeated:
            raise ContractError(f"the unit {repeated[0]!r} was announced before")
        if self.unit_count + len(ids) > max_count:
            raise with_metadata(
                LimitExceededError(
                    f"{self.unit_count + len(ids)} units were announced, but {max_count} is the "
                    f"limit"
                ),
                limit="unit_count",
                maximum=max_count,
            )
        self._units.append(_Units(sequence, ids))
        self._known.update(ids.tolist())

    def start_segment(self, sequence: int, t_start: float | None) -> None:
        """Announce the next segment.

        Raises
        ------
        InvalidValueError
            If its start is no time.
        LimitExceededError
            If there would be too many.
        """
        if t_start is not None and not math.isfinite(t_start):
            raise InvalidValueError(f"a segment starts at {t_start} s")
        if len(self._segments) >= MAX_SEGMENTS:
            raise with_metadata(
                LimitExceededError(f"an acquisition has at most {MAX_SEGMENTS} segments"),
                limit="segment_count",
                maximum=MAX_SEGMENTS,
            )
        self._segments.append(_Segment(sequence, t_start))

    def add_sync_point(
        self, sequence: int, segment_index: int, sample_index: int, time: float
    ) -> None:
        """Announce that a sample was taken at a time.

        Raises
        ------
        SegmentIndexError
            If there is no such segment.
        InvalidValueError
            If the sample or the time does not follow that of the point before.
        LimitExceededError
            If there would be too many.
        """
        self.check_segment(segment_index)
        if len(self._sync_points) >= MAX_SYNC_POINTS:
            raise with_metadata(
                LimitExceededError(f"an acquisition has at most {MAX_SYNC_POINTS} sync points"),
                limit="sync_point_count",
                maximum=MAX_SYNC_POINTS,
            )
        last = self._last_sync.get(segment_index)
        check_sync_point(
            sample_index, time, None if last is None else (last.sample_index, last.time)
        )
        point = _SyncPoint(sequence, segment_index, sample_index, time)
        self._sync_points.append(point)
        self._last_sync[segment_index] = point

    def check_segment(self, segment_index: int) -> None:
        """Make sure that a segment was started.

        Raises
        ------
        SegmentIndexError
            If it was not.
        """
        if segment_index >= len(self._segments):
            raise with_metadata(
                SegmentIndexError(
                    f"the segment {segment_index} was not started; "
                    f"{len(self._segments)} segments were"
                ),
                segment_index=segment_index,
                segment_count=len(self._segments),
            )

    def forget_from(self, sequence: int) -> None:
        """Forget what was announced by a record and those behind it."""
        del self._units[bisect_left(self._units, sequence, key=_sequence) :]
        del self._segments[bisect_left(self._segments, sequence, key=_sequence) :]
        del self._sync_points[bisect_left(self._sync_points, sequence, key=_sequence) :]
        self._known = set(chain.from_iterable(units.ids.tolist() for units in self._units))
        self._last_sync = {point.segment_index: point for point in self._sync_points}
        self._kept_clocks = None

    def unit_ids_at(self, sequence: int) -> NDArray[Any]:
        """Return the units announced up to a record, in order."""
        units = self._units[: bisect_right(self._units, sequence, key=_sequence)]
        if not units:
            return as_unit_ids([])
        return as_unit_ids(np.concatenate([added.ids for added in units]))

    def t_starts_at(self, sequence: int) -> tuple[float | None, ...]:
        """Return the start of each segment that was started up to a record, in seconds."""
        segments = self._segments[: bisect_right(self._segments, sequence, key=_sequence)]
        return tuple(segment.t_start for segment in segments)

    def clocks_at(self, sequence: int, sampling_frequency: float) -> tuple[UnitClocks | None, ...]:
        """Return what the sync points up to a record say of each segment; None without any."""
        points = self._sync_points[: bisect_right(self._sync_points, sequence, key=_sequence)]
        kept = self._kept_clocks
        if kept is None or kept[0] != len(points):
            kept = self._kept_clocks = len(points), _clocks(points, sampling_frequency)
        return tuple(kept[1].get(index) for index in range(len(self.t_starts_at(sequence))))


def _clocks(points: Iterable[_SyncPoint], sampling_frequency: float) -> dict[int, UnitClocks]:
    """Return the clocks of the segments that have sync points."""
    of_segment: dict[int, list[_SyncPoint]] = {}
    for point in points:
        of_segment.setdefault(point.segment_index, []).append(point)
    clocks = {}
    for index, ordered in of_segment.items():
        samples = [point.sample_index for point in ordered]
        seconds = [point.time for point in ordered]
        clocks[index] = UnitClocks([Clock(samples, seconds, sampling_frequency)])
    return clocks


def _sequence(announced: _Units | _Segment | _SyncPoint) -> int:
    return announced.sequence
