"""Units that become one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from spikewire.core.dtypes import AnyArray, IntArray, UnitId
from spikewire.core.errors import ContractError
from spikewire.core.numpy_sorting import NumpySorting
from spikewire.core.registry import register_class
from spikewire.core.segment import BaseSortingSegment
from spikewire.core.sorting import BaseSorting
from spikewire.core.trains import merge_trains
from spikewire.curation.new_units import carry_over, ids_after, ids_for_merges


def apply_merges_to_sorting(
    sorting: BaseSorting,
    merge_unit_groups: Sequence[Sequence[Any]],
    new_unit_ids: Sequence[Any] | None = None,
    censor_ms: float | None = None,
    return_extra: bool = False,
    new_id_strategy: str = "append",
) -> Any:
    """Merge units, in memory.

    Parameters
    ----------
    sorting : BaseSorting
    merge_unit_groups : list of list
        The units that become one.
    new_unit_ids : sequence, optional
        The id of each merged unit.
    censor_ms : float, optional
        Leave out spikes that follow another one of the merged unit closer than this.
    return_extra : bool, default: False
        Give also which spikes were kept and the new ids.
    new_id_strategy : {"append", "take_first", "join"}
        How new ids are made, if they are not given.

    Returns
    -------
    NumpySorting
        With the property `is_merged`; or (sorting, kept, new ids), with `kept` a bool
        a spike of the old spike vector.

    Raises
    ------
    UnitSelectionError
        If groups or new ids do not fit the sorting.
    """
    new_ids = ids_for_merges(sorting.unit_ids, merge_unit_groups, new_unit_ids, new_id_strategy)
    gone = [unit_id for group in merge_unit_groups for unit_id in group]
    ids = ids_after(sorting.unit_ids, gone, new_ids)
    position = {unit_id: index for index, unit_id in enumerate(ids.tolist())}
    table = np.array([position.get(unit_id, -1) for unit_id in sorting.unit_ids.tolist()])
    for group, new_id in zip(merge_unit_groups, new_ids, strict=True):
        target = position[new_id.item() if isinstance(new_id, np.generic) else new_id]
        table[sorting.ids_to_indices(list(group))] = target
    spikes = np.array(sorting.to_spike_vector())
    spikes["unit_index"] = table[spikes["unit_index"]]
    kept = np.ones(len(spikes), dtype=bool)
    if censor_ms is not None:
        frames = int(sorting.sampling_frequency * censor_ms / 1000)
        for by_unit in sorting.get_spike_vector_to_indices().values():
            for group in merge_unit_groups:
                merged = np.sort(np.concatenate([by_unit[unit_id] for unit_id in group]))
                close = np.diff(spikes["sample_index"][merged]) < frames
                kept[merged[1:][close]] = False
    result = NumpySorting(spikes[kept], sorting.sampling_frequency, ids, sorting.get_num_segments())
    carry_over(
        sorting, result, dict(zip(new_ids, merge_unit_groups, strict=True)), flag="is_merged"
    )
    return (result, kept, new_ids) if return_extra else result


class MergeUnitsSorting(BaseSorting):
    """A view in which groups of units are one.

    Parameters
    ----------
    sorting : BaseSorting
    units_to_merge : list of list, or list
        The units that become one; a plain list is a single group.
    new_unit_ids : sequence, optional
        The ids of the merged units; by default they count on from the largest.
    properties_policy : {"keep", "remove"}
        "keep" gives a merged unit what its units share, "remove" missing values.
    delta_time_ms : float, optional
        Leave out a spike that follows one of another unit of the group within this time.

    Raises
    ------
    UnitSelectionError
        If groups or new ids do not fit the sorting.
    ContractError
        If the policy is unknown.
    """

    _dump_class = "spikeinterface.curation.mergeunitssorting.MergeUnitsSorting"

    def __init__(
        self,
        sorting: BaseSorting,
        units_to_merge: Sequence[Any],
        new_unit_ids: Sequence[Any] | None = None,
        properties_policy: str = "keep",
        delta_time_ms: float | None = 0.4,
    ) -> None:
        if properties_policy not in ("keep", "remove"):
            raise ContractError(
                f"properties_policy is 'keep' or 'remove', not {properties_policy!r}"
            )
        nested = all(isinstance(group, list | tuple | np.ndarray) for group in units_to_merge)
        groups = [list(group) for group in (units_to_merge if nested else [units_to_merge])]
        new_ids = ids_for_merges(sorting.unit_ids, groups, new_unit_ids)
        gone = [unit_id for group in groups for unit_id in group]
        super().__init__(
            sorting.sampling_frequency,
            ids_after(sorting.unit_ids, gone, new_ids, at_end=True),
        )
        self._parent = sorting
        delta = None
        if delta_time_ms is not None:
            delta = int(delta_time_ms / 1000 * sorting.sampling_frequency)
        members = {unit_id: [unit_id] for unit_id in self.unit_ids.tolist()}
        merged = dict(zip(self.unit_ids[-len(new_ids) :].tolist(), groups, strict=True))
        indices = [
            np.asarray(sorting.ids_to_indices(ids)).tolist() for ids in (members | merged).values()
        ]
        for index in range(sorting.get_num_segments()):
            self.add_sorting_segment(_MergedSegment(sorting, index, indices, delta))
        if properties_policy == "keep":
            carry_over(sorting, self, merged, with_none=True)
        self._kwargs = {
            "sorting": sorting,
            "units_to_merge": groups,
            "new_unit_ids": list(new_ids),
            "properties_policy": properties_policy,
            "delta_time_ms": delta_time_ms,
        }


class _MergedSegment(BaseSortingSegment):
    """One segment of the view."""

    def __init__(
        self, parent: BaseSorting, segment_index: int, indices: list[list[int]], delta: int | None
    ) -> None:
        super().__init__()
        self._parent = parent
        self._segment_index = segment_index
        self._indices = indices  # of each unit here, in the parent
        self._delta = delta

    def get_unit_spike_trains(
        self,
        unit_ids: Sequence[UnitId] | AnyArray,
        start_frame: int | None = None,
        end_frame: int | None = None,
    ) -> list[IntArray]:
        """The trains of several units, in the order of `unit_ids`."""
        view = self._sorting()
        wanted = [self._indices[view.id_to_index(unit_id)] for unit_id in unit_ids]
        # A spike is left out for one that lies up to delta before it.
        early = None if start_frame is None else start_frame - (self._delta or 0)
        flat = [index for indices in wanted for index in indices]
        trains = iter(self._parent._get_trains(flat, self._segment_index, early, end_frame))
        result = []
        for indices in wanted:
            samples, owners = merge_trains([next(trains) for _ in indices])
            if self._delta is not None and len(indices) > 1:
                close = (np.diff(samples) <= self._delta) & (np.diff(owners) != 0)
                samples = samples[np.concatenate([[True], ~close])[: len(samples)]]
            first = 0 if start_frame is None else np.searchsorted(samples, start_frame)
            result.append(samples[first:])
        return result

    def get_unit_spike_train(
        self, unit_id: UnitId, start_frame: int | None = None, end_frame: int | None = None
    ) -> IntArray:
        """The samples of one unit in [start_frame, end_frame), ascending."""
        return self.get_unit_spike_trains([unit_id], start_frame, end_frame)[0]


merge_units_sorting = MergeUnitsSorting
register_class(MergeUnitsSorting._dump_class, MergeUnitsSorting)
