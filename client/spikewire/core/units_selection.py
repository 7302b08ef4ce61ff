"""A view of some units of a sorting."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from spikewire.core.dtypes import AnyArray, SpikeVector
from spikewire.core.errors import InvalidTypeError, UnitSelectionError
from spikewire.core.registry import register_class
from spikewire.core.segment_view import SegmentView
from spikewire.core.sorting import BaseSorting
from spikewire.core.unit_ids import some


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
                SegmentView(parent_sorting, index, unit_indices=self._parent_indices)
            )
        self._recording = parent_sorting._recording
        parent_sorting._lend_metadata(self, ids=selected)
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


def _ids(unit_ids: Any, parent: BaseSorting) -> AnyArray:
    """The selected ids as an array, all of them known to the parent."""
    selected = np.asarray(unit_ids)
    if selected.ndim != 1:
        raise InvalidTypeError(f"unit_ids must be a list of unit ids, not {unit_ids!r}")
    if len(selected) == 0:
        return parent.unit_ids[:0]
    known = [parent._indices.get(unit_id, -1) for unit_id in selected.tolist()]
    if selected.dtype.kind not in "uiSU" or min(known) < 0 or len(set(known)) != len(known):
        raise UnitSelectionError(
            f"units to select must be units of the sorting, each once: {some(selected.tolist())}; "
            f"it has {some(parent.unit_ids.tolist())}"
        )
    return selected


register_class(UnitsSelectionSorting._dump_class, UnitsSelectionSorting)
