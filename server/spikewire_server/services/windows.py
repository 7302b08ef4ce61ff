"""Which spikes a request wants: segments, units, frames, and how many are skipped."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from spikewire.core.errors import (
    InvalidValueError,
    SegmentIndexError,
    SegmentRequiredError,
    UnitNotFoundError,
)
from spikewire.v1 import spike_train_service_pb2 as pb
from spikewire.wire.unit_ids import unit_ids_from_proto
from spikewire_server.library import OpenedSorting
from spikewire_server.library.indexed_spikes import IndexedSpikes, Train, without_first
from spikewire_server.library.spikes import Columns

Int64Array = NDArray[np.int64]

WindowRequest: TypeAlias = (
    pb.GetUnitSpikeTrainRequest
    | pb.GetUnitSpikeTrainsRequest
    | pb.StreamSpikesRequest
    | pb.CountSpikesRequest
    | pb.QueryRequest
)

_UNITS_AT_HAND = 8
_SPIKES_AT_HAND = 1 << 16


class Trains(NamedTuple):
    """Unit indices and samples, and what is taken off every sample."""

    base: int
    each: Iterator[Train]


class SegmentAnswer(NamedTuple):
    """The trains of a window in its only segment, and how many spikes they have."""

    segment: int
    trains: Trains
    spike_count: int


@dataclass(frozen=True)
class Window:
    """The spikes that a request wants of an open sorting.

    Attributes
    ----------
    segments : tuple of int
        The segments, in order.
    units : ndarray of int64 or None
        Unit indices in the order asked for; None means all.
    start_frame, end_frame : int or None
        Half-open bounds in samples; None means without bound.
    """

    opened: OpenedSorting
    segments: tuple[int, ...]
    units: Int64Array | None
    start_frame: int | None
    end_frame: int | None

    def unit_list(self) -> Int64Array:
        """Return the unit indices, all of them if none were chosen."""
        if self.units is None:
            return np.arange(len(self.opened.unit_ids), dtype=np.int64)
        return self.units

    def answer_at_hand(self) -> SegmentAnswer | None:
        """Return the trains of the only segment if they are few spikes that were read before.

        To read them from the index takes less than to hand them to another thread.
        """
        (segment,) = self.segments
        index = self.opened.index_at_hand(segment)
        if index is None or self.units is None or len(self.units) > _UNITS_AT_HAND:
            return None
        trains, spikes = [], 0
        for unit in self.units.tolist():
            train = index.checked_train(unit, self.start_frame, self.end_frame)
            if train is None:
                return None
            trains.append((unit, train))
            spikes += len(train)
        if spikes > _SPIKES_AT_HAND:
            return None
        return SegmentAnswer(segment, Trains(index.base, iter(trains)), spikes)

    def answer(self) -> SegmentAnswer:
        """Return the trains of the only segment."""
        (segment,) = self.segments
        return SegmentAnswer(segment, self.trains(segment), int(self.counts(segment).sum()))

    def trains(self, segment: int, skip: int = 0) -> Trains:
        """Return unit index and samples of each unit, less the first `skip` spikes."""
        units = self.unit_list()
        spikes = self.opened.spikes(segment)
        trains = spikes.trains(units, self.start_frame, self.end_frame)
        return Trains(spikes.base, without_first(zip(units.tolist(), trains, strict=True), skip))

    def packs(self, segment: int, skip: int = 0) -> Iterator[bytes | Trains]:
        """Yield the trains, less the first `skip` spikes, ready to be sent where they lie so."""
        spikes = self.opened.spikes(segment)
        units = self.unit_list()
        is_whole = self.start_frame is None and self.end_frame is None
        if is_whole and isinstance(spikes, IndexedSpikes) and np.all(units[1:] > units[:-1]):
            for pack in spikes.packs(units, skip):
                yield pack if isinstance(pack, bytes) else Trains(spikes.base, iter(pack))
        else:
            yield self.trains(segment, skip)

    def counts(self, segment: int) -> Int64Array:
        """Return how many spikes each unit asked for has within the bounds."""
        spikes = self.opened.spikes(segment)
        return spikes.counts(self.unit_list(), self.start_frame, self.end_frame)

    def last_sample(self, segment: int) -> int | None:
        """Return the sample of the last spike within the bounds, None if there is none."""
        if self.units is None:
            spikes = self.opened.spikes(segment)
            return spikes.last_sample(self.start_frame, self.end_frame)
        base, trains = self.trains(segment)
        return max((int(train[-1]) + base for _, train in trains if len(train)), default=None)

    def pieces(self, segment: int, skip: int = 0) -> Iterator[bytes | Columns]:
        """Yield the spikes in time order, less the first `skip`.

        Yields
        ------
        bytes or tuple of ndarray
            A chunk as it lies in a message, where the index has it; else
            samples and unit indices, perhaps none, so that whoever iterates can
            stop between any two pieces.
        """
        spikes = self.opened.spikes(segment)
        wanted = self._wanted_units()
        if wanted is None:
            read = spikes.records if isinstance(spikes, IndexedSpikes) else spikes.blocks
            yield from read(self.start_frame, self.end_frame, skip)
            return
        for samples, unit_indices in spikes.blocks(self.start_frame, self.end_frame):
            chosen = np.flatnonzero(wanted[unit_indices])
            skipped = min(skip, len(chosen))
            skip -= skipped
            chosen = chosen[skipped:]
            yield samples[chosen], unit_indices[chosen]

    def spike_count(self, segment: int) -> int:
        """Return how many spikes `pieces` yields in one segment, if none are skipped."""
        spikes = self.opened.spikes(segment)
        if self.units is None:
            return spikes.count(self.start_frame, self.end_frame)
        units = np.unique(self.units)
        return int(spikes.counts(units, self.start_frame, self.end_frame).sum())

    def _wanted_units(self) -> NDArray[np.bool_] | None:
        if self.units is None:
            return None
        wanted = np.zeros(len(self.opened.unit_ids), dtype=bool)
        wanted[self.units] = True
        return wanted


def window_of(
    request: WindowRequest, selection: pb.UnitSelection, opened: OpenedSorting, *, one_segment: bool
) -> Window:
    """Return what a request wants, checked against the sorting.

    Parameters
    ----------
    one_segment : bool
        Whether an absent segment is an error where there are several.

    Raises
    ------
    SegmentIndexError, SegmentRequiredError, UnitNotFoundError
        The sorting has no such segment or unit, or a segment must be named.
    """
    return Window(
        opened,
        _segments(request, opened.segment_count, one_segment),
        _units(selection, opened.unit_ids),
        request.start_frame if request.HasField("start_frame") else None,
        request.end_frame if request.HasField("end_frame") else None,
    )


def _segments(request: WindowRequest, count: int, one_segment: bool) -> tuple[int, ...]:
    if not request.HasField("segment_index"):
        if one_segment and count != 1:
            raise SegmentRequiredError(
                f"the sorting has {count} segments: the request must name one by segment_index"
            )
        return tuple(range(count))
    if request.segment_index >= count:
        raise SegmentIndexError(
            f"segment_index {request.segment_index} is out of range: the sorting has "
            f"{count} segments"
        )
    return (request.segment_index,)


def _units(selection: pb.UnitSelection, unit_ids: NDArray[np.generic]) -> Int64Array | None:
    match selection.WhichOneof("units"):
        case "unit_indices":
            indices = list(selection.unit_indices.values)
            if max(indices, default=-1) >= len(unit_ids):
                raise UnitNotFoundError(
                    f"unit index {max(indices)} is out of range: the sorting has "
                    f"{len(unit_ids)} units"
                )
            return np.array(indices, dtype=np.int64)
        case "unit_ids":
            positions = {unit_id: index for index, unit_id in enumerate(unit_ids.tolist())}
            wanted = unit_ids_from_proto(selection.unit_ids).tolist()
            unknown = [unit_id for unit_id in wanted if unit_id not in positions]
            if unknown:
                raise UnitNotFoundError(f"the sorting has no unit {unknown[0]!r}")
            return np.array([positions[unit_id] for unit_id in wanted], dtype=np.int64)
        case _:
            return None


def check_one_unit(window: Window) -> None:
    """Make sure that a request chose exactly one unit.

    Raises
    ------
    InvalidValueError
        It did not.
    """
    if window.units is None or len(window.units) != 1:
        raise InvalidValueError("field unit: exactly one unit must be chosen")
