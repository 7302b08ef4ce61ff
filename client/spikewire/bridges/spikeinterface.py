"""Sortings of a server as SpikeInterface's own objects.

Dumps of remote sortings name the class here, so that SpikeInterface loads them;
the path must stay as it is for ever. SpikeInterface is imported with this module.
"""

from __future__ import annotations

from typing import Any

try:
    from spikeinterface.core import (  # type: ignore[import-untyped]
        BaseSorting,
        BaseSortingSegment,
    )
except ImportError as error:
    from spikewire.core.errors import MissingExtraError

    raise MissingExtraError(
        "spikewire.bridges.spikeinterface needs SpikeInterface: pip install spikeinterface"
    ) from error

from spikewire.core.dtypes import AnyArray
from spikewire.remote import RemoteSorting as _RemoteSorting


class RemoteSorting(BaseSorting):  # type: ignore[misc]
    """A sorting on a spikewire server, for SpikeInterface.

    All spikes come in one read when SpikeInterface builds its spike vector, and the
    properties and annotations of the server are copied when it is opened.

    Parameters
    ----------
    target : str
        The server, "host" or "host:port".
    name : str
        The sorting's name there.
    revision : str, optional
        The content that is meant; by default the present one.
    """

    def __init__(self, target: str, name: str, revision: str | None = None) -> None:
        remote = _RemoteSorting(target, name, revision)
        super().__init__(remote.sampling_frequency, remote.unit_ids.copy())
        self._remote = remote
        for index, segment in enumerate(remote.segments):
            self.add_sorting_segment(RemoteSortingSegment(remote, index, segment._t_start))
        for key in remote.get_property_keys():
            self.set_property(key, remote.get_property(key))
        for key in remote.get_annotation_keys():
            self.set_annotation(key, remote.get_annotation(key), overwrite=True)
        self._kwargs = dict(remote._kwargs)

    def _compute_and_cache_spike_vector(self) -> None:
        # A copy: SpikeInterface hands its vector out for writing.
        self._cached_spike_vector = self._remote.to_spike_vector(use_cache=False).copy()


class RemoteSortingSegment(BaseSortingSegment):  # type: ignore[misc]
    """One segment of a sorting on a server.

    Parameters
    ----------
    remote : spikewire.RemoteSorting
        Reads the sorting.
    segment_index : int
    t_start : float, optional
        Seconds.
    """

    def __init__(self, remote: _RemoteSorting, segment_index: int, t_start: float | None) -> None:
        super().__init__(t_start)
        self._remote = remote
        self._segment_index = segment_index

    def get_unit_spike_train(
        self, unit_id: Any, start_frame: int | None = None, end_frame: int | None = None
    ) -> AnyArray:
        """Return the samples of one unit in [start_frame, end_frame), in one call."""
        return self._remote.get_unit_spike_train(
            unit_id, self._segment_index, start_frame, end_frame
        )
