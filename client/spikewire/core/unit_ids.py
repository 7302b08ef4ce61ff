"""Unit ids: which arrays can be ids, and ids to indices."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

import numpy as np

from spikewire.core.dtypes import AnyArray, IntArray, UnitId, read_only
from spikewire.core.errors import ContractError, InvalidTypeError

#: Ids above this span are looked up by sorting instead of a table.
_TABLE_SPAN = 1 << 20


def as_unit_ids(ids: Any) -> AnyArray:
    """A read-only copy of `ids` as a one-dimensional array of integers or strings.

    Raises
    ------
    ContractError
        If the ids are of another kind (mixed numbers, floats, booleans, objects),
        or if one occurs twice.
    """
    array = np.array(ids)
    if array.dtype.kind == "T":  # numpy's variable-width strings
        array = np.array(array.tolist(), dtype=np.str_)
    if array.size == 0 and array.dtype.kind not in "uiSU":
        array = np.empty(0, dtype=np.int64)
    if array.dtype.kind not in "uiSU" or array.ndim != 1:
        raise ContractError(
            "unit ids must be a flat list of integers or of strings, "
            f"not {array.ndim}-dimensional {array.dtype}"
        )
    values, counts = np.unique(array, return_counts=True)
    if len(values) != len(array):
        repeated = values[counts > 1].tolist()
        raise ContractError(f"unit ids must be unique; repeated: {some(repeated)}")
    return read_only(array)


def label_indices(labels: AnyArray, unit_ids: AnyArray) -> IntArray:
    """For each label its position in `unit_ids`; -1 where it is no unit's id.

    Parameters
    ----------
    labels : (spikes,)
    unit_ids : (units,)

    Returns
    -------
    int64, (spikes,)

    Raises
    ------
    InvalidTypeError
        If one side is text and the other is numbers.
    """
    if len(labels) == 0 or len(unit_ids) == 0:
        return np.full(len(labels), -1, dtype=np.int64)
    if (labels.dtype.kind in "SU") != (unit_ids.dtype.kind in "SU"):
        raise InvalidTypeError(
            f"labels ({labels.dtype}) and unit ids ({unit_ids.dtype}) must both be "
            "integers or both be strings"
        )
    integers = labels.dtype.kind in "ui" and unit_ids.dtype.kind in "ui"
    if integers:
        lowest, highest = int(labels.min()), int(labels.max())
        if highest - lowest < _TABLE_SPAN:
            table = np.full(highest - lowest + 1, -1, dtype=np.int64)
            for index, unit_id in enumerate(unit_ids.tolist()):
                if lowest <= unit_id <= highest:
                    table[unit_id - lowest] = index
            wide = labels if labels.dtype.itemsize == 8 else labels.astype(np.int64)
            indices: IntArray = table[(wide - wide.dtype.type(lowest)).astype(np.int64)]
            return indices
    values, inverse = np.unique(labels, return_inverse=True)
    positions = {unit_id: index for index, unit_id in enumerate(unit_ids.tolist())}
    found = np.array([positions.get(value, -1) for value in values.tolist()], dtype=np.int64)
    return found[inverse]


def membership(unit_ids: AnyArray, wanted: Any) -> AnyArray:
    """For each unit id whether it is among `wanted` (a scalar or a collection), bool."""
    candidates: Collection[UnitId]
    if isinstance(wanted, np.ndarray):
        candidates = set(wanted.ravel().tolist())
    elif isinstance(wanted, str | bytes) or not isinstance(wanted, Iterable):
        candidates = {wanted}
    else:
        candidates = set(wanted)
    return np.array([unit_id in candidates for unit_id in unit_ids.tolist()], dtype=bool)


def some(values: Collection[Any], limit: int = 5) -> str:
    """The first few values as text, for error messages."""
    shown = ", ".join(repr(value) for value in list(values)[:limit])
    return shown if len(values) <= limit else f"{shown}, ... ({len(values)} in all)"


def ids_side_by_side(of_sortings: Sequence[AnyArray]) -> AnyArray:
    """The ids that the units of several sortings get: their own where these can be kept."""
    count = sum(map(len, of_sortings))
    if len({ids.dtype for ids in of_sortings}) == 1:
        ids = np.concatenate(of_sortings)
        if len(np.unique(ids)) == count:
            return ids
        if ids.dtype.kind in "iu":
            return np.arange(count, dtype=np.uint64)
    return np.array([str(index) for index in range(count)], dtype=np.str_)


def of_one_dtype(of_sortings: Sequence[AnyArray]) -> list[AnyArray]:
    """Ids of one kind as ids of one dtype, which the rule above asks for.

    Rigs announce units one by one: that one has none yet, or that a new id is longer
    than those before, must not change the ids of all others.
    """
    known = [ids.dtype for ids in of_sortings if len(ids)]
    if len({dtype.kind for dtype in known}) != 1:
        return list(of_sortings)
    common = np.result_type(*known)
    return [ids.astype(common) for ids in of_sortings]
