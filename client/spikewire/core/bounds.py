"""Bounds of windows, in frames and in seconds, checked once and in one way."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from spikewire.core.dtypes import IntArray
from spikewire.core.errors import InvalidTypeError

_INT64 = np.iinfo(np.int64)


def frame_bound(value: Any, name: str) -> int | None:
    """The bound as an int64 frame; None means that the window is open on this side.

    A fraction of a frame counts as the next whole frame, which selects the same
    spikes. A bound beyond int64 selects the same as the int64 frame next to it.

    Raises
    ------
    InvalidTypeError
        If the bound is NaN or no number.
    """
    if value is None:
        return None
    try:
        frame = operator.index(value)
    except TypeError:
        frame = _ceil(seconds_bound(value, name))
    return min(max(frame, int(_INT64.min)), int(_INT64.max))


def seconds_bound(value: Any, name: str) -> float:
    """The bound as a float, which may be infinite.

    Raises
    ------
    InvalidTypeError
        If the bound is NaN or no number.
    """
    if isinstance(value, str | bytes | bytearray):
        raise InvalidTypeError(f"{name} must be a number or None, not {value!r}")
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise InvalidTypeError(
            f"{name} must be a number or None, not {type(value).__name__}"
        ) from error
    if math.isnan(number):
        raise InvalidTypeError(f"{name} must be a number or None, not NaN")
    return number


def window(samples: IntArray, start: int | None, end: int | None) -> IntArray:
    """The samples in [start, end), as a view of the ascending `samples`."""
    first = None if start is None else samples.searchsorted(start)
    last = None if end is None else samples.searchsorted(end)
    return samples[first:last]


def _ceil(number: float) -> int:
    if math.isinf(number):
        return int(_INT64.max if number > 0 else _INT64.min)
    return math.ceil(number)
