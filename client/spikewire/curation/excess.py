"""Spikes that lie outside the recording."""

from __future__ import annotations

import math
from typing import ClassVar

from spikewire.core.errors import ContractError
from spikewire.core.registry import register_class
from spikewire.core.segment_view import SegmentView
from spikewire.core.sorting import BaseSorting
from spikewire.core.times import Recording


class RemoveExcessSpikesSorting(BaseSorting):
    """A view without the spikes before the start or after the end of a recording.

    Parameters
    ----------
    sorting : BaseSorting
    recording
        A recording of as many segments.

    Raises
    ------
    ContractError
        If the numbers of segments differ.
    """

    _dump_class = "spikeinterface.curation.remove_excess_spikes.RemoveExcessSpikesSorting"
    _serializability: ClassVar[dict[str, bool]] = {"memory": True, "json": False, "pickle": False}
    _reads_before_caching = math.inf

    def __init__(self, sorting: BaseSorting, recording: Recording) -> None:
        if sorting.get_num_segments() != recording.get_num_segments():
            raise ContractError(
                f"the recording has {recording.get_num_segments()} segments, the sorting "
                f"{sorting.get_num_segments()}"
            )
        super().__init__(sorting.sampling_frequency, sorting.unit_ids)
        self._parent = sorting
        for index in range(sorting.get_num_segments()):
            length = recording.get_num_samples(index)
            self.add_sorting_segment(SegmentView(sorting, index, start_frame=0, end_frame=length))
        self._recording = sorting._recording
        sorting._lend_metadata(self)
        self._kwargs = {"sorting": sorting, "recording": recording}


def remove_excess_spikes(sorting: BaseSorting, recording: Recording | None = None) -> BaseSorting:
    """The sorting without spikes outside a recording; itself if there are none.

    Parameters
    ----------
    sorting : BaseSorting
    recording : optional
        By default the registered one.

    Raises
    ------
    ContractError
        If there is no recording, or one with another number of segments.
    """
    recording = sorting._require_recording() if recording is None else recording
    alike = sorting.get_num_segments() == recording.get_num_segments()
    if alike and not sorting._exceeds(recording):
        return sorting
    return RemoveExcessSpikesSorting(sorting, recording)


register_class(RemoveExcessSpikesSorting._dump_class, RemoveExcessSpikesSorting)
