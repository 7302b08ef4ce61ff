"""Units that become several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from spikewire.core.bounds import window
from spikewire.core.dtypes import AnyArray, IntArray, UnitId
from spikewire.core.errors import ContractError, InvalidValueError, UnitSelectionError
from spikewire.core.numpy_sorting import NumpySorting
from spikewire.core.registry import register_class
from spikewire.core.segment import BaseSortingSegment
from spikewire.core.sorting import BaseSorting
from spikewire.curation.new_units import carry_over, ids_after, ids_for_splits


def apply_splits_to_sorting(
    sorting: BaseSorting,
    unit_splits: Mapping[Any, Sequence[Any]],
    new_unit_ids: Sequence[Sequence[Any]] | None = None,
    return_extra: bool = False,
    new_id_strategy: str = "append",
) -> Any:
    """Split units, in memory.

    Parameters
    ----------
    sorting : BaseSorting
    unit_splits : dict of list of list of int
        For each unit that is split the positions of each part's spikes, among the
        unit's spikes of all segments. Every spike belongs to one part.
    new_unit_ids : list of list, optional
        The ids of the parts.
    return_extra : bool, default: False
        Give also the new ids.
    new_id_strategy : {"append", "split"}
        How new ids are made, if they are not given.

    Returns
    -------
    NumpySorting
        With the property `is_split`; or (sorting, new ids).

    Raises
    ------
    InvalidValueError
        If the parts of a unit are fewer than two, or do not take each spike once.
    UnitSelectionError
        If the new ids do not fit the sorting.
    """
    parts = {unit_id: _checked(sorting, unit_id, unit_splits[unit_id]) for unit_id in unit_splits}
    new_ids = ids_for_splits(sorting.unit_ids, parts, new_unit_ids, new_id_strategy)
    ids = ids_after(sorting.unit_ids, list(parts), [unit for group in new_ids for unit in group])
    after = NumpySorting(sorting.to_spike_vector()[:0], sorting.sampling_frequency, ids)
    table = [after._position(unit_id) for unit_id in sorting.unit_ids.tolist()]
    spikes = np.array(sorting.to_spike_vector())
    owners = np.array(table, dtype=np.int64)[spikes["unit_index"]]
    by_segment = sorting.get_spike_vector_to_indices().values()
    for (unit_id, positions), group in zip(parts.items(), new_ids, strict=True):
        mine = np.concatenate([by_unit[unit_id] for by_unit in by_segment])
        for part, new_id in zip(positions, group, strict=True):
            owners[mine[part]] = after.id_to_index(new_id)
    spikes["unit_index"] = owners
    result = NumpySorting(spikes, sorting.sampling_frequency, ids, sorting.get_num_segments())
    origins = {new: [old] for old, group in zip(parts, new_ids, strict=True) for new in group}
    carry_over(sorting, result, origins, flag="is_split")
    return (result, new_ids) if return_extra else result


def _checked(sorting: BaseSorting, unit_id: Any, parts: Any) -> list[IntArray]:
    """The parts of a unit as arrays that take each of its spikes once."""
    if not isinstance(parts, list | np.ndarray) or len(parts) < 2:
        raise InvalidValueError(f"the split of {unit_id!r} must be a list of two parts or more")
    if not all(isinstance(part, list | np.ndarray) for part in parts):
        raise InvalidValueError(f"the parts of {unit_id!r} must be lists of positions")
    index = sorting.id_to_index(unit_id)
    count = sorting.count_num_spikes_per_unit(outputs="array")[index]
    arrays = [np.asarray(part, dtype=np.int64) for part in parts]
    if not np.array_equal(np.sort(np.concatenate(arrays)), np.arange(count)):
        raise InvalidValueError(
            f"the parts of {unit_id!r} must take each of its {count} spikes once"
        )
    return arrays


class SplitUnitSorting(BaseSorting):
    """A view in which one unit is several.

    Parameters
    ----------
    sorting : BaseSorting
    split_unit_id : int or str
    indices_list : list of array, or array
        For each segment the part of each spike of the unit: one number a spike.
    new_unit_ids : sequence, optional
        The ids of the parts, in the order of their numbers; parts without an id are
        left out. By default they count on from the largest.
    properties_policy : {"keep", "remove"}
        "keep" gives the parts what the unit had, "remove" missing values.

    Raises
    ------
    ContractError
        If there is not one array a segment, or the policy is unknown.
    InvalidValueError
        If an array has not one number a spike.
    UnitSelectionError
        If the unit is unknown, or the new ids are not new and unique.
    """

    _dump_class = "spikeinterface.curation.splitunitsorting.SplitUnitSorting"

    def __init__(
        self,
        sorting: BaseSorting,
        split_unit_id: UnitId,
        indices_list: Any,
        new_unit_ids: Sequence[Any] | AnyArray | None = None,
        properties_policy: str = "keep",
    ) -> None:
        if properties_policy not in ("keep", "remove"):
            raise ContractError(
                f"properties_policy is 'keep' or 'remove', not {properties_policy!r}"
            )
        given = indices_list if isinstance(indices_list, list) else [indices_list]
        segments = [np.asarray(parts) for parts in given]
        if len(segments) != sorting.get_num_segments():
            raise ContractError(f"{len(segments)} arrays for {sorting.get_num_segments()} segments")
        if split_unit_id not in sorting.unit_ids.tolist():
            raise UnitSelectionError(f"{split_unit_id!r} is not a unit of the sorting")
        numbers = np.unique(np.concatenate(segments))
        new_ids = _new_ids(sorting.unit_ids, len(numbers), new_unit_ids)
        kept = [unit_id for unit_id in sorting.unit_ids.tolist() if unit_id != split_unit_id]
        if set(new_ids) & set(kept) or len(set(new_ids)) != len(new_ids):
            raise UnitSelectionError(f"new ids must be new and unique: {new_ids}")
        super().__init__(
            sorting.sampling_frequency,
            ids_after(sorting.unit_ids, [split_unit_id], new_ids, at_end=True),
        )
        self._parent = sorting
        for index, parts in enumerate(segments):
            self.add_sorting_segment(
                _SplitSegment(sorting, index, split_unit_id, np.searchsorted(numbers, parts))
            )
        if properties_policy == "keep":
            carry_over(sorting, self, {new_id: [split_unit_id] for new_id in new_ids})
        self._kwargs = {
            "sorting": sorting,
            "split_unit_id": split_unit_id,
            "indices_list": segments,
            "new_unit_ids": new_ids,
            "properties_policy": properties_policy,
        }


def _new_ids(unit_ids: AnyArray, count: int, given: Any) -> list[Any]:
    """The ids of the parts, as Python values."""
    if given is None:
        if unit_ids.dtype.kind in "iu":
            first = int(unit_ids.max()) + 1
            return [first + index for index in range(count)]
        numbers = [int(unit_id) for unit_id in unit_ids.tolist() if unit_id.isdigit()]
        first = max(numbers, default=0) + 1
        return [str(first + index) for index in range(count)]
    if len(given) > count:
        raise UnitSelectionError(f"{len(given)} new ids for {count} parts")
    return list(np.asarray(given).tolist())


class _SplitSegment(BaseSortingSegment):
    """One segment of the view."""

    def __init__(
        self, parent: BaseSorting, segment_index: int, split_unit_id: UnitId, parts: IntArray
    ) -> None:
        super().__init__()
        self._parent = parent
        self._segment_index = segment_index
        self._split_index = parent.id_to_index(split_unit_id)
        self._parts = parts
        count = parent._count_spikes(segment_index)[self._split_index]
        if len(parts) != count:
            raise InvalidValueError(
                f"{len(parts)} numbers for {count} spikes of {split_unit_id!r} in segment "
                f"{segment_index}"
            )

    @cached_property
    def _train(self) -> IntArray:
        return self._parent._get_trains([self._split_index], self._segment_index, None, None)[0]

    def get_unit_spike_trains(
        self,
        unit_ids: Sequence[UnitId] | AnyArray,
        start_frame: int | None = None,
        end_frame: int | None = None,
    ) -> list[IntArray]:
        """The trains of several units, in the order of `unit_ids`."""
        view = self._sorting()
        unsplit = self._parent.get_num_units() - 1
        wanted = [view.id_to_index(unit_id) for unit_id in unit_ids]
        # The parts come after the parent's other units, which keep their order.
        others = [index + (index >= self._split_index) for index in wanted if index < unsplit]
        trains = iter(self._parent._get_trains(others, self._segment_index, start_frame, end_frame))
        return [
            next(trains)
            if index < unsplit
            else window(self._train[self._parts == index - unsplit], start_frame, end_frame)
            for index in wanted
        ]

    def get_unit_spike_train(
        self, unit_id: UnitId, start_frame: int | None = None, end_frame: int | None = None
    ) -> IntArray:
        """The samples of one unit in [start_frame, end_frame), ascending."""
        return self.get_unit_spike_trains([unit_id], start_frame, end_frame)[0]


split_unit_sorting = SplitUnitSorting
register_class(SplitUnitSorting._dump_class, SplitUnitSorting)
