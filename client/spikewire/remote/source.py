"""One revision of a sorting on a server: whatever reads it, as operations."""

from __future__ import annotations

from spikewire.core.dtypes import AnyArray
from spikewire.core.errors import MalformedMessageError
from spikewire.remote.cached_trains import CachedTrains
from spikewire.remote.metadata import RemoteMetadata
from spikewire.remote.reader import SpikeReader
from spikewire.remote.resources import Resources
from spikewire.wire.sortings import SortingInfo


class RemoteSource:
    """What `RemoteSorting` and its twin in `spikewire.aio` read from.

    Attributes
    ----------
    info : SortingInfo
        What the server said of the sorting.
    unit_ids : ndarray, (units,)
    sampling_frequency : float
    reader : SpikeReader
        Reads spikes.
    trains : list of CachedTrains, (segments,)
        Reads trains through the cache.
    metadata : RemoteMetadata
        Reads and writes properties and annotations.
    """

    def __init__(self, resources: Resources, info: SortingInfo) -> None:
        if info.unit_ids is None or not info.sampling_frequency:
            raise MalformedMessageError(f"the server did not describe the units of {info.name!r}")
        name, revision = info.name, info.revision
        unit_count, segment_count = len(info.unit_ids), len(info.t_starts)
        self.info = info
        self.unit_ids: AnyArray = info.unit_ids
        self.sampling_frequency: float = info.sampling_frequency
        self.reader = SpikeReader(resources, name, revision, unit_count, segment_count)
        self.trains = [
            CachedTrains(self.reader, index, resources.cache.segment(name, revision, index))
            for index in range(segment_count)
        ]
        self.metadata = RemoteMetadata(name, revision, unit_count)
