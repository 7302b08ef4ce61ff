"""Python values <-> Value and Array, which may hold each other."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from pathlib import PurePath
from typing import Any, TypeAlias

import numpy as np
from google.protobuf import struct_pb2

from spikewire.core.errors import InvalidTypeError, InvalidValueError, MalformedMessageError
from spikewire.v1 import dump_pb2 as pb
from spikewire.wire.arrays import (
    array_from_bytes,
    checked_shape,
    dtype_from_proto,
    dtype_to_proto,
    portable,
)

MAX_MESSAGE_DEPTH = 90
"""How deep messages nest at most: parsers refuse 100, and requests wrap a few."""

Encoder: TypeAlias = Callable[[Any, int], pb.Value | None]
Decoder: TypeAlias = Callable[[pb.Value], Any]


def value_to_proto(value: Any, depth: int = 0, special: Encoder | None = None) -> pb.Value:
    """Make a Value of a Python object.

    Paths become text and dates ISO text, as in a JSON dump; tuples become lists.

    Parameters
    ----------
    value : object
        None, bool, int, float, str, bytes, list, tuple, dict with text keys,
        numpy array or scalar, path, date or datetime.
    depth : int
        How many messages it will be nested in.
    special : callable, optional
        Tried first on every object; returns None for those that it does not
        know.

    Raises
    ------
    InvalidTypeError
        An object of another type.
    InvalidValueError
        A whole number beyond 64 bits, text that is not Unicode, or values
        nested too deep.
    """
    if depth > MAX_MESSAGE_DEPTH:
        raise InvalidValueError("the value nests too deep to be sent")
    made = special(value, depth) if special else None
    if made is not None:
        return made
    # bool before int, numpy scalars before float and str: those are subclasses.
    match value:
        case None:
            return pb.Value(null_value=struct_pb2.NULL_VALUE)
        case np.ndarray() | np.generic():
            return pb.Value(array_value=array_to_proto(np.asarray(value), depth + 1))
        case bool():
            return pb.Value(bool_value=value)
        case int():
            return _int_to_proto(value)
        case float():
            return pb.Value(double_value=value)
        case str():
            return pb.Value(string_value=_unicode(value))
        case bytes() | bytearray():
            return pb.Value(bytes_value=bytes(value))
        case list() | tuple():
            items = [value_to_proto(item, depth + 2, special) for item in value]
            return pb.Value(list_value=pb.ValueList(values=items))
        case dict():
            return pb.Value(
                map_value=pb.ValueMap(entries=entries_to_proto(value, depth + 2, special))
            )
        case PurePath():
            return pb.Value(string_value=_unicode(str(value)))
        case date():  # datetime is a date
            return pb.Value(string_value=value.isoformat())
    raise InvalidTypeError(
        f"a {type(value).__name__} cannot be sent; None, bool, int, float, str, bytes, lists, "
        f"dicts and numpy arrays can"
    )


def value_from_proto(value: pb.Value, special: Decoder | None = None) -> Any:
    """Return the Python object that a Value means.

    Parameters
    ----------
    value : Value
        What came over the wire.
    special : callable, optional
        Makes the objects of nested dumps and references; without it they are
        refused.

    Raises
    ------
    MalformedMessageError
        No value is set, or one that is not legal here.
    """
    match value.WhichOneof("kind"):
        case "null_value":
            return None
        case "bool_value":
            return value.bool_value
        case "int_value":
            return value.int_value
        case "uint_value":
            return value.uint_value
        case "double_value":
            return value.double_value
        case "string_value":
            return value.string_value
        case "bytes_value":
            return value.bytes_value
        case "list_value":
            return [value_from_proto(item, special) for item in value.list_value.values]
        case "map_value":
            return entries_from_proto(value.map_value.entries, special)
        case "array_value":
            return array_from_proto(value.array_value)[()]
        case "dump_value" | "sorting_value" if special:
            return special(value)
        case kind:
            raise MalformedMessageError(f"a value is {kind or 'not set'}, which is not legal here")


def entries_to_proto(
    values: Mapping[str, Any], depth: int = 0, special: Encoder | None = None
) -> list[pb.ValueEntry]:
    """Make the entries of a dict with text keys; arguments as in `value_to_proto`."""
    entries = []
    for key, value in values.items():
        if not isinstance(key, str):
            raise InvalidTypeError(
                f"the key {key!r} of a dict is no text, and only text keys can be sent"
            )
        entries.append(
            pb.ValueEntry(key=_unicode(key), value=value_to_proto(value, depth + 1, special))
        )
    return entries


def entries_from_proto(
    entries: Iterable[pb.ValueEntry], special: Decoder | None = None
) -> dict[str, Any]:
    """Return the dict that entries mean; arguments as in `value_from_proto`."""
    values: dict[str, Any] = {}
    for entry in entries:
        if entry.key in values:
            raise MalformedMessageError(f"the key {entry.key!r} comes twice")
        values[entry.key] = value_from_proto(entry.value, special)
    return values


def array_to_proto(array: np.ndarray[Any, Any], depth: int = 0) -> pb.Array:
    """Make an Array of a numpy array, big-endian ones in little-endian order.

    Raises
    ------
    InvalidTypeError
        The elements are of a type that has no portable form.
    """
    array = portable(array)
    proto = pb.Array(type=dtype_to_proto(array.dtype), shape=array.shape)
    if array.dtype.kind == "O":
        proto.items.extend(value_to_proto(item, depth + 1) for item in array.flat)
    else:
        proto.data = array.tobytes()
    return proto


def array_from_proto(proto: pb.Array) -> np.ndarray[Any, Any]:
    """Return a new numpy array with what an Array holds.

    Raises
    ------
    MalformedMessageError
        Type, shape and data do not fit, or the type is not legal.
    """
    dtype = dtype_from_proto(proto.type)
    shape = checked_shape(proto.shape)
    if dtype.kind == "O":
        return objects_from_proto(proto.items, shape)
    return array_from_bytes(proto.data, dtype, shape)


def objects_from_proto(
    items: Iterable[pb.Value], shape: tuple[int, ...]
) -> np.ndarray[Any, np.dtype[np.object_]]:
    """Return a new array of objects, which `items` list in C order."""
    values = [value_from_proto(item) for item in items]
    if len(values) != math.prod(shape):
        raise MalformedMessageError(
            f"an array of shape {shape} has {len(values)} items, not {math.prod(shape)}"
        )
    flat = np.empty(len(values), dtype=object)
    for position, item in enumerate(values):  # numpy would unfold an item that is a list
        flat[position] = item
    return flat.reshape(shape)


def _int_to_proto(value: int) -> pb.Value:
    if -(1 << 63) <= value < 1 << 63:
        return pb.Value(int_value=value)
    if value < 1 << 64 and value > 0:
        return pb.Value(uint_value=value)
    raise InvalidValueError(f"the whole number {value} does not fit into 64 bits")


def _unicode(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidValueError(f"{text!r} is not Unicode text: {error.reason}") from error
    return text
