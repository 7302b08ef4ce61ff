"""Curation step by step, with undo and redo."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from spikewire.core.errors import ContractError, InvalidValueError, UnitSelectionError
from spikewire.core.sorting import BaseSorting
from spikewire.curation.merging import MergeUnitsSorting
from spikewire.curation.splitting import SplitUnitSorting


class CurationSorting:
    """Splits, merges and removals of units, any of which can be undone.

    Parameters
    ----------
    sorting : BaseSorting
        What is curated; it stays as it is.
    make_graph : bool, default: False
        Note which unit came from which, as `graph`.
    properties_policy : {"keep", "remove"}
        What units that are made have for properties: what their origins share, or
        missing values.
    """

    def __init__(
        self, sorting: BaseSorting, make_graph: bool = False, properties_policy: str = "keep"
    ) -> None:
        self._stages = [sorting]
        self._origins: list[dict[Any, list[Any]]] = [{}]
        self._stage = 0
        self._make_graph = make_graph
        self._properties_policy = properties_policy
        ids = sorting.unit_ids.tolist()
        if sorting.unit_ids.dtype.kind in "SU":
            self.max_used_id = max((int(i) for i in ids if i.isdigit()), default=-1)
        else:
            self.max_used_id = max(ids, default=0)

    @property
    def sorting(self) -> BaseSorting:
        """The sorting as it is after the last step."""
        return self._stages[self._stage]

    @property
    def current_sorting(self) -> BaseSorting:
        """The sorting as it is after the last step."""
        return self._stages[self._stage]

    def split(
        self, split_unit_id: Any, indices_list: Any, new_unit_ids: Sequence[Any] | None = None
    ) -> None:
        """Split a unit.

        Parameters
        ----------
        split_unit_id : int or str
        indices_list : list of array, or array
            For each segment the part of each spike of the unit.
        new_unit_ids : sequence, optional
            By default ids that were never used.
        """
        segments = indices_list if isinstance(indices_list, list) else [indices_list]
        if not all(isinstance(parts, Iterable) for parts in segments):
            raise InvalidValueError("indices_list must be a list of arrays, one a segment")
        if new_unit_ids is None:
            count = len(np.unique(np.concatenate([np.asarray(parts) for parts in segments])))
            new_unit_ids = self._unused_ids(count)
        made = SplitUnitSorting(
            self.sorting, split_unit_id, segments, new_unit_ids, self._properties_policy
        )
        self._add(made, {new: [split_unit_id] for new in new_unit_ids})

    def merge(
        self,
        units_to_merge: Sequence[Any],
        new_unit_id: Any = None,
        delta_time_ms: float | None = 0.4,
    ) -> None:
        """Merge units.

        Parameters
        ----------
        units_to_merge : sequence
        new_unit_id : int or str, optional
            By default an id that was never used.
        delta_time_ms : float, optional
            Leave out a spike that follows one of another of the units within this time.
        """
        if new_unit_id is None:
            new_unit_id = self._unused_ids(1)[0]
        elif new_unit_id in set(self.sorting.unit_ids.tolist()) - set(units_to_merge):
            raise UnitSelectionError(f"{new_unit_id!r} is the id of another unit")
        made = MergeUnitsSorting(
            self.sorting,
            [list(units_to_merge)],
            [new_unit_id],
            self._properties_policy,
            delta_time_ms,
        )
        self._add(made, {new_unit_id: list(units_to_merge)})

    def remove_units(self, unit_ids: Sequence[Any]) -> None:
        """Remove units; ids of no unit are ignored."""
        self._add(self.sorting.remove_units(unit_ids))

    def remove_unit(self, unit_id: Any) -> None:
        """Remove a unit."""
        self.remove_units([unit_id])

    def remove_empty_units(self) -> None:
        """Remove the units without spikes."""
        self._add(self.sorting.remove_empty_units())

    def select_units(self, unit_ids: Any, renamed_unit_ids: Any = None) -> None:
        """Keep some units, under other ids if wanted."""
        made = self.sorting.select_units(unit_ids, renamed_unit_ids)
        names = made.unit_ids.tolist()
        old = np.asarray(unit_ids).tolist()
        self._add(made, {new: [origin] for new, origin in zip(names, old, strict=True)})

    def rename(self, renamed_unit_ids: Any) -> None:
        """Give all units other ids."""
        self.select_units(self.sorting.unit_ids, renamed_unit_ids)

    def undo_available(self) -> bool:
        """Whether there is a step to undo."""
        return self._stage > 0

    def redo_available(self) -> bool:
        """Whether a step was undone that can be done again."""
        return self._stage + 1 < len(self._stages)

    def undo(self) -> None:
        """Take the last step back, if there is one."""
        self._stage -= self.undo_available()

    def redo(self) -> None:
        """Do the step again that was undone last, if there is one."""
        self._stage += self.redo_available()

    @property
    def graph(self) -> list[tuple[tuple[Any, int], tuple[Any, int]]]:
        """Which unit came from which: edges between (unit id, step), up to the last step.

        `networkx.DiGraph(curation.graph)` is the graph that SpikeInterface gives.
        """
        if not self._make_graph:
            raise ContractError("say make_graph=True for a graph")
        return [
            ((old, step - 1), (new, step))
            for step in range(1, self._stage + 1)
            for new in self._stages[step].unit_ids.tolist()
            for old in self._origins[step].get(new, [new])
        ]

    def _unused_ids(self, count: int) -> list[Any]:
        ids = [self.max_used_id + 1 + index for index in range(count)]
        self.max_used_id += count
        return [str(i) for i in ids] if self.sorting.unit_ids.dtype.kind in "SU" else ids

    def _add(self, sorting: BaseSorting, origins: dict[Any, list[Any]] | None = None) -> None:
        self._stages = [*self._stages[: self._stage + 1], sorting]
        self._origins = [*self._origins[: self._stage + 1], origins or {}]
        self._stage += 1


curation_sorting = CurationSorting
