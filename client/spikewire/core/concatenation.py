"""Sortings one after the other in a single segment."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from spikewire.core.dtypes import AnyArray, FloatArray, IntArray, UnitId
from spikewire.core.errors import ContractError, InvalidValueError
from spikewire.core.registry import register_class
from spikewire.core.segment import BaseSortingSegment
from spikewire.core.segment_view import SegmentView
from spikewire.core.segments_views import same_units
from spikewire.core.shape import SortingShape, check_sampling_frequencies
from spikewire.core.sorting import BaseSorting


class ConcatenateSegmentSorting(BaseSorting):
    """All segments of several sortings of the same units, as a single segment.

    Parameters
    ----------
    sorting_list : list of BaseSorting
        Either all with a recording, or all of one segment and without.
    total_samples_list : list of int, optional
        The number of frames of each sorting, if there are no recordings.
    ignore_times : bool, default: True
        Ignore start times and time vectors, which a single segment cannot keep;
        with False, sortings that have any are refused.
    sampling_frequency_max_diff : float, default: 0
        By how many Hz sampling frequencies may differ; that of the first is used.

    Raises
    ------
    ContractError
        If lengths are missing or given twice, or times would be lost.
    InvalidValueError
        If units or sampling frequencies differ, or spikes lie outside the lengths.
    """

    _dump_class = "spikeinterface.core.segmentutils.ConcatenateSegmentSorting"
    _reads_before_caching = math.inf

    def __init__(
        self,
        sorting_list: Sequence[BaseSorting],
        total_samples_list: Sequence[int] | None = None,
        ignore_times: bool = True,
        sampling_frequency_max_diff: float = 0,
    ) -> None:
        first = same_units(sorting_list)
        frequency = check_sampling_frequencies(sorting_list, sampling_frequency_max_diff)
        recorded = all(sorting.has_recording() for sorting in sorting_list)
        if recorded == (total_samples_list is not None):
            raise ContractError(
                "give total_samples_list unless every sorting has a recording, and not if so"
            )
        if not ignore_times:
            _refuse_times(sorting_list)
        super().__init__(frequency, first.unit_ids)
        self.parent_num_samples: list[int] = []
        parts: list[SegmentView] = []
        for number, sorting in enumerate(sorting_list):
            lengths = _lengths(sorting, total_samples_list, number, len(sorting_list))
            for index, length in enumerate(lengths):
                _check_frames(sorting, index, length)
                parts.append(SegmentView(sorting, index, origin=-sum(self.parent_num_samples)))
                self.parent_num_samples.append(length)
        self.add_sorting_segment(_ConcatenatedSegment(parts, self.parent_num_samples))
        first._lend_metadata(self)
        if recorded:
            self.register_recording(_PlainRecording(frequency, sum(self.parent_num_samples)))
        self._kwargs = {
            "sorting_list": list(sorting_list),
            "ignore_times": ignore_times,
            "total_samples_list": None if total_samples_list is None else list(total_samples_list),
            "sampling_frequency_max_diff": sampling_frequency_max_diff,
        }

    def get_num_samples(self, segment_index: int | None = None) -> int:
        """The number of frames of all sortings together."""
        self._check_segment_index(segment_index)
        return sum(self.parent_num_samples)

    def get_total_samples(self) -> int:
        """The number of frames of all sortings together."""
        return sum(self.parent_num_samples)


def _lengths(
    sorting: BaseSorting, total_samples_list: Sequence[int] | None, number: int, count: int
) -> list[int]:
    """The number of frames of each segment of a sorting."""
    if total_samples_list is None:
        return [sorting.get_num_samples(index) for index in range(sorting.get_num_segments())]
    if len(total_samples_list) != count:
        raise ContractError(f"total_samples_list has {len(total_samples_list)} values for {count}")
    if sorting.get_num_segments() != 1:
        raise ContractError("sortings of several segments are concatenated by their recordings")
    return [int(total_samples_list[number])]


def _refuse_times(sortings: Sequence[BaseSorting]) -> None:
    for sorting in sortings:
        for index, segment in enumerate(sorting.segments):
            if segment._t_start is not None or sorting.has_time_vector(index):
                raise ContractError("times would be lost: ignore_times=True says to ignore them")


def _check_frames(sorting: BaseSorting, segment_index: int, length: int) -> None:
    last = sorting._last_spike_frame(segment_index)
    outside = last is not None and last >= length
    if outside or len(sorting._read_columns(segment_index, None, 0)[0]):
        raise InvalidValueError(f"spikes lie outside the {length} frames of a segment")


class _ConcatenatedSegment(BaseSortingSegment):
    """Parts one after the other; each counts frames from the start of the first."""

    def __init__(self, parts: Sequence[SegmentView], lengths: Sequence[int]) -> None:
        super().__init__()
        self._parts = parts
        self._edges = [0, *np.cumsum(lengths).tolist()]

    def set_parent_extractor(self, parent_extractor: SortingShape) -> None:
        """Tell the segment, and its parts, which sorting they belong to."""
        super().set_parent_extractor(parent_extractor)
        for part in self._parts:
            part.set_parent_extractor(parent_extractor)

    def _touched(self, start_frame: int | None, end_frame: int | None) -> list[SegmentView]:
        """The parts that lie in a window."""
        start = 0 if start_frame is None else start_frame
        end = self._edges[-1] if end_frame is None else end_frame
        return [
            part
            for part, first, last in zip(self._parts, self._edges, self._edges[1:], strict=False)
            if first < end and start < last
        ]

    def get_unit_spike_trains(
        self,
        unit_ids: Sequence[UnitId] | AnyArray,
        start_frame: int | None = None,
        end_frame: int | None = None,
    ) -> list[IntArray]:
        """The trains of several units, in the order of `unit_ids`."""
        parts = [
            part.get_unit_spike_trains(unit_ids, start_frame, end_frame)
            for part in self._touched(start_frame, end_frame)
        ]
        empty = np.empty(0, dtype=np.int64)
        return [
            np.concatenate([empty, *(trains[position] for trains in parts)])
            for position in range(len(unit_ids))
        ]

    def get_unit_spike_train(
        self, unit_id: UnitId, start_frame: int | None = None, end_frame: int | None = None
    ) -> IntArray:
        """The samples of one unit in [start_frame, end_frame), ascending."""
        return self.get_unit_spike_trains([unit_id], start_frame, end_frame)[0]

    def get_spike_columns(
        self, start_frame: int | None = None, end_frame: int | None = None
    ) -> tuple[IntArray, IntArray]:
        """Every spike in [start_frame, end_frame) in the order of the parents' vectors."""
        empty = np.empty(0, dtype=np.int64)
        columns = [
            part.get_spike_columns(start_frame, end_frame)
            for part in self._touched(start_frame, end_frame)
        ]
        return (
            np.concatenate([empty, *(samples for samples, _ in columns)]),
            np.concatenate([empty, *(units for _, units in columns)]),
        )

    def iter_spike_columns(
        self, start_frame: int | None = None, end_frame: int | None = None
    ) -> Iterator[tuple[IntArray, IntArray]]:
        """The spikes of `get_spike_columns`, some at a time where the parents can."""
        for part in self._touched(start_frame, end_frame):
            yield from part.iter_spike_columns(start_frame, end_frame)

    def count_spikes(self) -> IntArray:
        """The number of spikes of each unit."""
        return self.count_spikes_between(None, None)

    def count_spikes_between(self, start_frame: int | None, end_frame: int | None) -> IntArray:
        """The number of spikes of each unit in [start_frame, end_frame)."""
        counts = np.zeros(self._sorting().get_num_units(), dtype=np.int64)
        for part in self._touched(start_frame, end_frame):
            counts += part.count_spikes_between(start_frame, end_frame)
        return counts

    def get_last_spike_frame(self) -> int | None:
        """The largest sample of the segment; None where it has no spikes."""
        last = (part.get_last_spike_frame() for part in reversed(self._parts))
        return next((frame for frame in last if frame is not None), None)


class _PlainRecording:
    """One segment of so many frames from time 0.0: what remains of concatenated recordings."""

    def __init__(self, sampling_frequency: float, num_samples: int) -> None:
        self._sampling_frequency = sampling_frequency
        self._num_samples = num_samples

    def get_sampling_frequency(self) -> float:
        return self._sampling_frequency

    def get_num_segments(self) -> int:
        return 1

    def get_num_samples(self, segment_index: int | None = None) -> int:
        return self._num_samples

    def get_total_samples(self) -> int:
        return self._num_samples

    def get_total_duration(self) -> float:
        return self.get_end_time() + 1 / self._sampling_frequency

    def get_start_time(self, segment_index: int | None = None) -> float:
        return 0.0

    def get_end_time(self, segment_index: int | None = None) -> float:
        return (self._num_samples - 1) / self._sampling_frequency

    def has_time_vector(self, segment_index: int | None = None) -> bool:
        return False

    def get_times(
        self,
        segment_index: int | None = None,
        start_frame: int | None = None,
        end_frame: int | None = None,
    ) -> FloatArray:
        frames = np.arange(self._num_samples)[start_frame:end_frame]
        seconds: FloatArray = frames / self._sampling_frequency
        return seconds

    def sample_index_to_time(self, sample_ind: Any, segment_index: int | None = None) -> Any:
        return sample_ind / self._sampling_frequency

    def time_to_sample_index(self, time_s: Any, segment_index: int | None = None) -> Any:
        frames = np.round(np.asarray(time_s) * self._sampling_frequency).astype(np.int64)
        return frames if frames.ndim else int(frames)

    def frame_slice(self, start_frame: int, end_frame: int) -> _PlainRecording:
        return _PlainRecording(self._sampling_frequency, end_frame - start_frame)


concatenate_sortings = ConcatenateSegmentSorting
register_class(ConcatenateSegmentSorting._dump_class, ConcatenateSegmentSorting)
