"""The spikes of a sorting: the ways to them and the caches in front of these."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar

import numpy as np

from spikewire.core.bounds import window
from spikewire.core.dtypes import AnyArray, IntArray, SpikeVector, UnitId, read_only
from spikewire.core.segment import BaseSortingSegment
from spikewire.core.spike_vector import spike_vector_of
from spikewire.core.times import SortingTimes
from spikewire.core.trains import SegmentTrains


class SortingSpikes(SortingTimes):
    """The spikes of a sorting.

    Everything is read through `_read_trains`, `_read_columns`, `_count_spikes` and
    `_last_spike_frame`, which ask the segments; a subclass that knows a shorter way
    for many units at once overrides these. In front of them lie two caches, filled
    when that saves work: the spike vector, and the trains of all units of a segment.
    Arrays that are handed out are read-only views of them.
    """

    #: After how many reads of single trains all trains of a segment are cached. A
    #: class whose spikes are in memory caches at once, a view whose parent caches never.
    _reads_before_caching: ClassVar[float] = 8
    #: Segments of more spikes are not cached for single trains (8 bytes a spike).
    _max_cached_spikes: ClassVar[int] = 1 << 26

    def __init__(self, sampling_frequency: float, unit_ids: Iterable[UnitId] | AnyArray) -> None:
        super().__init__(sampling_frequency, unit_ids)
        self._forget_spikes()

    def _forget_spikes(self) -> None:
        self._vector: SpikeVector | None = None
        self._vector_slices: IntArray | None = None
        self._vector_indices: dict[int, dict[Any, IntArray]] | None = None
        self._reordered: dict[tuple[str, ...], tuple[SpikeVector, IntArray, IntArray]] = {}
        self._trains: dict[int, SegmentTrains] = {}
        self._reads: dict[int, int] = {}

    def add_sorting_segment(self, sorting_segment: BaseSortingSegment) -> None:
        """Append a segment; only constructors call this."""
        super().add_sorting_segment(sorting_segment)
        self._forget_spikes()

    # -- the four ways to the spikes ------------------------------------------------

    def _read_trains(
        self,
        unit_indices: Sequence[int] | IntArray,
        segment_index: int,
        start_frame: int | None,
        end_frame: int | None,
    ) -> list[IntArray]:
        """The trains of units in a window of a segment, in the given order."""
        segment = self._segments[segment_index]
        unit_ids = [self._main_ids[index] for index in unit_indices]
        trains = segment.get_unit_spike_trains(unit_ids, start_frame, end_frame)
        return [read_only(np.asarray(train, dtype=np.int64)) for train in trains]

    def _read_columns(
        self, segment_index: int, start_frame: int | None, end_frame: int | None
    ) -> tuple[IntArray, IntArray]:
        """Samples and unit indices of a window of a segment, in the spike vector's order."""
        if self._vector is None:
            return super()._read_columns(segment_index, start_frame, end_frame)
        first, last = self._slices()[segment_index]
        spikes = self._vector[first:last]
        samples = spikes["sample_index"]
        begin = None if start_frame is None else np.searchsorted(samples, start_frame)
        end = None if end_frame is None else np.searchsorted(samples, end_frame)
        spikes = spikes[begin:end]
        return (
            spikes["sample_index"].astype(np.int64, copy=False),
            spikes["unit_index"].astype(np.int64, copy=False),
        )

    def _iter_columns(
        self, segment_index: int, start_frame: int | None, end_frame: int | None
    ) -> Iterator[tuple[IntArray, IntArray]]:
        """The same as `_read_columns`, some at a time where the format can."""
        if self._vector is None:
            segment = self._segments[segment_index]
            return segment.iter_spike_columns(start_frame, end_frame)
        return iter([self._read_columns(segment_index, start_frame, end_frame)])

    def _count_spikes(
        self, segment_index: int, start_frame: int | None = None, end_frame: int | None = None
    ) -> IntArray:
        """The number of spikes of each unit in a window of a segment."""
        if segment_index in self._trains:
            return self._trains[segment_index].counts(start_frame, end_frame)
        if self._vector is not None:
            _, unit_indices = self._read_columns(segment_index, start_frame, end_frame)
            return np.bincount(unit_indices, minlength=self.get_num_units())
        segment = self._segments[segment_index]
        if start_frame is None and end_frame is None:
            return segment.count_spikes()
        return segment.count_spikes_between(start_frame, end_frame)

    def _last_spike_frame(self, segment_index: int) -> int | None:
        """The largest sample of a segment; None where it has no spikes."""
        if self._vector is None:
            return super()._last_spike_frame(segment_index)
        samples, _ = self._read_columns(segment_index, None, None)
        return int(samples[-1]) if len(samples) else None

    # -- trains ---------------------------------------------------------------------

    def _get_trains(
        self,
        unit_indices: Sequence[int] | IntArray,
        segment_index: int,
        start_frame: int | None,
        end_frame: int | None,
        use_cache: bool = True,
    ) -> list[IntArray]:
        cached = self._trains.get(segment_index)
        is_whole = start_frame is None and end_frame is None
        if cached is None and use_cache:
            # A window of many units is one short read; it is no reason to read everything.
            cached = self._fill_cache(segment_index, len(unit_indices) if is_whole else 1)
        if cached is None:
            return self._read_trains(unit_indices, segment_index, start_frame, end_frame)
        trains = [cached.train(index) for index in unit_indices]
        if is_whole:
            return trains
        return [window(train, start_frame, end_frame) for train in trains]

    def _fill_cache(self, segment_index: int, reads: int) -> SegmentTrains | None:
        """Cache the trains of a segment if that is worth it by now."""
        limit = self._reads_before_caching
        if limit == math.inf:
            return None
        if limit and self._vector is None:
            reads += self._reads.get(segment_index, 0)
            self._reads[segment_index] = reads
            if reads <= limit or self._count_spikes(segment_index).sum() > self._max_cached_spikes:
                return None
        self._trains[segment_index] = trains = self._all_trains(segment_index)
        return trains

    def _all_trains(self, segment_index: int) -> SegmentTrains:
        """The trains of every unit of a segment."""
        if self._vector is None:
            units = range(self.get_num_units())
            return SegmentTrains.from_trains(self._read_trains(units, segment_index, None, None))
        columns = self._read_columns(segment_index, None, None)
        return SegmentTrains.from_columns(*columns, self.get_num_units())

    def precompute_spike_trains(self, from_spike_vector: bool | None = None) -> None:
        """Cache the trains of every unit, which makes later reads of trains fast.

        Parameters
        ----------
        from_spike_vector : bool, optional
            Deprecated, without effect.
        """
        for index in range(self.get_num_segments()):
            if index not in self._trains:
                self._trains[index] = self._all_trains(index)

    # -- the spike vector -----------------------------------------------------------

    def _spike_vector(self) -> SpikeVector:
        """The spike vector, built once."""
        if self._vector is None:
            self._vector = read_only(self._build_vector())
        return self._vector

    def _build_vector(self) -> SpikeVector:
        segments = range(self.get_num_segments())
        return spike_vector_of([self._read_columns(index, None, None) for index in segments])

    def _slices(self) -> IntArray:
        """Where each segment starts and ends in the spike vector, int64, (segments, 2)."""
        if self._vector_slices is None:
            edges = np.searchsorted(
                self._spike_vector()["segment_index"], np.arange(self.get_num_segments() + 1)
            )
            self._vector_slices = read_only(np.stack([edges[:-1], edges[1:]], axis=1))
        return self._vector_slices
