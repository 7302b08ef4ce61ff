"""Ids and properties of units that come out of merges and splits."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np

from spikewire.core.dtypes import AnyArray
from spikewire.core.errors import ContractError, InvalidValueError, UnitSelectionError
from spikewire.core.sorting import BaseSorting
from spikewire.core.unit_ids import as_unit_ids, some


def ids_for_merges(
    unit_ids: AnyArray,
    groups: Sequence[Sequence[Any]],
    new_unit_ids: Sequence[Any] | None = None,
    strategy: str = "append",
) -> list[Any]:
    """The id of each merged unit: the given ones, checked, or new ones.

    Parameters
    ----------
    unit_ids : (units,)
    groups : list of list
        The units that become one.
    new_unit_ids : sequence, optional
        One a group; an id of a unit can only be used for its own group.
    strategy : {"append", "take_first", "join"}
        "append" counts on from the largest number among the ids, or gives "merge0",
        "merge1", ...; "take_first" is the first of the group; "join" puts text ids
        together with "-".

    Raises
    ------
    UnitSelectionError
        If a group has fewer than two units, unknown ones or those of another group,
        or if the new ids do not fit.
    InvalidValueError
        If the strategy is unknown.
    """
    known = set(unit_ids.tolist())
    members = [_plain(unit_id) for group in groups for unit_id in group]
    if len(set(members)) != len(members):
        raise UnitSelectionError(f"a unit can only be merged once: {some(members)}")
    for group in groups:
        if len(group) < 2 or not set(map(_plain, group)) <= known:
            raise UnitSelectionError(f"a merge needs two units or more of the sorting: {group}")
    if new_unit_ids is not None:
        if len(new_unit_ids) != len(groups):
            raise UnitSelectionError(f"{len(new_unit_ids)} new ids for {len(groups)} merges")
        for new, group in zip(new_unit_ids, groups, strict=True):
            if _plain(new) in known - set(map(_plain, group)):
                raise UnitSelectionError(f"{new!r} is the id of a unit that is not merged into it")
        return list(new_unit_ids)
    if strategy == "take_first":
        return [group[0] for group in groups]
    if strategy not in ("append", "join"):
        raise InvalidValueError(f"{strategy!r} is not 'append', 'take_first' or 'join'")
    if strategy == "join" and unit_ids.dtype.kind == "U":
        return ["-".join(group) for group in groups]
    return _appended(unit_ids, len(groups)) or [f"merge{index}" for index in range(len(groups))]


def ids_for_splits(
    unit_ids: AnyArray,
    splits: Mapping[Any, Sequence[Any]],
    new_unit_ids: Sequence[Sequence[Any]] | None = None,
    strategy: str = "append",
) -> list[list[Any]]:
    """The ids of the parts of each split unit: the given ones, checked, or new ones.

    Parameters
    ----------
    unit_ids : (units,)
    splits : dict
        The parts of each unit.
    new_unit_ids : list of list, optional
        As many as parts; none of them the id of a unit.
    strategy : {"append", "split"}
        "append" counts on from the largest number among the ids, or gives "unit-split0",
        "unit-split1", ...; "split" gives "unit-0", "unit-1", ...

    Raises
    ------
    UnitSelectionError
        If the new ids do not fit.
    ContractError
        If the strategy is unknown.
    """
    if strategy not in ("append", "split"):
        raise ContractError(f"{strategy!r} is not 'append' or 'split'")
    if new_unit_ids is not None:
        counts = [len(parts) for parts in splits.values()]
        if [len(ids) for ids in new_unit_ids] != counts:
            raise UnitSelectionError(f"new ids must be as many as parts: {counts}")
        taken = set(unit_ids.tolist()) & {_plain(i) for i in chain.from_iterable(new_unit_ids)}
        if taken:
            raise UnitSelectionError(f"ids of units cannot be new ids: {some(taken)}")
        return [list(ids) for ids in new_unit_ids]
    if strategy == "split" and unit_ids.dtype.kind in "iu":
        warnings.warn("integer ids cannot be split; new ones are appended", stacklevel=3)
        strategy = "append"
    result: list[list[Any]] = []
    for unit_id, parts in splits.items():
        ids = [] if strategy == "split" else _appended(unit_ids, len(parts))
        link = "-split" if strategy == "append" else "-"
        ids = ids or [f"{unit_id}{link}{index}" for index in range(len(parts))]
        unit_ids = np.concatenate([unit_ids, ids])
        result.append(ids)
    return result


def _appended(unit_ids: AnyArray, count: int) -> list[Any]:
    """Ids that count on from the largest; none if the ids are words."""
    if unit_ids.dtype.kind in "iu":
        return list(unit_ids.max() + 1 + np.arange(count, dtype=unit_ids.dtype))
    if all(unit_id.isdigit() for unit_id in unit_ids.tolist()):
        first = max(int(unit_id) for unit_id in unit_ids.tolist()) + 1
        return [str(first + index) for index in range(count)]
    return []


def ids_after(
    unit_ids: AnyArray, gone: Sequence[Any], new_unit_ids: Sequence[Any], *, at_end: bool = False
) -> AnyArray:
    """The ids when some units are gone and others have come, at the end.

    A new id that a unit had already stays in that unit's place, unless `at_end`.
    """
    old, new = unit_ids.tolist(), [_plain(unit_id) for unit_id in new_unit_ids]
    left = {_plain(unit_id) for unit_id in gone}
    kept = [u for u in old if u not in left or (u in new and not at_end)]
    ids = [*kept, *(u for u in new if u not in kept)]
    dtype = np.dtype(np.str_) if unit_ids.dtype.kind == "U" else unit_ids.dtype
    try:
        return as_unit_ids(np.array(ids, dtype=dtype))
    except (ValueError, OverflowError, AssertionError) as error:
        raise UnitSelectionError(
            f"new ids {some(new)} do not fit ids of type {unit_ids.dtype}"
        ) from error


def _plain(unit_id: Any) -> Any:
    return unit_id.item() if isinstance(unit_id, np.generic) else unit_id


def carry_over(
    before: BaseSorting,
    after: BaseSorting,
    origins: Mapping[Any, Sequence[Any]],
    *,
    flag: str = "",
    with_none: bool = False,
) -> None:
    """Give a sorting the metadata and times of the one that it was made from.

    A new unit gets the value that its origins share, the missing value of the kind
    where they differ (`main_channel_id`: that of the unit with most spikes).

    Parameters
    ----------
    before, after : BaseSorting
    origins : dict
        For each new unit id the ids that it came from.
    flag : str, optional
        A boolean property that tells the new units from the others.
    with_none : bool, default: False
        What becomes of a property whose kind has no missing value: objects with None,
        or else it is left out.
    """
    origins = {_plain(new): list(old) for new, old in origins.items()}
    for key in before.get_annotation_keys():
        after._store_annotation(key, before.get_annotation(key))
    for key in before.get_property_keys():
        values = np.asarray(before.get_property(key))
        result = _carried(before, after, key, values, origins)
        if result is None and with_none:
            result = _carried(before, after, key, values.astype(object), origins)
        if result is not None:
            after.set_property(key, result)
    if flag:
        after.set_property(flag, [unit_id in origins for unit_id in after.unit_ids.tolist()])
    after._recording = before._recording
    for source, target in zip(before.segments, after.segments, strict=True):
        target._take_times_of(source)


def _carried(
    before: BaseSorting,
    after: BaseSorting,
    key: str,
    values: AnyArray,
    origins: Mapping[Any, Sequence[Any]],
) -> AnyArray | None:
    result = np.zeros((after.get_num_units(), *values.shape[1:]), dtype=values.dtype)
    for index, unit_id in enumerate(after.unit_ids.tolist()):
        sources = before.ids_to_indices(list(origins.get(unit_id, [unit_id])))
        candidates = values[sources]
        if all(np.array_equal(other, candidates[0]) for other in candidates[1:]):
            result[index] = candidates[0]
        elif key == "main_channel_id":
            counts = before.count_num_spikes_per_unit(outputs="array")[sources]
            result[index] = candidates[np.argmax(counts)]
        elif values.dtype.kind in before.default_missing_property_values:
            result[index] = before.default_missing_property_values[values.dtype.kind]
        else:
            return None
    return result
