"""A segment of a view: a window of a parent's segment, or some units of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from spikewire.core.bounds import frame_bound
from spikewire.core.dtypes import AnyArray, FloatArray, IntArray, UnitId
from spikewire.core.segment import BaseSortingSegment

if TYPE_CHECKING:
    from spikewire.core.sorting import BaseSorting

# Frames that are searched for a last spike, one stretch before the other.
_STRETCHES = tuple(1 << bits for bits in range(13, 37, 4))


class SegmentView(BaseSortingSegment):
    """Spikes of a parent's segment, read through the parent, so that its caches serve the view.

    Parameters
    ----------
    parent : BaseSorting
    segment_index : int
        The parent's segment.
    unit_indices : int64, (units,), optional
        For each unit of the view its index in the parent; by default the same.
    start_frame, end_frame : int, optional
        The window, in the parent's frames; None leaves the side open.
    origin : int, default: 0
        The parent's frame that is frame 0 here.
    t_start : float, optional
        Time of frame 0 in seconds; by default the parent's. Sync points of the parent
        are moved with the origin and say it in any case.
    """

    def __init__(
        self,
        parent: BaseSorting,
        segment_index: int,
        *,
        unit_indices: IntArray | None = None,
        start_frame: int | None = None,
        end_frame: int | None = None,
        origin: int = 0,
        t_start: float | None = None,
    ) -> None:
        segment = parent.segments[segment_index]
        super().__init__(segment._t_start if t_start is None else t_start)
        self._native_t_start = segment._native_t_start if t_start is None else t_start
        if segment._clocks is not None:
            self._clocks = segment._clocks.of_units(unit_indices).moved(origin)
            self._t_start = self._native_t_start = self._clocks.t_start
        self._parent = parent
        self._segment_index = segment_index
        self._unit_indices = unit_indices
        self._start_frame = start_frame
        self._end_frame = end_frame
        self._origin = origin
        whole = start_frame is None and end_frame is None and origin == 0
        if whole and hasattr(segment, "get_unit_spike_train_in_seconds"):
            self.get_unit_spike_train_in_seconds = self._native_seconds

    def _native_seconds(
        self, unit_id: UnitId, start_time: float | None, end_time: float | None
    ) -> FloatArray:
        segment: Any = self._parent.segments[self._segment_index]
        parent_id = self._parent.unit_ids[self._parent_indices([unit_id])[0]]
        seconds: FloatArray = segment.get_unit_spike_train_in_seconds(
            unit_id=parent_id, start_time=start_time, end_time=end_time
        )
        return seconds

    def _parent_indices(self, unit_ids: Sequence[UnitId] | AnyArray) -> list[int]:
        sorting = self._sorting()
        indices = [sorting.id_to_index(unit_id) for unit_id in unit_ids]
        return indices if self._unit_indices is None else self._unit_indices[indices].tolist()

    def _window(
        self, start_frame: int | None, end_frame: int | None
    ) -> tuple[int | None, int | None]:
        """The parent's frames of a window of the view, within the view."""
        starts = [self._start_frame, None if start_frame is None else start_frame + self._origin]
        ends = [self._end_frame, None if end_frame is None else end_frame + self._origin]
        return (
            frame_bound(max((x for x in starts if x is not None), default=None), "start_frame"),
            frame_bound(min((x for x in ends if x is not None), default=None), "end_frame"),
        )

    def _moved(self, samples: IntArray) -> IntArray:
        return samples - self._origin if self._origin else samples

    def get_unit_spike_train(
        self, unit_id: UnitId, start_frame: int | None = None, end_frame: int | None = None
    ) -> IntArray:
        """The samples of one unit in [start_frame, end_frame), ascending."""
        return self.get_unit_spike_trains([unit_id], start_frame, end_frame)[0]

    def get_unit_spike_trains(
        self,
        unit_ids: Sequence[UnitId] | AnyArray,
        start_frame: int | None = None,
        end_frame: int | None = None,
    ) -> list[IntArray]:
        """The trains of several units, in the order of `unit_ids`."""
        trains = self._parent._get_trains(
            self._parent_indices(unit_ids),
            self._segment_index,
            *self._window(start_frame, end_frame),
        )
        return [self._moved(train) for train in trains]

    def get_spike_columns(
        self, start_frame: int | None = None, end_frame: int | None = None
    ) -> tuple[IntArray, IntArray]:
        """Every spike in [start_frame, end_frame) in the order of the parent's vector."""
        window = self._window(start_frame, end_frame)
        return self._seen(*self._parent._read_columns(self._segment_index, *window))

    def iter_spike_columns(
        self, start_frame: int | None = None, end_frame: int | None = None
    ) -> Iterator[tuple[IntArray, IntArray]]:
        """The spikes of `get_spike_columns`, some at a time where the parent can."""
        window = self._window(start_frame, end_frame)
        for columns in self._parent._iter_columns(self._segment_index, *window):
            yield self._seen(*columns)

    def _seen(self, samples: IntArray, units: IntArray) -> tuple[IntArray, IntArray]:
        """The parent's spikes with the view's units and frames."""
        if self._unit_indices is not None:
            position = np.full(self._parent.get_num_units(), -1, dtype=np.int64)
            position[self._unit_indices] = np.arange(len(self._unit_indices))
            units = position[units]
            kept = units >= 0
            samples, units = samples[kept], units[kept]
        return self._moved(samples), units

    def count_spikes(self) -> IntArray:
        """The number of spikes of each unit."""
        return self.count_spikes_between(None, None)

    def count_spikes_between(self, start_frame: int | None, end_frame: int | None) -> IntArray:
        """The number of spikes of each unit in [start_frame, end_frame), as the parent counts."""
        window = self._window(start_frame, end_frame)
        counts = self._parent._count_spikes(self._segment_index, *window)
        return counts if self._unit_indices is None else counts[self._unit_indices]

    def get_last_spike_frame(self) -> int | None:
        """The largest sample of the segment; None where it has no spikes."""
        last = self._parent._last_spike_frame(self._segment_index)
        is_window = self._start_frame is not None or self._end_frame is not None
        if last is None or (self._unit_indices is None and not is_window):
            return None if last is None else last - self._origin
        # From the back, in longer and longer stretches: it is nearly always in the first.
        end = self._end_frame
        edge = last if end is None else min(last, end)
        for width in _STRETCHES:
            start = frame_bound(edge - width, "start_frame")
            if start is None or (self._start_frame is not None and start <= self._start_frame):
                break
            found = self._last_between(start, end)
            if found is not None:
                return found
            edge = end = start
        return self._last_between(self._start_frame, end)

    def _last_between(self, start_frame: int | None, end_frame: int | None) -> int | None:
        """The largest sample of the view in a window of the parent's frames."""
        last = None
        for columns in self._parent._iter_columns(self._segment_index, start_frame, end_frame):
            samples, _ = self._seen(*columns)
            last = int(samples[-1]) if len(samples) else last
        return last
