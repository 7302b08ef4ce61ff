"""What a rig has announced of its acquisition: units, segments, sync points."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from spikewire.core.clocks import MAX_SYNC_POINTS, check_sync_point
from spikewire.core.dtypes import AnyArray, IntArray
from spikewire.core.errors import (
    ContractError,
    LimitExceededError,
    SegmentIndexError,
    UnitNotFoundError,
)
from spikewire.core.unit_ids import as_unit_ids, label_indices, some
from spikewire.remote.live.records import Kind, Record
from spikewire.v1 import acquisition_service_pb2 as pb
from spikewire.wire.clocks import clocks_from_proto
from spikewire.wire.unit_ids import unit_ids_from_proto


class Announced:
    """What the records of an acquisition may refer to.

    The server refuses a record that breaks a rule, and all behind it; so the rules are
    looked after here, where whoever breaks one is told at once.

    Parameters
    ----------
    unit_ids : ndarray, shape (units,)
        The units announced so far.
    segment_count : int
        How many segments were started so far.
    max_units : int
        How many units the server admits; 0 means any number.
    """

    def __init__(self, unit_ids: AnyArray, segment_count: int, max_units: int) -> None:
        self.unit_ids = unit_ids
        self.segment_count = segment_count
        self._max_units = max_units
        self._last_sync: dict[int, tuple[int, float]] = {}
        self._sync_count = 0

    @classmethod
    def of(cls, acquisition: pb.Acquisition, max_units: int) -> Announced:
        """Return what the server knows to be announced.

        Raises
        ------
        MalformedMessageError
            Unit ids or sync points are not legal.
        """
        unit_ids = unit_ids_from_proto(acquisition.unit_ids)
        announced = cls(unit_ids, len(acquisition.segments), max_units)
        for index, segment in enumerate(acquisition.segments):
            clocks = clocks_from_proto(segment, acquisition.sampling_frequency_hz, len(unit_ids))
            if clocks is not None:
                samples, seconds = clocks.first.samples, clocks.first.seconds
                announced._sync_count += len(samples)
                announced._last_sync[index] = int(samples[-1]), float(seconds[-1])
        return announced

    def indices(self, labels: AnyArray) -> IntArray:
        """Return the unit index of each label.

        Raises
        ------
        UnitNotFoundError
            A label is no unit that was announced.
        """
        indices = label_indices(labels, self.unit_ids)
        unknown = np.unique(labels[indices < 0]).tolist()
        if unknown:
            raise UnitNotFoundError(
                f"units that were not announced: {some(unknown)}; add_units() announces them"
            )
        return indices

    def segment(self, segment_index: int | None) -> int:
        """Return the index of a segment; None means the last one.

        Raises
        ------
        SegmentIndexError
            It was not started.
        """
        if segment_index is None:
            return self.segment_count - 1
        if not 0 <= segment_index < self.segment_count:
            raise SegmentIndexError(
                f"segment {segment_index} was not started: {self.segment_count} were"
            )
        return segment_index

    def new_units(self, unit_ids: Iterable[Any] | AnyArray) -> AnyArray:
        """Return ids as they can be announced.

        Raises
        ------
        ContractError
            One occurs twice or is known already, or they are of another type than those before.
        LimitExceededError
            There would be more than the server admits.
        """
        added = as_unit_ids(unit_ids if isinstance(unit_ids, np.ndarray) else list(unit_ids))
        if len(self.unit_ids) and len(added):
            added = _converted(added, self.unit_ids.dtype)
            known = np.isin(added, self.unit_ids)
            if known.any():
                raise ContractError(
                    f"units that were announced before: {some(added[known].tolist())}"
                )
        count = len(self.unit_ids) + len(added)
        if 0 < self._max_units < count:
            raise LimitExceededError(
                f"there would be {count} units, and the server admits {self._max_units}"
            )
        return added

    def add_units(self, unit_ids: AnyArray) -> None:
        """Take note that units were announced."""
        if len(unit_ids):
            every = np.concatenate([self.unit_ids, unit_ids]) if len(self.unit_ids) else unit_ids
            self.unit_ids = as_unit_ids(every)

    def start_segment(self) -> None:
        """Take note that a segment was started."""
        self.segment_count += 1

    def check_sync_points(self, segment_index: int, points: Iterable[tuple[int, float]]) -> None:
        """Make sure that sync points, samples and times, follow those before.

        Raises
        ------
        InvalidValueError
            A sample or a time is out of range, or does not ascend.
        LimitExceededError
            There would be too many.
        """
        last = self._last_sync.get(segment_index)
        count = self._sync_count
        for sample, time in points:
            check_sync_point(sample, time, last)
            last = sample, time
            count += 1
        if count > MAX_SYNC_POINTS:
            raise LimitExceededError(
                f"there would be {count} sync points, and an acquisition has at most "
                f"{MAX_SYNC_POINTS}"
            )

    def add_sync_point(self, segment_index: int, sample_index: int, time: float) -> None:
        """Take note of a sync point."""
        self._last_sync[segment_index] = sample_index, time
        self._sync_count += 1

    def take(self, record: Record) -> None:
        """Take note of what a record announced."""
        if record.kind is Kind.SPIKES:
            return
        request = pb.AppendSpikesRequest.FromString(record.payload)
        match record.kind:
            case Kind.UNITS:
                self.add_units(unit_ids_from_proto(request.units_added.unit_ids))
            case Kind.SEGMENT:
                self.start_segment()
            case Kind.SYNC:
                point = request.sync_point
                self.add_sync_point(point.segment_index, point.sample_index, point.time_seconds)


def _converted(unit_ids: AnyArray, dtype: np.dtype[Any]) -> AnyArray:
    """Return ids in the kind of type that is wanted."""
    if unit_ids.dtype.kind == dtype.kind:
        return unit_ids
    if unit_ids.dtype.kind in "ui" and dtype.kind in "ui":
        converted = unit_ids.astype(dtype)
        if np.array_equal(converted, unit_ids):
            return converted
    raise ContractError(f"units of type {unit_ids.dtype} cannot join units of type {dtype}")
