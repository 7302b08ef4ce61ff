"""A view of a stretch of frames of a sorting."""

from __future__ import annotations

import math
from typing import Any

from spikewire.core.bounds import frame_bound
from spikewire.core.errors import ContractError, InvalidValueError
from spikewire.core.registry import register_class
from spikewire.core.segment_view import SegmentView
from spikewire.core.sorting import BaseSorting


class FrameSliceSorting(BaseSorting):
    """The spikes of a sorting of one segment in [start_frame, end_frame), counted from there.

    Parameters
    ----------
    parent_sorting : BaseSorting
        Of one segment. A recording that is registered on it is sliced, too.
    start_frame : int, optional
        By default 0.
    end_frame : int, optional
        By default the end of the recording, else the frame after the last spike.
    check_spike_frames : bool, default: True
        Refuse a sorting with spikes outside its recording.

    Raises
    ------
    ContractError
        If there are several segments, or the slice is empty or not within the recording.
    InvalidValueError
        If spikes lie outside the recording.
    """

    _dump_class = "spikeinterface.core.frameslicesorting.FrameSliceSorting"
    _reads_before_caching = math.inf

    def __init__(
        self,
        parent_sorting: BaseSorting,
        start_frame: Any = None,
        end_frame: Any = None,
        check_spike_frames: bool = True,
    ) -> None:
        if parent_sorting.get_num_segments() != 1:
            raise ContractError(
                f"only a sorting of one segment can be sliced, not of "
                f"{parent_sorting.get_num_segments()}"
            )
        recording = parent_sorting._recording
        start, end = frame_bound(start_frame, "start_frame"), frame_bound(end_frame, "end_frame")
        start = 0 if start is None else start
        if recording is not None:
            length = recording.get_total_samples()
            end = length if end is None else end
            if max(start, end) > length:
                raise ContractError(f"frames {start} to {end} exceed the recording's {length}")
            if check_spike_frames and parent_sorting._exceeds(recording):
                raise InvalidValueError(
                    "spikes lie outside the recording; remove_excess_spikes() removes them"
                )
        elif end is None:
            end = max(parent_sorting.get_last_spike_frame(), 0) + 1
        if not 0 <= start < end:
            raise ContractError(f"a slice needs 0 <= start_frame < end_frame, not {start} to {end}")
        super().__init__(parent_sorting.sampling_frequency, parent_sorting.unit_ids)
        self._parent = parent_sorting
        self.add_sorting_segment(
            SegmentView(
                parent_sorting,
                0,
                start_frame=start,
                end_frame=end,
                origin=start,
                t_start=parent_sorting._t_start(0) + start / parent_sorting.sampling_frequency,
            )
        )
        parent_sorting._lend_metadata(self)
        if recording is not None:
            self.register_recording(recording.frame_slice(start_frame=start, end_frame=end))
            self.shift_times(parent_sorting._shift(0))
        self._kwargs = {
            "parent_sorting": parent_sorting,
            "start_frame": start,
            "end_frame": end,
            "check_spike_frames": check_spike_frames,
        }


register_class(FrameSliceSorting._dump_class, FrameSliceSorting)
