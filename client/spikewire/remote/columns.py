"""Columns that grow with what has come, not with what was announced."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from spikewire.core.dtypes import AnyArray
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
        end = self.filled + count
        if end > self.announced:
            raise MalformedMessageError(
                f"the server announced {self.announced} spikes and sent {end}"
            )
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
        if self.filled != self.announced:
            raise MalformedMessageError(
                f"the server announced {self.announced} spikes and sent {self.filled}"
            )
        return self._columns

    def _grown(self, column: AnyArray, size: int) -> AnyArray:
        grown = np.empty(size, dtype=column.dtype)
        grown[: self.filled] = column[: self.filled]
        return grown
