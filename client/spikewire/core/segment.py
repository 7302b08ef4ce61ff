"""What a sorting knows of the spikes of one segment: the hooks that a format implements."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from spikewire.core.bounds import window
from spikewire.core.clocks import UnitClocks
from spikewire.core.dtypes import AnyArray, IntArray, SpikeVector, UnitId
from spikewire.core.spike_inputs import flat_samples
from spikewire.core.trains import SegmentTrains, merge_trains

if TYPE_CHECKING:
    from spikewire.core.shape import SortingShape


class BaseSortingSegment:
    """The spikes of one segment.

    A format implements `get_unit_spike_train` or `get_spike_columns`, whichever
    its files answer more cheaply (or both), and any other method that it can
    answer without reading every spike. Each default is built on the two.

    Parameters
    ----------
    t_start : float or None
        Time of frame 0 in seconds; None where nothing is known of it.
    clocks : UnitClocks or None
        How frames become seconds where sync points say it; they say it of frame 0, too.
    """

    #: The segment may also have `get_unit_spike_train_in_seconds(unit_id,
    #: start_time, end_time)`, when its files hold seconds and frames are derived.

    def __init__(self, t_start: float | None = None, clocks: UnitClocks | None = None) -> None:
        self._clocks = clocks
        self._t_start = t_start if clocks is None else clocks.t_start
        self._native_t_start = self._t_start
        self._parent_extractor: weakref.ref[SortingShape] | None = None

    @property
    def parent_extractor(self) -> Any:
        """The sorting that the segment belongs to; None before it was added to one."""
        return self._parent_extractor() if self._parent_extractor is not None else None

    def set_parent_extractor(self, parent_extractor: SortingShape) -> None:
        """Tell the segment which sorting it belongs to."""
        self._parent_extractor = weakref.ref(parent_extractor)

    def _sorting(self) -> SortingShape:
        sorting: SortingShape | None = self.parent_extractor
        if sorting is None:
            raise ReferenceError("this segment's sorting does not exist any more")
        return sorting

    def _take_times_of(self, segment: BaseSortingSegment) -> None:
        """Let frames be taken at the times at which those of another segment were."""
        self._t_start, self._native_t_start = segment._t_start, segment._native_t_start
        self._clocks = getattr(segment, "_clocks", None)  # SpikeInterface's segments have none

    def _has_columns(self) -> bool:
        """Whether the format answers `get_spike_columns` itself, not from unit trains."""
        return type(self).get_spike_columns is not BaseSortingSegment.get_spike_columns

    def get_unit_spike_train(
        self, unit_id: UnitId, start_frame: int | None = None, end_frame: int | None = None
    ) -> IntArray:
        """The samples of one unit in [start_frame, end_frame), ascending.

        Returns
        -------
        int64, (spikes,)
        """
        if not self._has_columns():
            raise NotImplementedError(
                f"{type(self).__name__} implements neither get_unit_spike_train "
                "nor get_spike_columns"
            )
        unit_index = self._sorting().id_to_index(unit_id)
        samples, unit_indices = self.get_spike_columns(start_frame, end_frame)
        train: IntArray = samples[unit_indices == unit_index]
        return train

    def get_unit_spike_trains(
        self,
        unit_ids: Sequence[UnitId] | AnyArray,
        start_frame: int | None = None,
        end_frame: int | None = None,
    ) -> list[IntArray]:
        """The trains of several units: one pass where the format keeps spikes in time order.

        Returns
        -------
        list of int64, (spikes,)
            In the order of `unit_ids`.
        """
        if len(unit_ids) < 2 or not self._has_columns():
            return [self.get_unit_spike_train(unit, start_frame, end_frame) for unit in unit_ids]
        sorting = self._sorting()
        columns = self.get_spike_columns(start_frame, end_frame)
        trains = SegmentTrains.from_columns(*columns, sorting.get_num_units())
        return [trains.train(sorting.id_to_index(unit)) for unit in unit_ids]

    def get_spike_columns(
        self, start_frame: int | None = None, end_frame: int | None = None
    ) -> tuple[IntArray, IntArray]:
        """Every spike in [start_frame, end_frame) in the order of the spike vector.

        Returns
        -------
        samples : int64, (spikes,)
            Ascending.
        unit_indices : int64, (spikes,)
            Positions in the sorting's `unit_ids`.
        """
        unit_ids = self._sorting().unit_ids
        return merge_trains(
            [self.get_unit_spike_train(unit, start_frame, end_frame) for unit in unit_ids]
        )

    def iter_spike_columns(
        self, start_frame: int | None = None, end_frame: int | None = None
    ) -> Iterator[tuple[IntArray, IntArray]]:
        """The spikes of `get_spike_columns`, some at a time.

        A format that can overrides this to read a bounded number at a time, so that
        whoever copies a segment needs no memory for all of it.

        Yields
        ------
        samples, unit_indices : int64, (some spikes,)
        """
        yield self.get_spike_columns(start_frame, end_frame)

    def count_spikes(self) -> IntArray:
        """The number of spikes of each unit.

        Returns
        -------
        int64, (units,)
        """
        return self._count(None, None)

    def count_spikes_between(self, start_frame: int | None, end_frame: int | None) -> IntArray:
        """The number of spikes of each unit in [start_frame, end_frame).

        Returns
        -------
        int64, (units,)
        """
        return self._count(start_frame, end_frame)

    def _count(self, start_frame: int | None, end_frame: int | None) -> IntArray:
        """Count by reading."""
        sorting = self._sorting()
        if not self._has_columns():
            trains = (
                self.get_unit_spike_train(unit, start_frame, end_frame) for unit in sorting.unit_ids
            )
            return np.array([len(train) for train in trains], dtype=np.int64)
        counts = np.zeros(sorting.get_num_units(), dtype=np.int64)
        for _, unit_indices in self.iter_spike_columns(start_frame, end_frame):
            counts += np.bincount(unit_indices, minlength=len(counts))
        return counts

    def get_last_spike_frame(self) -> int | None:
        """The largest sample of the segment; None where it has no spikes."""
        if not self._has_columns():
            trains = (self.get_unit_spike_train(unit) for unit in self._sorting().unit_ids)
            return max((int(train[-1]) for train in trains if len(train)), default=None)
        last = None
        for samples, _ in self.iter_spike_columns():
            last = int(samples[-1]) if len(samples) else last
        return last


class SpikeVectorSortingSegment(BaseSortingSegment):
    """One segment of a spike vector in memory (or mapped).

    Parameters
    ----------
    spikes : structured array, (spikes,)
        The spike vector of the whole sorting.
    segment_index : int
    unit_ids : sequence
        Kept for callers of SpikeInterface's class; the sorting's ids are used.
    """

    def __init__(
        self, spikes: SpikeVector, segment_index: int, unit_ids: Sequence[UnitId] | AnyArray = ()
    ) -> None:
        super().__init__()
        first, last = np.searchsorted(spikes["segment_index"], [segment_index, segment_index + 1])
        self._spikes = spikes[first:last]

    def get_spike_columns(
        self, start_frame: int | None = None, end_frame: int | None = None
    ) -> tuple[IntArray, IntArray]:
        """Every spike in [start_frame, end_frame) in the order of the spike vector."""
        samples = self._spikes["sample_index"]
        first = None if start_frame is None else np.searchsorted(samples, start_frame)
        last = None if end_frame is None else np.searchsorted(samples, end_frame)
        spikes = self._spikes[first:last]
        return (
            spikes["sample_index"].astype(np.int64, copy=False),
            spikes["unit_index"].astype(np.int64, copy=False),
        )


class NumpySortingSegment(BaseSortingSegment):
    """Trains of one segment in memory, for `add_sorting_segment` (SpikeInterface 0.98).

    Parameters
    ----------
    units_dict : dict of array, (spikes,)
        Ascending frames by unit id.
    """

    def __init__(self, units_dict: Mapping[Any, Any]) -> None:
        super().__init__()
        self._trains = {
            unit: flat_samples(train).astype(np.int64) for unit, train in units_dict.items()
        }

    def get_unit_spike_train(
        self, unit_id: UnitId, start_frame: int | None = None, end_frame: int | None = None
    ) -> IntArray:
        """The samples of one unit in [start_frame, end_frame), ascending."""
        return window(self._trains[unit_id], start_frame, end_frame)
