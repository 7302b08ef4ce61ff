"""Sortings as spikeextractors had them until 2021, and back; it need not be installed.

An old extractor has one segment and keeps properties unit by unit.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, ClassVar, Protocol

import numpy as np

from spikewire.core.dtypes import AnyArray, IntArray, UnitId
from spikewire.core.errors import ContractError
from spikewire.core.segment import BaseSortingSegment
from spikewire.core.sorting import BaseSorting


class OldSortingExtractor(Protocol):
    """What is asked of a sorting of spikeextractors."""

    def get_sampling_frequency(self) -> float:
        """Frames per second."""

    def get_unit_ids(self) -> Sequence[Any]:
        """The ids of all units."""

    def get_unit_spike_train(
        self, unit_id: Any, start_frame: int | None = None, end_frame: int | None = None
    ) -> AnyArray:
        """The frames of one unit in [start_frame, end_frame)."""

    def get_unit_property_names(self, unit_id: Any) -> Sequence[str]:
        """The properties that a unit has."""

    def get_unit_property(self, unit_id: Any, property_name: str) -> Any:
        """A property of a unit."""


class OldToNewSorting(BaseSorting):
    """The sorting that an extractor of spikeextractors is.

    Spikes are asked of it when they are read, properties when it is made. An integer
    property that some units lack becomes floats with NaN; one that cannot be put
    into an array is left out with a warning.

    Parameters
    ----------
    oldapi_sorting_extractor : spikeextractors.SortingExtractor
    """

    _dump_class = "spikeinterface.core.old_api_utils.OldToNewSorting"
    _serializability: ClassVar[dict[str, bool]] = {"memory": False, "json": False, "pickle": False}

    def __init__(self, oldapi_sorting_extractor: OldSortingExtractor) -> None:
        old = oldapi_sorting_extractor
        super().__init__(float(old.get_sampling_frequency()), np.asarray(old.get_unit_ids()))
        self.add_sorting_segment(_OldSegment(old))
        for key, values in _old_properties(old).items():
            try:
                column = np.array(list(values.values()))
                if len(column) < self.get_num_units() and column.dtype.kind in "iu":
                    column = column.astype(np.float64)
                self.set_property(key, column, list(values))
            except ValueError as error:  # values of different shapes, or none for some units
                warnings.warn(f"property {key!r} is left out: {error}", stacklevel=3)
        self._kwargs = {"oldapi_sorting_extractor": old}


class _OldSegment(BaseSortingSegment):
    """The only segment of an old extractor."""

    def __init__(self, old: OldSortingExtractor) -> None:
        super().__init__()
        self._old = old

    def get_unit_spike_train(
        self, unit_id: UnitId, start_frame: int | None = None, end_frame: int | None = None
    ) -> IntArray:
        """The samples of one unit in [start_frame, end_frame), ascending."""
        train = self._old.get_unit_spike_train(
            unit_id=unit_id, start_frame=start_frame, end_frame=end_frame
        )
        return np.asarray(train).astype(np.int64)


class NewToOldSorting:
    """A sorting that answers as one of spikeextractors did, for code that expects that.

    Parameters
    ----------
    sorting : BaseSorting
        Of one segment. Unit ids that are no integers become 0, 1, 2, ...

    Raises
    ------
    ContractError
        If there are several segments.
    """

    def __init__(self, sorting: BaseSorting) -> None:
        if sorting.get_num_segments() != 1:
            raise ContractError(
                f"sortings of spikeextractors have one segment, not {sorting.get_num_segments()}"
            )
        self._sorting = sorting
        ids = sorting.unit_ids.tolist()
        old_ids = range(len(ids)) if sorting.unit_ids.dtype.kind in "SU" else ids
        self._ids = dict(zip(old_ids, ids, strict=True))

    def get_sampling_frequency(self) -> float:
        """Return frames per second."""
        return self._sorting.get_sampling_frequency()

    def get_unit_ids(self) -> list[int]:
        """Return the ids of all units."""
        return list(self._ids)

    def get_unit_spike_train(
        self, unit_id: int, start_frame: int | None = None, end_frame: int | None = None
    ) -> IntArray:
        """Return the frames of one unit in [start_frame, end_frame), ascending."""
        train: IntArray = self._sorting.get_unit_spike_train(
            self._ids[unit_id], 0, start_frame, end_frame
        )
        return train

    def get_units_spike_train(
        self,
        unit_ids: Sequence[int] | None = None,
        start_frame: int | None = None,
        end_frame: int | None = None,
    ) -> list[IntArray]:
        """Return the trains of several units, by default of all."""
        wanted = [self._ids[unit_id] for unit_id in (self._ids if unit_ids is None else unit_ids)]
        trains = self._sorting.get_unit_spike_trains(
            wanted, segment_index=0, start_frame=start_frame, end_frame=end_frame
        )
        return [trains[unit_id] for unit_id in wanted]

    def get_unit_property_names(self, unit_id: int) -> list[str]:
        """Return the properties that a unit has: all that the sorting has."""
        return sorted(self._sorting.get_property_keys())

    def get_unit_property(self, unit_id: int, property_name: str) -> Any:
        """Return a property of a unit."""
        return self._sorting.get_unit_property(self._ids[unit_id], property_name)


def create_sorting_from_old_extractor(
    oldapi_sorting_extractor: OldSortingExtractor,
) -> OldToNewSorting:
    """Make a sorting of an extractor of spikeextractors; see `OldToNewSorting`."""
    return OldToNewSorting(oldapi_sorting_extractor)


def create_extractor_from_new_sorting(new_sorting: BaseSorting) -> NewToOldSorting:
    """Make an extractor as of spikeextractors of a sorting; see `NewToOldSorting`."""
    return NewToOldSorting(new_sorting)


def _old_properties(old: OldSortingExtractor) -> dict[str, dict[Any, Any]]:
    """The properties by name, and of each the values by unit."""
    properties: dict[str, dict[Any, Any]] = {}
    for unit_id in old.get_unit_ids():
        for name in old.get_unit_property_names(unit_id):
            properties.setdefault(name, {})[unit_id] = old.get_unit_property(unit_id, name)
    return properties
