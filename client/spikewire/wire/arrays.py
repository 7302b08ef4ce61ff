"""Types, shapes and bytes of numpy arrays <-> ArrayType and plain data."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from spikewire.core.errors import InvalidTypeError, MalformedMessageError
from spikewire.v1 import dump_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Iterable

AnyArray: TypeAlias = np.ndarray[Any, Any]
AnyDType: TypeAlias = np.dtype[Any]

# Whole, floating and complex numbers, booleans, text, bytes, times. No "|V" and no
# "|O": records come with fields, and objects are not legal inside them.
_PLAIN_FORMAT = re.compile(
    r"\|b1|\|[iu]1|<[iu][248]|<f[248]|<c(8|16)|<U[1-9]\d{0,8}|\|[SV][1-9]\d{0,8}"
    r"|<[mM]8(\[\d{0,9}(Y|M|W|D|h|m|s|ms|us|ns|ps|fs|as)\])?"
)
_MAX_TYPE_DEPTH = 8
_MAX_DIMENSIONS = 32
_MAX_CODE_POINT = 0x10FFFF


def portable(array: AnyArray) -> AnyArray:
    """Return the array in C order with little-endian elements of a legal type.

    Raises
    ------
    InvalidTypeError
        The elements are of a type that has no portable form.
    """
    dtype = array.dtype
    if dtype.kind == "O":
        return array
    if dtype.itemsize == 0 and dtype.kind in "US":
        dtype = np.dtype(f"{dtype.kind}1")  # what numpy itself makes of empty texts
    dtype_to_proto(dtype)
    return np.asarray(array, dtype=dtype.newbyteorder("<"), order="C")


def array_from_bytes(data: bytes | bytearray, dtype: AnyDType, shape: tuple[int, ...]) -> AnyArray:
    """Return a new, writable array with the given elements.

    Raises
    ------
    MalformedMessageError
        There are more or fewer bytes than type and shape say, or elements that
        their type cannot have.
    """
    size = math.prod(shape) * dtype.itemsize
    if len(data) != size:
        raise MalformedMessageError(
            f"an array of shape {shape} and type {dtype} has {len(data)} bytes, not {size}"
        )
    array = np.frombuffer(data, dtype).reshape(shape).copy()
    _check_elements(array)
    return array


def dtype_to_proto(dtype: AnyDType) -> pb.ArrayType:
    """Make an ArrayType of a numpy dtype, in little-endian order.

    Raises
    ------
    InvalidTypeError
        The type has no portable form, such as long double, or is a record with
        objects in it.
    """
    if dtype.kind == "O":
        return pb.ArrayType(format="|O")
    return _record_to_proto(dtype, 0)


def dtype_from_proto(proto: pb.ArrayType) -> AnyDType:
    """Return the numpy dtype that an ArrayType means.

    Raises
    ------
    MalformedMessageError
        The type is not one of those that dump.proto lists.
    """
    if proto.format == "|O" and not proto.fields:
        return np.dtype(object)
    return _record_from_proto(proto, 0)


def checked_shape(lengths: Iterable[int]) -> tuple[int, ...]:
    """Return the shape of an array, if an array can have it."""
    shape = tuple(lengths)
    # numpy multiplies the axes that are not 0, even if the array is empty.
    if len(shape) > _MAX_DIMENSIONS or math.prod(length or 1 for length in shape) >= 1 << 47:
        raise MalformedMessageError(f"no array can have the shape {shape[:_MAX_DIMENSIONS]}")
    return shape


def _record_to_proto(dtype: AnyDType, depth: int) -> pb.ArrayType:
    little = dtype.newbyteorder("<")
    proto = pb.ArrayType(format=f"|V{dtype.itemsize}" if dtype.names else little.str)
    if not _PLAIN_FORMAT.fullmatch(proto.format) or depth > _MAX_TYPE_DEPTH:
        raise InvalidTypeError(f"values of type {dtype} cannot be sent")
    for name in dtype.names or ():
        field, offset = dtype.fields[name][:2]  # type: ignore[index]
        proto.fields.add(
            name=name,
            type=_record_to_proto(field.base, depth + 1),
            shape=field.shape,
            offset_bytes=offset,
        )
    return proto


def _record_from_proto(proto: pb.ArrayType, depth: int) -> AnyDType:
    if not _PLAIN_FORMAT.fullmatch(proto.format) or depth > _MAX_TYPE_DEPTH:
        raise MalformedMessageError(f"an array is of the type {proto.format!r}, which is not legal")
    try:
        if not proto.fields:
            return np.dtype(proto.format)
        if not proto.format.startswith("|V"):
            raise MalformedMessageError(f"a type {proto.format!r} has fields, but is no record")
        record: AnyDType = np.dtype(
            {
                "names": [field.name for field in proto.fields],
                "formats": [
                    (_record_from_proto(field.type, depth + 1), checked_shape(field.shape))
                    for field in proto.fields
                ],
                "offsets": [field.offset_bytes for field in proto.fields],
                "itemsize": int(proto.format[2:]),
            }
        )
    except (TypeError, ValueError, OverflowError) as error:
        if isinstance(error, MalformedMessageError):
            raise
        raise MalformedMessageError(f"an array is of an impossible type: {error}") from error
    return record


def _check_elements(array: AnyArray) -> None:
    """Refuse bytes that numpy would take but that no element of the type can be."""
    for name in array.dtype.names or ():
        _check_elements(array[name])
    if not array.size:
        return
    if array.dtype.kind == "b" and array.view(np.uint8).max() > 1:
        raise MalformedMessageError("an array of booleans has elements that are not 0 or 1")
    if array.dtype.kind == "U":
        points = np.ascontiguousarray(array).reshape(-1).view("<u4")
        if points.max() > _MAX_CODE_POINT:
            raise MalformedMessageError("an array of text has elements that are not Unicode")
