"""Columns of what comes: whole ones that grow, and pieces that are taken away."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import DTypeLike

from spikewire.core.dtypes import AnyArray, IntArray
from spikewire.core.errors import MalformedMessageError

_AHEAD = 1 << 26  # 512 MiB of address space; pages that are not written cost nothing


class Columns:
    """Arrays of equal length, filled from the front.

    Parameters
    ----------
    dtypes : sequence of dtype
        One a column.
    announced : int
        How many rows a server says will come. Up to 2**26 are allocated at once,
        more only as they come, so that a false number allocates nothing.
    """

    def __init__(self, dtypes: list[DTypeLike], announced: int) -> None:
        self.announced = announced
        self.filled = 0
        self._columns: list[AnyArray] = [
            np.empty(min(announced, _AHEAD), dtype=dtype) for dtype in dtypes
        ]

    def next(self, count: int) -> list[Any]:
        """Return room for the next `count` rows of each column, to be written to.

        Raises
        ------
        MalformedMessageError
            They are more than were announced.
        """
        end = _within(self.filled + count, self.announced)
        while end > len(self._columns[0]):
            size = min(self.announced, 2 * len(self._columns[0]))
            self._columns = [self._grown(column, size) for column in self._columns]
        room = [column[self.filled : end] for column in self._columns]
        self.filled = end
        return room

    def complete(self) -> list[Any]:
        """Return the columns.

        Raises
        ------
        MalformedMessageError
            Not all rows that were announced have come.
        """
        _check_complete(self.filled, self.announced)
        return self._columns

    def _grown(self, column: AnyArray, size: int) -> AnyArray:
        grown = np.empty(size, dtype=column.dtype)
        grown[: self.filled] = column[: self.filled]
        return grown


class Pieces:
    """Samples and unit indices in pieces, which somebody takes away as they come."""

    def __init__(self) -> None:
        self.announced = 0
        self.filled = 0
        self._pieces: list[tuple[IntArray, IntArray]] = []

    def begin(self, announced: int) -> Self:
        """Note how many rows a server says will come."""
        self.announced = announced
        return self

    def next(self, count: int) -> tuple[IntArray, IntArray]:
        """Return room for the next `count` rows of both columns, to be written to.

        Raises
        ------
        MalformedMessageError
            They are more than were announced.
        """
        self.filled = _within(self.filled + count, self.announced)
        self._pieces.append((np.empty(count, dtype=np.int64), np.empty(count, dtype=np.int64)))
        return self._pieces[-1]

    def take(self) -> list[tuple[IntArray, IntArray]]:
        """Return what has come since the last time."""
        pieces, self._pieces = self._pieces, []
        return pieces

    def check_complete(self) -> None:
        """Check that everything has come.

        Raises
        ------
        MalformedMessageError
            Not all rows that were announced have come.
        """
        _check_complete(self.filled, self.announced)


def _within(end: int, announced: int) -> int:
    if end > announced:
        raise MalformedMessageError(f"the server announced {announced} spikes and sent {end}")
    return end


def _check_complete(filled: int, announced: int) -> None:
    if filled != announced:
        raise MalformedMessageError(f"the server announced {announced} spikes and sent {filled}")
