"""How a property changes when only some units are given values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from spikewire.core.dtypes import AnyArray, IntArray
from spikewire.core.errors import ContractError, InvalidValueError


def room_for(
    key: str,
    values: AnyArray,
    part: int,
    count: int,
    *,
    existing: AnyArray | None,
    missing_value: Any,
    defaults: Mapping[str, Any],
) -> AnyArray:
    """A new array, one item a unit, that takes `values` for `part` of `count` units.

    Parameters
    ----------
    key : str
        The property's name, for messages.
    values : array
        One item a unit of the part, or a single one for all of them.
    part, count : int
    existing : (count, ...), optional
        The property as it is. It gives way if every unit gets a value.
    missing_value : scalar, optional
        What the other units get where `existing` is None.
    defaults : mapping
        The missing value of each dtype kind that has one.

    Raises
    ------
    ContractError
        If kinds differ.
    InvalidValueError
        If a missing value is needed.
    """
    if part == count:
        return np.zeros((count, *values.shape[1:]), dtype=values.dtype)
    if existing is None:
        return _filled(key, values, count, missing_value, defaults)
    if existing.dtype.kind != values.dtype.kind:
        raise ContractError(
            f"property {key!r} is {existing.dtype}; values of {values.dtype} cannot be put into it"
        )
    if values.dtype.kind in "SU":
        return existing.astype(np.result_type(existing.dtype, values.dtype))
    return existing.copy()


def put(key: str, room: AnyArray, indices: IntArray, values: AnyArray) -> None:
    """Give the units at `indices` their values.

    Raises
    ------
    InvalidValueError
        If there are not as many values as units, or their shape is another.
    """
    try:
        room[indices] = np.broadcast_to(values, (len(indices), *room.shape[1:]))
    except ValueError as error:
        raise InvalidValueError(
            f"property {key!r}: values of shape {values.shape} do not fit {len(indices)} units "
            f"of item shape {room.shape[1:]}"
        ) from error


def _filled(
    key: str, values: AnyArray, count: int, missing_value: Any, defaults: Mapping[str, Any]
) -> AnyArray:
    """An array for every unit that holds the missing value."""
    dtype = values.dtype
    if missing_value is None:
        if dtype.kind not in defaults:
            raise InvalidValueError(
                f"property {key!r}: {dtype} has no natural missing value; give 'missing_value'"
            )
        missing_value = defaults[dtype.kind]
    else:
        missing_dtype = np.array(missing_value).dtype
        if missing_dtype.kind != dtype.kind:
            raise ContractError(
                f"property {key!r}: the missing value is {missing_dtype}, the values are {dtype}"
            )
        if dtype.kind in "SU":
            dtype = np.result_type(dtype, missing_dtype)
    result = np.empty((count, *values.shape[1:]), dtype=dtype)
    result[...] = missing_value
    return result
