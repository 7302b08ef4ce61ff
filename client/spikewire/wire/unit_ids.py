"""Unit ids and selections of units <-> UnitIds and UnitSelection."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from spikewire.core.errors import InvalidTypeError, InvalidValueError, MalformedMessageError
from spikewire.v1 import sorting_pb2 as pb
from spikewire.v1.spike_train_service_pb2 import UnitIndices, UnitSelection

if TYPE_CHECKING:
    from collections.abc import Iterable

UnitIdArray: TypeAlias = np.ndarray[Any, Any]

_DTYPE = re.compile(r"[<|]([iu][1248]|[US]([1-9]\d{0,3})|f8)")


def unit_ids_to_proto(unit_ids: UnitIdArray) -> pb.UnitIds:
    """Make UnitIds of an array of unit ids.

    Parameters
    ----------
    unit_ids : ndarray of integers, str or bytes, shape (units,)
        The ids; without any, the type may also be float64, which is what numpy
        makes of an empty list.

    Raises
    ------
    InvalidTypeError
        The ids are of another type, or have more than 9,999 characters.
    InvalidValueError
        An id is not Unicode text.
    """
    dtype = unit_ids.dtype.newbyteorder("<")
    if dtype.itemsize == 0:
        dtype = np.dtype(f"{dtype.kind}1")
    if not _DTYPE.fullmatch(dtype.str) or (dtype.kind == "f" and unit_ids.size):
        raise InvalidTypeError(f"unit ids of type {unit_ids.dtype} cannot be sent")
    proto = pb.UnitIds(dtype=dtype.str)
    values = unit_ids.tolist()
    try:
        match dtype.kind:
            case "u":
                proto.unsigned_ids.values.extend(values)
                proto.unsigned_ids.SetInParent()
            case "U":
                proto.string_ids.values.extend(values)
                proto.string_ids.SetInParent()
            case "S":
                proto.bytes_ids.values.extend(values)
                proto.bytes_ids.SetInParent()
            case _:
                proto.signed_ids.values.extend(values)
                proto.signed_ids.SetInParent()
    except UnicodeEncodeError as error:
        raise InvalidValueError(f"a unit id is not Unicode text: {error}") from error
    return proto


def unit_ids_from_proto(proto: pb.UnitIds) -> UnitIdArray:
    """Return the array of unit ids that UnitIds mean.

    Raises
    ------
    MalformedMessageError
        No ids are set, or they do not fit the type that is given.
    """
    kind = proto.WhichOneof("ids")
    if kind is None:
        raise MalformedMessageError("unit ids are of no kind")
    values = list(getattr(proto, kind).values)
    widest = _widest(kind, values)
    if not proto.dtype:
        return np.array(values, dtype=widest)
    if not _DTYPE.fullmatch(proto.dtype):
        raise MalformedMessageError(f"unit ids are of the type {proto.dtype!r}, which is not legal")
    dtype = np.dtype(proto.dtype)
    if not values and dtype.kind == "f":
        return np.array([], dtype=dtype)
    wide = np.array(values, dtype=widest)
    unit_ids = wide.astype(dtype)
    if dtype.kind != widest.kind or not np.array_equal(unit_ids, wide):
        raise MalformedMessageError(f"unit ids do not fit their type {proto.dtype!r}")
    return unit_ids


def selection_to_proto(unit_indices: Iterable[int] | None) -> UnitSelection:
    """Make a UnitSelection of positions in the unit ids; None chooses all."""
    if unit_indices is None:
        return UnitSelection()
    return UnitSelection(unit_indices=UnitIndices(values=[int(index) for index in unit_indices]))


def _widest(kind: str, values: list[Any]) -> np.dtype[Any]:
    match kind:
        case "signed_ids":
            return np.dtype("<i8")
        case "unsigned_ids":
            return np.dtype("<u8")
    longest = max(map(len, values), default=1)
    return np.dtype(f"{'<U' if kind == 'string_ids' else '|S'}{max(longest, 1)}")
