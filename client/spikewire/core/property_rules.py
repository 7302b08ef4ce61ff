"""How a property changes when only some units are given values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from spikewire.core.dtypes import AnyArray, IntArray
from spikewire.core.errors import ContractError, InvalidValueError


def fill_subset(
    key: str,
    values: AnyArray,
    indices: IntArray,
    count: int,
    *,
    existing: AnyArray | None,
    missing_value: Any,
    defaults: Mapping[str, Any],
) -> AnyArray:
    """The property's new array, after `values` were given to the units at `indices`.

    Parameters
    ----------
    key : str
        The property's name, for messages.
    values : (indices, ...) or what broadcasts to it
    indices : int64, unique
    count : int
        Number of units.
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
        If values do not fit the units, or a missing value is needed.
    """
    if len(indices) == count:
        result = np.zeros((count, *values.shape[1:]), dtype=values.dtype)
    elif existing is None:
        result = _filled(key, values, count, missing_value, defaults)
    elif existing.dtype.kind != values.dtype.kind:
        raise ContractError(
            f"property {key!r} is {existing.dtype}; values of {values.dtype} cannot be put into it"
        )
    elif values.dtype.kind in "SU":
        result = existing.astype(np.result_type(existing.dtype, values.dtype))
    else:
        result = existing.copy()
    try:
        fitted = np.broadcast_to(values, (len(indices), *result.shape[1:]))
    except ValueError as error:
        raise InvalidValueError(
            f"property {key!r}: values of shape {values.shape} do not fit {len(indices)} units"
            f" of item shape {result.shape[1:]}"
        ) from error
    result[indices] = fitted
    return result


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
