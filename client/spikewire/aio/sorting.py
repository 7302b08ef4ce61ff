"""A sorting on a server whose reads are awaited."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

import numpy as np

from spikewire.aio.channel import Connection
from spikewire.core.bounds import frame_bound
from spikewire.core.dtypes import AnyArray, IntArray, SpikeVector, UnitId, read_only
from spikewire.core.errors import InvalidValueError
from spikewire.core.numpy_sorting import NumpySorting
from spikewire.core.segment import BaseSortingSegment
from spikewire.core.shape import SortingShape
from spikewire.remote.library import describe_later
from spikewire.remote.source import RemoteSource
from spikewire.wire.sortings import SortingInfo


class RemoteSorting(SortingShape):
    """A sorting on a server; made by `Client`.

    Methods that ask the server are coroutines, with the names and results of those of
    `spikewire.RemoteSorting`; what opening it has told is not awaited: units, segments,
    sampling frequency, keys. `await sorting.to_numpy_sorting()` gives everything else
    that a sorting can do.

    Parameters
    ----------
    connection : Connection
        The way to the server.
    info : SortingInfo
        What the server said of the sorting.
    """

    def __init__(self, connection: Connection, info: SortingInfo) -> None:
        self._connection = connection
        self._open(info)

    def _open(self, info: SortingInfo) -> None:
        source = RemoteSource(self._connection.resources, info)
        super().__init__(source.sampling_frequency, source.unit_ids)
        for t_start, clocks in zip_longest(info.t_starts, info.clocks):
            self.add_sorting_segment(BaseSortingSegment(t_start, clocks))
        self._source = source
        self._properties: dict[str, AnyArray] = {}
        self._annotations: dict[str, Any] | None = None

    def __repr__(self) -> str:
        return f"<spikewire.aio.RemoteSorting: {self.url}, {self.get_num_units()} units>"

    @property
    def remote_name(self) -> str:
        """The sorting's name on the server."""
        return self._source.info.name

    @property
    def revision(self) -> str:
        """The content that is pinned."""
        return self._source.info.revision

    @property
    def url(self) -> str:
        """The address that `spikewire.load` opens."""
        return self._connection.target.url(self.remote_name)

    async def refresh(self) -> None:
        """Take the properties and annotations that the server has now.

        A sorting that is being recorded is from now on what has been recorded until now:
        it has more spikes, and may have more units and segments. No other task may read
        it meanwhile.

        Raises
        ------
        RevisionMismatchError
            The spikes have changed: open the sorting again.
        """
        self._open(await self._connection.run(describe_later(self.remote_name, self.revision)))

    # -- spikes -------------------------------------------------------------------------

    async def get_unit_spike_train(
        self,
        unit_id: UnitId,
        segment_index: int | None = None,
        start_frame: float | None = None,
        end_frame: float | None = None,
        use_cache: bool = True,
    ) -> IntArray:
        """The spikes of one unit in [start_frame, end_frame)."""
        units = [self.id_to_index(unit_id)]
        trains = await self._trains(units, segment_index, start_frame, end_frame, use_cache)
        return trains[0]

    async def get_unit_spike_trains(
        self,
        unit_ids: list[Any] | tuple[Any, ...] | AnyArray | None = None,
        segment_index: int | None = None,
        start_frame: float | None = None,
        end_frame: float | None = None,
        use_cache: bool = True,
    ) -> dict[Any, IntArray]:
        """The spikes of many units in one go, by unit id."""
        units = np.asarray(self.ids_to_indices(unit_ids))
        trains = await self._trains(
            units.tolist(), segment_index, start_frame, end_frame, use_cache
        )
        return dict(zip(self._main_ids[units], trains, strict=True))

    async def _trains(
        self,
        units: Sequence[int],
        segment_index: int | None,
        start_frame: float | None,
        end_frame: float | None,
        use_cache: bool,
    ) -> list[IntArray]:
        segment = self._check_segment_index(segment_index)
        start = frame_bound(start_frame, "start_frame")
        end = frame_bound(end_frame, "end_frame")
        if not use_cache:
            return await self._connection.run(
                self._source.reader.trains(units, segment, start, end)
            )
        trains = self._source.trains[segment]
        cached = trains.cached(units, start, end)
        if cached is not None:
            return cached
        return await self._connection.run(trains.trains(units, start, end))

    async def precompute_spike_trains(self) -> None:
        """Fetch the trains of every unit into the cache, as far as it holds them."""
        for trains in self._source.trains:
            await self._connection.run(trains.all_trains())

    async def to_spike_vector(self) -> SpikeVector:
        """All spikes in one structured array, ordered by segment, then sample."""
        return read_only(await self._connection.run(self._source.reader.vector()))

    async def to_spike_columns(
        self,
        segment_index: int | None = None,
        start_frame: float | None = None,
        end_frame: float | None = None,
    ) -> tuple[IntArray, IntArray]:
        """The samples and unit indices of one segment, in the spike vector's order."""
        segment = self._check_segment_index(segment_index)
        start = frame_bound(start_frame, "start_frame")
        end = frame_bound(end_frame, "end_frame")
        samples, unit_indices = await self._connection.run(
            self._source.reader.columns(segment, start, end)
        )
        return read_only(samples), read_only(unit_indices)

    async def to_numpy_sorting(self) -> NumpySorting:
        """The spikes in memory, without metadata; start times are kept."""
        spikes = await self.to_spike_vector()
        sorting = NumpySorting(
            spikes, self._sampling_frequency, self._main_ids, self.get_num_segments()
        )
        for target, source in zip(sorting.segments, self._segments, strict=True):
            target._take_times_of(source)
        return sorting

    async def count_num_spikes_per_unit(self, outputs: str = "dict") -> Any:
        """The number of spikes of each unit in all segments: a dict, or an array."""
        if outputs not in ("dict", "array"):
            raise InvalidValueError(f"outputs must be 'dict' or 'array', not {outputs!r}")
        counts = np.zeros(self.get_num_units(), dtype=np.int64)
        for segment in range(self.get_num_segments()):
            counts += (await self._connection.run(self._source.reader.counts(segment))).counts
        return counts if outputs == "array" else dict(zip(self._main_ids, counts, strict=True))

    async def count_total_num_spikes(self) -> int:
        """The number of spikes of all units in all segments."""
        return int((await self.count_num_spikes_per_unit("array")).sum())

    async def get_last_spike_frame(self, segment_index: int | None = None) -> int:
        """The frame of the last spike of a segment; 0 where it has no spikes."""
        segment = self._check_segment_index(segment_index)
        counts = await self._connection.run(self._source.reader.counts(segment))
        return counts.last_sample or 0

    # -- metadata -----------------------------------------------------------------------

    def get_property_keys(self) -> list[str]:
        """The keys of all properties."""
        return list(self._source.info.properties)

    async def get_property(
        self, key: str, ids: list[Any] | tuple[Any, ...] | AnyArray | None = None
    ) -> AnyArray | None:
        """A property's values; None if there is no such property."""
        if key not in self._source.info.properties:
            return None
        if key not in self._properties:
            tagged = await self._connection.run(self._source.metadata.get_property(key))
            self._properties[key] = tagged.value
        values = self._properties[key]
        return values if ids is None else np.asarray(values[self.ids_to_indices(ids)])

    def get_annotation_keys(self) -> list[str]:
        """The keys of all annotations."""
        return list(self._source.info.annotations)

    async def get_annotation(self, key: str) -> Any:
        """An annotation's value; None if there is no such annotation."""
        if self._annotations is None:
            tagged = await self._connection.run(self._source.metadata.get_annotations())
            self._annotations = {key: annotation.value for key, annotation in tagged.items()}
        return self._annotations.get(key)
