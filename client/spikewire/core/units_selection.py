"""A view of some units of a sorting."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from spikewire.core.dtypes import AnyArray, FloatArray, IntArray, SpikeVector, UnitId
from spikewire.core.errors import InvalidTypeError, UnitSelectionError
from spikewire.core.registry import register_class
from spikewire.core.segment import BaseSortingSegment
from spikewire.core.sorting import BaseSorting
from spikewire.core.unit_ids import label_indices, some


class UnitsSelectionSorting(BaseSorting):
    """Some units of a sorting, in a given order, with other ids if wanted.

    Parameters
    ----------
    parent_sorting : BaseSorting
    unit_ids : sequence, optional
        Ids of the parent; by default all of them.
    renamed_unit_ids : sequence, optional
        The ids here, one a unit; by default the parent's.

    Raises
    ------
    UnitSelectionError
        If an id is unknown or repeated, or the new ids are not as many.
    """

    _dump_class = "spikeinterface.core.unitsselectionsorting.UnitsSelectionSorting"
    _reads_before_caching = math.inf

    def __init__(
        self, parent_sorting: BaseSorting, unit_ids: Any = None, renamed_unit_ids: Any = None
    ) -> None:
        selected = parent_sorting.unit_ids if unit_ids is None else _ids(unit_ids, parent_sorting)
        renamed = selected if renamed_unit_ids is None else np.asarray(renamed_unit_ids)
        if len(renamed) != len(selected):
            raise UnitSelectionError(f"{len(renamed)} new ids for {len(selected)} units")
        repeated = len(np.unique(renamed)) != len(renamed)
        if repeated or (renamed.dtype.kind not in "iuSU" and len(renamed)):
            raise UnitSelectionError(
                f"unit ids must be unique integers or strings: {some(renamed.tolist())}"
            )
        super().__init__(parent_sorting.sampling_frequency, renamed)
        self._parent = parent_sorting
        self._parent_indices = np.asarray(parent_sorting.ids_to_indices(selected))
        for index in range(parent_sorting.get_num_segments()):
            self.add_sorting_segment(
                UnitsSelectionSortingSegment(parent_sorting, index, self._parent_indices)
            )
        self._recording = parent_sorting._recording
        parent_sorting.copy_metadata(self, ids=selected)
        self._kwargs = {
            "parent_sorting": parent_sorting,
            "unit_ids": selected,
            "renamed_unit_ids": self.unit_ids,
        }

    def _build_vector(self) -> SpikeVector:
        parent: BaseSorting = self._kwargs["parent_sorting"]
        if np.array_equal(self._parent_indices, np.arange(parent.get_num_units())):
            return parent._spike_vector()
        return super()._build_vector()


class UnitsSelectionSortingSegment(BaseSortingSegment):
    """One segment of the view: asks the parent, so that the parent's caches serve it."""

    def __init__(self, parent: BaseSorting, segment_index: int, parent_indices: IntArray) -> None:
        segment = parent.segments[segment_index]
        super().__init__(segment._t_start)
        self._native_t_start = segment._native_t_start
        self._parent = parent
        self._segment_index = segment_index
        self._parent_indices = parent_indices
        if hasattr(segment, "get_unit_spike_train_in_seconds"):
            self.get_unit_spike_train_in_seconds = self._native_seconds

    def _native_seconds(
        self, unit_id: UnitId, start_time: float | None, end_time: float | None
    ) -> FloatArray:
        index = self._parent_indices[self._sorting().id_to_index(unit_id)]
        segment: Any = self._parent.segments[self._segment_index]
        seconds: FloatArray = segment.get_unit_spike_train_in_seconds(
            unit_id=self._parent.unit_ids[index], start_time=start_time, end_time=end_time
        )
        return seconds

    def get_unit_spike_train(
        self, unit_id: UnitId, start_frame: int | None = None, end_frame: int | None = None
    ) -> IntArray:
        """The samples of one unit in [start_frame, end_frame), ascending."""
        return self.get_unit_spike_trains([unit_id], start_frame, end_frame)[0]

    def get_unit_spike_trains(
        self,
        unit_ids: Sequence[UnitId] | AnyArray,
        start_frame: int | None = None,
        end_frame: int | None = None,
    ) -> list[IntArray]:
        """The trains of several units, in the order of `unit_ids`."""
        selection = self._sorting()
        indices = self._parent_indices[[selection.id_to_index(unit) for unit in unit_ids]]
        return self._parent._get_trains(
            indices.tolist(), self._segment_index, start_frame, end_frame
        )

    def get_spike_columns(
        self, start_frame: int | None = None, end_frame: int | None = None
    ) -> tuple[IntArray, IntArray]:
        """Every spike in [start_frame, end_frame) in the order of the parent's vector."""
        samples, units = self._parent._read_columns(self._segment_index, start_frame, end_frame)
        position = np.full(self._parent.get_num_units(), -1, dtype=np.int64)
        position[self._parent_indices] = np.arange(len(self._parent_indices))
        units = position[units]
        kept = units >= 0
        return samples[kept], units[kept]

    def count_spikes(self) -> IntArray:
        """The number of spikes of each unit."""
        return self._parent._count_spikes(self._segment_index)[self._parent_indices]


def _ids(unit_ids: Any, parent: BaseSorting) -> AnyArray:
    """The selected ids as an array, all of them known to the parent."""
    selected = np.asarray(unit_ids)
    if selected.ndim != 1:
        raise InvalidTypeError(f"unit_ids must be a list of unit ids, not {unit_ids!r}")
    if len(selected) == 0:
        return parent.unit_ids[:0]
    positions = label_indices(selected, parent.unit_ids) if selected.dtype.kind in "uiSU" else [-1]
    if np.min(positions) < 0 or len(np.unique(positions)) != len(positions):
        raise UnitSelectionError(
            f"units to select must be units of the sorting, each once: {some(selected.tolist())}; "
            f"it has {some(parent.unit_ids.tolist())}"
        )
    return selected


register_class(UnitsSelectionSorting._dump_class, UnitsSelectionSorting)
