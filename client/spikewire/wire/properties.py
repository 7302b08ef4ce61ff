"""Properties of units <-> streams of PropertySlice."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from spikewire.core.errors import LimitExceededError, MalformedMessageError
from spikewire.v1 import sorting_service_pb2 as pb
from spikewire.wire.arrays import (
    AnyArray,
    array_from_bytes,
    checked_shape,
    dtype_from_proto,
    dtype_to_proto,
    portable,
)
from spikewire.wire.values import objects_from_proto, value_to_proto

if TYPE_CHECKING:
    from collections.abc import Iterator

    from spikewire.v1.dump_pb2 import Value

MAX_SLICE_BYTES = 1 << 20
"""How many bytes of values one slice holds at most."""


def property_to_slices(key: str, values: AnyArray) -> Iterator[pb.PropertySlice]:
    """Cut a property into slices of at most 1 MiB.

    Parameters
    ----------
    key : str
        The property's key.
    values : ndarray, shape (units, ...)
        The property's values.

    Yields
    ------
    PropertySlice
        At least one; the first one has key, type and shape.

    Raises
    ------
    InvalidTypeError, InvalidValueError
        The values cannot be sent.
    """
    values = portable(values)
    piece = pb.PropertySlice(key=key, type=dtype_to_proto(values.dtype), shape=values.shape)
    if values.dtype.kind == "O":
        size = 0
        for item in values.flat:
            value = value_to_proto(item)
            size += value.ByteSize()
            if size > MAX_SLICE_BYTES and piece.items:
                yield piece
                piece, size = pb.PropertySlice(), value.ByteSize()
            piece.items.append(value)
        yield piece
        return
    data = values.reshape(-1).view(np.uint8)
    for start in range(0, max(data.size, 1), MAX_SLICE_BYTES):
        piece.data = data[start : start + MAX_SLICE_BYTES].tobytes()
        yield piece
        piece = pb.PropertySlice()


class PropertyAssembler:
    """Puts the slices of properties that come one after the other together.

    Parameters
    ----------
    max_bytes : int
        How large one property may be; 0 means unlimited. Memory grows with what
        has come, never with what a header says.
    """

    def __init__(self, max_bytes: int = 0) -> None:
        self._max_bytes = max_bytes
        self._property: _Partial | None = None

    @property
    def is_complete(self) -> bool:
        """Whether no property is half assembled."""
        return self._property is None

    def feed(self, piece: pb.PropertySlice) -> tuple[str, AnyArray] | None:
        """Take the next slice.

        Returns
        -------
        tuple of (str, ndarray) or None
            Key and values of a property, once its last slice has come.

        Raises
        ------
        MalformedMessageError
            The slice does not go on where the one before it ended, or is of an
            illegal type.
        LimitExceededError
            The property is larger than `max_bytes`.
        """
        if self._property is None:
            self._property = _Partial(piece)
        elif piece.HasField("type"):
            raise MalformedMessageError(
                f"the property {self._property.key!r} ended before all of it had come"
            )
        elif not piece.data and not piece.items:
            raise MalformedMessageError(f"a slice of the property {self._property.key!r} is empty")
        size = self._property.add(piece)
        if self._max_bytes and size > self._max_bytes:
            raise LimitExceededError(
                f"the property {self._property.key!r} has more than {self._max_bytes} bytes, "
                f"the most that are accepted"
            )
        if not self._property.is_complete:
            return None
        key, values = self._property.key, self._property.values()
        self._property = None
        return key, values


class _Partial:
    """The slices of one property that have come so far."""

    def __init__(self, first: pb.PropertySlice) -> None:
        if not first.HasField("type"):
            raise MalformedMessageError("the first slice of a property has no type")
        self.key = first.key
        self._dtype = dtype_from_proto(first.type)
        self._shape = checked_shape(first.shape)
        if not self._shape:
            raise MalformedMessageError(f"the property {self.key!r} has no axis of units")
        self._holds_objects = self._dtype.kind == "O"
        self._data = bytearray()
        self._items: list[Value] = []
        self._item_bytes = 0

    def add(self, piece: pb.PropertySlice) -> int:
        """Keep the values of a slice; return how many bytes there are so far."""
        if piece.data if self._holds_objects else piece.items:
            raise MalformedMessageError(
                f"a slice of the property {self.key!r} holds values of the wrong kind"
            )
        self._data += piece.data
        self._items.extend(piece.items)
        self._item_bytes += sum(item.ByteSize() for item in piece.items)
        if self._received() > self._expected():
            raise MalformedMessageError(
                f"more values of the property {self.key!r} came than its shape {self._shape} says"
            )
        return self._item_bytes if self._holds_objects else self._expected()

    @property
    def is_complete(self) -> bool:
        return self._received() == self._expected()

    def values(self) -> AnyArray:
        if self._holds_objects:
            return objects_from_proto(self._items, self._shape)
        return array_from_bytes(self._data, self._dtype, self._shape)

    def _received(self) -> int:
        return len(self._items) if self._holds_objects else len(self._data)

    def _expected(self) -> int:
        count = math.prod(self._shape)
        return count if self._holds_objects else count * self._dtype.itemsize
