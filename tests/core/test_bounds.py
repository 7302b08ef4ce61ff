"""Bounds of windows."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikewire.core.bounds import frame_bound, seconds_bound, window
from spikewire.core.errors import InvalidTypeError

HIGHEST, LOWEST = 2**63 - 1, -(2**63)


@pytest.mark.parametrize(
    ("bound", "frame"),
    [
        (None, None),
        (5, 5),
        (-5, -5),
        (True, 1),
        (np.uint8(7), 7),
        (np.int64(LOWEST), LOWEST),
        (np.array(3), 3),
        (4.0, 4),
        (4.2, 5),
        (-4.2, -4),
        (np.float32(0.5), 1),
        (Fraction(7, 2), 4),
        (Decimal("1.5"), 2),
        (2**70, HIGHEST),
        (-(2**70), LOWEST),
        (1e30, HIGHEST),
        (float("inf"), HIGHEST),
        (float("-inf"), LOWEST),
    ],
)
def test_numbers_are_frames(bound: Any, frame: int | None) -> None:
    assert frame_bound(bound, "start_frame") == frame
    assert frame is None or type(frame_bound(bound, "start_frame")) is int


@pytest.mark.parametrize("bound", ["5", b"5", float("nan"), np.nan, [5], 1j, object(), {}])
def test_what_is_no_number(bound: Any) -> None:
    with pytest.raises(InvalidTypeError, match="end_frame must be a number or None"):
        frame_bound(bound, "end_frame")


def test_seconds_may_be_infinite() -> None:
    assert seconds_bound(float("inf"), "end_time") == float("inf")
    with pytest.raises(InvalidTypeError, match="end_time"):
        seconds_bound(float("nan"), "end_time")


numbers = st.integers(LOWEST, HIGHEST) | st.floats(-1e6, 1e6)


@given(
    st.lists(st.integers(-(10**6), 10**6) | st.integers(LOWEST, HIGHEST - 1)),
    st.none() | numbers,
    st.none() | numbers,
)
def test_windows_are_half_open(samples: list[int], start: Any, end: Any) -> None:
    train = np.array(sorted(samples), dtype=np.int64)
    found = window(train, frame_bound(start, "start"), frame_bound(end, "end"))
    expected = [
        sample
        for sample in train.tolist()
        if (start is None or sample >= start) and (end is None or sample < end)
    ]
    assert found.tolist() == expected
