"""Views that rearrange whole segments: appended, selected, split."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from spikewire.core.errors import ContractError, InvalidTypeError, InvalidValueError
from spikewire.core.registry import register_class
from spikewire.core.segment_view import SegmentView
from spikewire.core.shape import check_sampling_frequencies
from spikewire.core.sorting import BaseSorting
from spikewire.core.times import Recording
from spikewire.core.unit_ids import some


class AppendSegmentSorting(BaseSorting):
    """The segments of several sortings of the same units, one after the other.

    Parameters
    ----------
    sorting_list : list of BaseSorting
        Metadata are those of the first.
    sampling_frequency_max_diff : float, default: 0
        By how many Hz sampling frequencies may differ; that of the first is used.

    Raises
    ------
    InvalidValueError
        If units or sampling frequencies differ.
    """

    _dump_class = "spikeinterface.core.segmentutils.AppendSegmentSorting"
    _reads_before_caching = math.inf

    def __init__(
        self, sorting_list: Sequence[BaseSorting], sampling_frequency_max_diff: float = 0
    ) -> None:
        first = same_units(sorting_list)
        super().__init__(
            check_sampling_frequencies(sorting_list, sampling_frequency_max_diff), first.unit_ids
        )
        self.sorting_list = list(sorting_list)
        for sorting in sorting_list:
            for index in range(sorting.get_num_segments()):
                self.add_sorting_segment(SegmentView(sorting, index))
        first._lend_metadata(self)
        self._kwargs = {
            "sorting_list": self.sorting_list,
            "sampling_frequency_max_diff": sampling_frequency_max_diff,
        }


class SelectSegmentSorting(BaseSorting):
    """Some segments of a sorting.

    Parameters
    ----------
    sorting : BaseSorting
    segment_indices : int or list of int
        In the order that the view shall have.

    Raises
    ------
    ContractError
        If there is no such segment.
    """

    _dump_class = "spikeinterface.core.segmentutils.SelectSegmentSorting"
    _reads_before_caching = math.inf

    def __init__(self, sorting: BaseSorting, segment_indices: int | Sequence[int]) -> None:
        super().__init__(sorting.sampling_frequency, sorting.unit_ids)
        indices = [operator.index(index) for index in np.atleast_1d(segment_indices).tolist()]
        count = sorting.get_num_segments()
        if not all(0 <= index < count for index in indices):
            raise ContractError(f"segments {some(indices)} must be between 0 and {count - 1}")
        self._parent = sorting
        for index in indices:
            self.add_sorting_segment(SegmentView(sorting, index))
        sorting._lend_metadata(self)
        self._kwargs = {"sorting": sorting, "segment_indices": indices}


class SplitSegmentSorting(BaseSorting):
    """A sorting of concatenated recordings, with one segment for each segment of these.

    Parameters
    ----------
    parent_sorting : BaseSorting
        Of one segment.
    recording_or_recording_list : list of recordings, or one that has a `recording_list`
        The recordings, whose lengths say where to split; by default the registered one.

    Raises
    ------
    ContractError
        If there are several segments, or no recording.
    InvalidTypeError
        If the recordings are neither a list nor a concatenated recording.
    """

    _dump_class = "spikeinterface.core.segmentutils.SplitSegmentSorting"
    _serializability: ClassVar[dict[str, bool]] = {"memory": True, "json": False, "pickle": False}
    _reads_before_caching = math.inf

    def __init__(
        self, parent_sorting: BaseSorting, recording_or_recording_list: Any = None
    ) -> None:
        if parent_sorting.get_num_segments() != 1:
            raise ContractError("only a sorting of one segment can be split")
        recordings = _recordings(parent_sorting, recording_or_recording_list)
        super().__init__(parent_sorting.sampling_frequency, parent_sorting.unit_ids)
        self._parent = parent_sorting
        start = 0
        for recording in recordings:
            for index in range(recording.get_num_segments()):
                end = start + recording.get_num_samples(index)
                t_start = parent_sorting._t_start(0) + start / self._sampling_frequency
                self.add_sorting_segment(
                    SegmentView(
                        parent_sorting,
                        0,
                        start_frame=start,
                        end_frame=end,
                        origin=start,
                        t_start=t_start,
                    )
                )
                start = end
        parent_sorting._lend_metadata(self)
        self._kwargs = {
            "parent_sorting": parent_sorting,
            "recording_or_recording_list": recordings,
        }


def _recordings(parent: BaseSorting, given: Any) -> list[Recording]:
    if given is None:
        return [parent._require_recording()]
    if isinstance(given, list):
        return given
    concatenated = getattr(given, "recording_list", None)
    if concatenated is None:
        raise InvalidTypeError(
            "recording_or_recording_list must be a list of recordings or a concatenated "
            f"recording, not {type(given).__name__}"
        )
    return list(concatenated)


def same_units(sorting_list: Sequence[BaseSorting]) -> BaseSorting:
    """The first of several sortings of the same units.

    Raises
    ------
    InvalidValueError
        If there is no sorting, or if one has other units.
    """
    if len(sorting_list) == 0:
        raise InvalidValueError("there are no sortings to put together")
    first = sorting_list[0]
    for sorting in sorting_list:
        if not np.array_equal(sorting.unit_ids, first.unit_ids):
            raise InvalidValueError(
                f"sortings have different units: {some(first.unit_ids.tolist())} and "
                f"{some(sorting.unit_ids.tolist())}"
            )
    return first


append_sortings = AppendSegmentSorting
select_segment_sorting = SelectSegmentSorting
split_sorting = SplitSegmentSorting

for _class in (AppendSegmentSorting, SelectSegmentSorting, SplitSegmentSorting):
    register_class(_class._dump_class, _class)
