"""How the spikes of all units are asked for: the spike vector, its columns, counts."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from spikewire.core.bounds import frame_bound
from spikewire.core.dtypes import SPIKE_DTYPE, AnyArray, IntArray, SpikeVector, read_only
from spikewire.core.errors import ContractError, InvalidTypeError, InvalidValueError
from spikewire.core.spike_vector import (
    reorder_spike_vector_by_unit_and_segment,
    spike_vector_to_indices,
)
from spikewire.core.spikes import SortingSpikes
from spikewire.core.unit_ids import membership

#: Orders of `to_reordered_spike_vector`; the last key is the major one, as in `np.lexsort`.
LEXSORT_UNIT_COMPACT = ("sample_index", "segment_index", "unit_index")
LEXSORT_SEGMENT_COMPACT = ("sample_index", "unit_index", "segment_index")


class SortingVectors(SortingSpikes):
    """The methods of `BaseSorting` that look at all units together."""

    def to_spike_vector(
        self,
        concatenated: bool = True,
        extremum_channel_inds: Mapping[Any, int] | None = None,
        main_channel_indices: AnyArray | None = None,
        use_cache: bool = True,
        return_slices: bool = False,
    ) -> Any:
        """All spikes in one structured array, ordered by segment, then sample.

        Spikes of the same sample keep the order in which the sorting holds them.

        Parameters
        ----------
        concatenated : bool, default: True
            Give one array; else a list of one array a segment.
        extremum_channel_inds : dict, optional
            Deprecated: a channel index by unit id; use `main_channel_indices`.
        main_channel_indices : (units,), optional
            Adds a field `channel_index`: the channel of each spike's unit.
        use_cache : bool, default: True
            Keep the vector for the next call.
        return_slices : bool, default: False
            Give also where each segment lies in the vector, int64, (segments, 2).

        Returns
        -------
        structured array, (spikes,), read-only
            `sample_index`, `unit_index` (the position in `unit_ids`) and
            `segment_index`, all int64.
        """
        if extremum_channel_inds is not None:
            warnings.warn(
                "extremum_channel_inds is deprecated; use main_channel_indices, an array in "
                "the order of unit_ids",
                DeprecationWarning,
                stacklevel=2,
            )
            channels = [extremum_channel_inds[unit_id] for unit_id in self._main_ids]
            main_channel_indices = np.array(channels, dtype=np.int64)
        keep = self._vector is not None
        spikes = self._spike_vector()
        slices = self._slices()
        if not (use_cache or keep):
            self._vector = self._vector_slices = None
        if main_channel_indices is not None and "channel_index" not in (spikes.dtype.names or ()):
            spikes = _with_channels(spikes, main_channel_indices)
        result: Any = spikes
        if not concatenated:
            result = [spikes[first:last] for first, last in slices]
        return (result, slices) if return_slices else result

    def to_spike_columns(
        self,
        segment_index: int | None = None,
        start_frame: float | None = None,
        end_frame: float | None = None,
    ) -> tuple[IntArray, IntArray]:
        """The columns of one segment of the spike vector, without building it.

        Parameters
        ----------
        segment_index : int, optional
            Needed if there are several segments.
        start_frame, end_frame : int, optional
            The window; None leaves the side open.

        Returns
        -------
        samples : int64, (spikes,), ascending, read-only
        unit_indices : int64, (spikes,), read-only
            Positions in `unit_ids`.
        """
        segment = self._check_segment_index(segment_index)
        start = frame_bound(start_frame, "start_frame")
        end = frame_bound(end_frame, "end_frame")
        samples, unit_indices = self._read_columns(segment, start, end)
        return read_only(samples), read_only(unit_indices)

    def to_reordered_spike_vector(
        self,
        lexsort: tuple[str, str, str] = LEXSORT_UNIT_COMPACT,
        return_order: bool = True,
        return_slices: bool = True,
    ) -> Any:
        """The spike vector with the spikes of each unit in each segment put together.

        Parameters
        ----------
        lexsort : tuple of str
            `LEXSORT_UNIT_COMPACT` puts all segments of a unit together,
            `LEXSORT_SEGMENT_COMPACT` all units of a segment.
        return_order, return_slices : bool, default: True
            What to give besides the vector; with neither, the vector alone is given.

        Returns
        -------
        spikes : structured array, (spikes,), read-only
        order : int64, (spikes,), read-only
            The position of each spike in `to_spike_vector()`.
        slices : int64, (units, segments, 2) or (segments, units, 2), read-only
            Where the spikes of each unit in each segment start and end.

        Raises
        ------
        InvalidValueError
            If `lexsort` is neither of the two.
        """
        if lexsort not in (LEXSORT_UNIT_COMPACT, LEXSORT_SEGMENT_COMPACT):
            raise InvalidValueError(
                f"lexsort must be {LEXSORT_UNIT_COMPACT} or {LEXSORT_SEGMENT_COMPACT}, "
                f"not {lexsort!r}"
            )
        if lexsort not in self._reordered:
            units, segments = self.get_num_units(), self.get_num_segments()
            unit_major = lexsort == LEXSORT_UNIT_COMPACT
            spikes, order, counts = reorder_spike_vector_by_unit_and_segment(
                self._spike_vector(), units, segments, unit_major
            )
            shape = (units, segments) if unit_major else (segments, units)
            stops = np.cumsum(counts).reshape(shape)
            slices = np.stack([stops - counts.reshape(shape), stops], axis=-1)
            self._reordered[lexsort] = read_only(spikes), read_only(order), read_only(slices)
        spikes, order, slices = self._reordered[lexsort]
        result = (spikes, *[order] * return_order, *[slices] * return_slices)
        return result if len(result) > 1 else spikes

    def get_spike_vector_to_indices(self) -> dict[int, dict[Any, IntArray]]:
        """Where each unit's spikes lie in the spike vector.

        Returns
        -------
        dict of dict of int64, (spikes,), read-only
            By segment index, then unit id; counted from the start of the whole vector.
        """
        if self._vector_indices is None:
            self._vector_indices = spike_vector_to_indices(
                self.to_spike_vector(concatenated=False), self._main_ids, absolute_index=True
            )
        return self._vector_indices

    def search_cached_spikes_sorted(self, indices: Any, segment_index: int | None = None) -> Any:
        """Where frames would be inserted into a segment of the spike vector.

        Parameters
        ----------
        indices : int or array of int
            Frames.
        segment_index : int, optional
            Needed if there are several segments.

        Returns
        -------
        int64
            Positions counted from the segment's start, before spikes of the same frame.

        Raises
        ------
        ContractError
            If there are several segments and none is given.
        """
        if segment_index is None and self.get_num_segments() != 1:
            raise ContractError("segment_index is needed for a sorting of several segments")
        samples, _ = self.to_spike_columns(segment_index)
        return np.searchsorted(samples, indices)

    def get_last_spike_frame(self, segment_index: int | None = None) -> int:
        """The frame of the last spike of a segment; 0 where it has no spikes."""
        return self._last_spike_frame(self._check_segment_index(segment_index)) or 0

    def count_num_spikes_per_unit(self, outputs: str = "dict", unit_ids: Any = None) -> Any:
        """The number of spikes of each unit in all segments.

        Parameters
        ----------
        outputs : {"dict", "array"}
        unit_ids : sequence, optional
            Only these units, still in the sorting's order; ids of no unit are ignored.

        Returns
        -------
        dict of np.int64 by unit id, or int64, (units,)

        Raises
        ------
        InvalidValueError
            If `outputs` is neither.
        ContractError
            If `unit_ids` is given with `outputs="array"`.
        """
        if unit_ids is not None and outputs != "dict":
            raise ContractError("unit_ids can only be given with outputs='dict'")
        if outputs not in ("dict", "array"):
            raise InvalidValueError(f"outputs must be 'dict' or 'array', not {outputs!r}")
        counts = np.zeros(self.get_num_units(), dtype=np.int64)
        for index in range(self.get_num_segments()):
            counts += self._count_spikes(index)
        if outputs == "array":
            return counts
        by_id = zip(self._main_ids, counts, strict=True)
        if unit_ids is None:
            return dict(by_id)
        kept = membership(self._main_ids, unit_ids)
        return {unit_id: count for (unit_id, count), keep in zip(by_id, kept, strict=True) if keep}

    def count_total_num_spikes(self) -> int:
        """The number of spikes of all units in all segments."""
        return int(self.count_num_spikes_per_unit("array").sum())

    def get_non_empty_unit_ids(self) -> AnyArray:
        """The ids of the units that have spikes."""
        return np.asarray(self._main_ids[self.count_num_spikes_per_unit("array") > 0])

    def get_empty_unit_ids(self) -> AnyArray:
        """The ids of the units that have no spikes."""
        return np.asarray(self._main_ids[self.count_num_spikes_per_unit("array") == 0])


def _with_channels(spikes: SpikeVector, channels: AnyArray) -> SpikeVector:
    """The spikes with a further field for the channel of their unit."""
    if not isinstance(channels, np.ndarray):
        raise InvalidTypeError(
            f"main_channel_indices must be an array, not {type(channels).__name__}"
        )
    result = np.empty(len(spikes), dtype=[*SPIKE_DTYPE.descr, ("channel_index", np.int64)])
    for name in SPIKE_DTYPE.names or ():
        result[name] = spikes[name]
    result["channel_index"] = channels[spikes["unit_index"]]
    return result
