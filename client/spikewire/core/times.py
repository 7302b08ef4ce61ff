"""Frames to seconds and back, by a start time or by a registered recording."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any, Protocol

import numpy as np

from spikewire.core.dtypes import AnyArray, FloatArray, IntArray, UnitId
from spikewire.core.errors import ContractError
from spikewire.core.metadata import SortingMetadata


class Recording(Protocol):
    """What a sorting asks of a recording; SpikeInterface's recordings answer it."""

    def get_sampling_frequency(self) -> float:
        """Frames per second."""

    def get_num_segments(self) -> int:
        """The number of segments."""

    def get_num_samples(self, segment_index: int | None = None) -> int:
        """The number of frames of a segment."""

    def get_total_samples(self) -> int:
        """The number of frames of all segments."""

    def get_total_duration(self) -> float:
        """Seconds of all segments."""

    def get_start_time(self, segment_index: int | None = None) -> float:
        """Time of a segment's frame 0 in seconds."""

    def get_end_time(self, segment_index: int | None = None) -> float:
        """Time of a segment's end in seconds."""

    def has_time_vector(self, segment_index: int | None = None) -> bool:
        """Whether a segment has a time for each frame."""

    def get_times(self, segment_index: int | None = None, *args: Any, **kwargs: Any) -> FloatArray:
        """Seconds of the frames of a segment."""

    def sample_index_to_time(self, sample_ind: Any, segment_index: int | None = None) -> Any:
        """Seconds of frames."""

    def time_to_sample_index(self, time_s: Any, segment_index: int | None = None) -> Any:
        """Frames of seconds."""

    def frame_slice(self, start_frame: int, end_frame: int) -> Recording:
        """The recording between two frames."""


class SortingTimes(SortingMetadata):
    """Times of a sorting.

    A recording, shifts and sync points live in memory only: no file keeps them. A server
    keeps sync points.
    """

    def __init__(self, sampling_frequency: float, unit_ids: Iterable[UnitId] | AnyArray) -> None:
        super().__init__(sampling_frequency, unit_ids)
        self._recording: Recording | None = None

    def _read_columns(
        self, segment_index: int, start_frame: int | None, end_frame: int | None
    ) -> tuple[IntArray, IntArray]:
        """Samples and unit indices of a window of a segment, in the spike vector's order."""
        return self._segments[segment_index].get_spike_columns(start_frame, end_frame)

    def _last_spike_frame(self, segment_index: int) -> int | None:
        """The largest sample of a segment; None where it has no spikes."""
        return self._segments[segment_index].get_last_spike_frame()

    def register_recording(self, recording: Recording, check_spike_frames: bool = True) -> None:
        """Take times from the recording that the spikes were sorted from.

        Parameters
        ----------
        recording
            A recording of as many segments and the same sampling frequency.
        check_spike_frames : bool, default: True
            Warn if spikes lie outside the recording.

        Raises
        ------
        ContractError
            If sampling frequency or number of segments differ.
        """
        frequency = recording.get_sampling_frequency()
        if not np.isclose(self._sampling_frequency, frequency, atol=0.1):
            raise ContractError(
                f"the recording's sampling frequency is {frequency} Hz, the sorting's "
                f"{self._sampling_frequency} Hz"
            )
        if recording.get_num_segments() != self.get_num_segments():
            raise ContractError(
                f"the recording has {recording.get_num_segments()} segments, the sorting "
                f"{self.get_num_segments()}"
            )
        if check_spike_frames and self._exceeds(recording):
            warnings.warn(
                "some spikes lie outside the recording; remove_excess_spikes() removes them",
                stacklevel=2,
            )
        self._recording = recording
        for index, segment in enumerate(self._segments):
            segment._t_start = segment._native_t_start = recording.get_start_time(index)
            segment._clocks = None

    def _exceeds(self, recording: Recording) -> bool:
        """Whether spikes lie outside the recording."""
        for index in range(self.get_num_segments()):
            last = self._last_spike_frame(index)
            if last is not None and last >= recording.get_num_samples(index):
                return True
            if len(self._read_columns(index, None, 0)[0]):
                return True
        return False

    def has_recording(self) -> bool:
        """Whether a recording is registered."""
        return self._recording is not None

    def _require_recording(self) -> Recording:
        if self._recording is None:
            raise ContractError("this needs a recording: call register_recording() first")
        return self._recording

    def has_time_vector(self, segment_index: int | None = None) -> bool:
        """Whether the registered recording has a time for each frame of the segment."""
        index = self._check_segment_index(segment_index)
        return self._recording is not None and self._recording.has_time_vector(index)

    def get_num_samples(self, segment_index: int | None = None) -> int:
        """The number of frames of a segment of the registered recording."""
        recording = self._require_recording()
        return recording.get_num_samples(self._check_segment_index(segment_index))

    def get_total_samples(self) -> int:
        """The number of frames of the registered recording."""
        recording = self._require_recording()
        return sum(recording.get_num_samples(index) for index in range(self.get_num_segments()))

    def get_total_duration(self) -> float:
        """The duration of the registered recording in seconds."""
        return self._require_recording().get_total_duration()

    def get_start_time(self, segment_index: int | None = None) -> float:
        """The time of frame 0 of a segment in seconds; 0.0 where nothing is known of it."""
        return self._t_start(self._check_segment_index(segment_index))

    def get_end_time(self, segment_index: int | None = None) -> float:
        """The end of a segment in seconds: the recording's end, else the last spike."""
        index = self._check_segment_index(segment_index)
        if self._recording is not None:
            return self._recording.get_end_time(index) + self._shift(index)
        return float(self.sample_index_to_time(self._last_spike_frame(index) or 0, index))

    def get_times(
        self,
        segment_index: int | None = None,
        start_frame: int | None = None,
        end_frame: int | None = None,
    ) -> FloatArray | None:
        """The time of each frame of the registered recording in seconds; None without one."""
        index = self._check_segment_index(segment_index)
        if self._recording is None:
            return None
        times = self._recording.get_times(
            segment_index=index, start_frame=start_frame, end_frame=end_frame
        )
        shift = self._shift(index)
        return times + shift if shift else times

    def shift_times(self, shift: float, segment_index: int | None = None) -> None:
        """Add `shift` seconds to the times of one segment, or of all."""
        indices = range(self.get_num_segments())
        if segment_index is not None:
            first = self._check_segment_index(segment_index)
            indices = range(first, first + 1)
        for index in indices:
            segment = self._segments[index]
            segment._t_start = self._t_start(index) + shift
            if segment._clocks is not None:
                segment._clocks = segment._clocks.shifted(shift)

    def _t_start(self, segment_index: int) -> float:
        t_start = self._segments[segment_index]._t_start
        return 0.0 if t_start is None else t_start

    def _shift(self, segment_index: int) -> float:
        """How far the segment was shifted against the registered recording."""
        recording = self._require_recording()
        return self._t_start(segment_index) - recording.get_start_time(segment_index)

    def sample_index_to_time(self, sample_index: Any, segment_index: int | None = None) -> Any:
        """The time of a frame, or of an array of frames, in seconds."""
        index = self._check_segment_index(segment_index)
        if self._recording is not None:
            return self._recording.sample_index_to_time(sample_index, index) + self._shift(index)
        clocks = self._segments[index]._clocks
        if clocks is not None:
            return clocks.first.times_at(sample_index)
        return sample_index / self._sampling_frequency + self._t_start(index)

    def time_to_sample_index(self, time: Any, segment_index: int | None = 0) -> Any:
        """The frame nearest to a time in seconds, or the frames of an array of times."""
        index = self._check_segment_index(segment_index)
        if self._recording is not None:
            return self._recording.time_to_sample_index(time - self._shift(index), index)
        clocks = self._segments[index]._clocks
        if clocks is not None:
            frames = clocks.first.samples_at(time)
        else:
            frames = (time - self._t_start(index)) * self._sampling_frequency
        if isinstance(frames, np.ndarray):
            rounded: IntArray = np.rint(frames).astype(np.int64)
            return rounded
        return round(frames)
