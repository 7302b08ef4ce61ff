"""Curations, applied to sortings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from spikewire.core.errors import ContractError, InvalidValueError
from spikewire.core.sorting import BaseSorting
from spikewire.curation.merging import apply_merges_to_sorting
from spikewire.curation.model import Curation, curation_label_to_vectors
from spikewire.curation.splitting import apply_splits_to_sorting


def apply_curation(
    sorting: BaseSorting,
    curation: Curation | Mapping[str, Any] | Sequence[Any],
    censor_ms: float | None = None,
    new_id_strategy: str = "append",
) -> BaseSorting:
    """Label, remove, merge and split units, in this order.

    Parameters
    ----------
    sorting : BaseSorting
        It stays as it is.
    curation : Curation, dict, or list of these
        Several are applied one after the other.
    censor_ms : float, optional
        Leave out spikes of merged units that follow another one closer than this.
    new_id_strategy : {"append", "take_first", "join", "split"}
        How ids of new units are made that the curation does not give; see
        `apply_merges_to_sorting` and `apply_splits_to_sorting`.

    Returns
    -------
    BaseSorting
        With the labels as properties.

    Raises
    ------
    InvalidValueError
        If the curation is malformed, or for other units than the sorting has.
    """
    if not isinstance(sorting, BaseSorting):
        raise ContractError(f"a sorting is needed, not {type(sorting).__name__}")
    if isinstance(curation, list | tuple):
        for step in curation:
            sorting = apply_curation(sorting, step, censor_ms, new_id_strategy)
        return sorting
    checked = _checked(curation)
    if set(checked.unit_ids) != set(sorting.unit_ids.tolist()):
        raise InvalidValueError("the curation is for other units than those of the sorting")
    curated = sorting.select_units(sorting.unit_ids)
    apply_curation_labels(curated, checked)
    if checked.removed:
        curated = curated.remove_units(checked.removed)
    if checked.merges:
        new_ids = [merge.new_unit_id for merge in checked.merges if merge.new_unit_id is not None]
        curated = apply_merges_to_sorting(
            curated,
            [merge.unit_ids for merge in checked.merges],
            new_unit_ids=new_ids or None,
            censor_ms=censor_ms,
            new_id_strategy=new_id_strategy,
        )
    if checked.splits:
        counts = curated.count_num_spikes_per_unit()
        given = [split.new_unit_ids for split in checked.splits if split.new_unit_ids is not None]
        curated = apply_splits_to_sorting(
            curated,
            {split.unit_id: list(split.parts(counts[split.unit_id])) for split in checked.splits},
            new_unit_ids=given or None,
            new_id_strategy=new_id_strategy,
        )
    return curated


def apply_curation_labels(sorting: BaseSorting, curation: Curation | Mapping[str, Any]) -> None:
    """Set the labels of a curation as properties of a sorting of its units."""
    checked = _checked(curation)
    order = [checked.unit_ids.index(unit_id) for unit_id in sorting.unit_ids.tolist()]
    for key, values in curation_label_to_vectors(checked).items():
        sorting.set_property(key, values[np.array(order, dtype=np.int64)])


def _checked(curation: Any) -> Curation:
    if isinstance(curation, Curation):
        return curation
    if not isinstance(curation, Mapping):
        raise ContractError(f"a curation is a dict, not {type(curation).__name__}")
    return Curation.from_dict(curation)
