from __future__ import annotations

import numpy as np
import pytest

from spikewire.cli.raster import raster
from spikewire.core.errors import SegmentIndexError
from spikewire.core.numpy_sorting import NumpySorting

BLANK, LEFT_FULL, RIGHT_FULL, RIGHT_HALF = "\u2800\u2847\u28b8\u28a0"


def sorting_of(
    samples: list[int], labels: list[int] | list[str], units: list[int] | list[str]
) -> NumpySorting:
    return NumpySorting.from_samples_and_labels(
        [np.array(samples)], [np.array(labels)], 1000.0, unit_ids=units
    )


def test_a_line_has_the_unit_its_spikes_and_their_number() -> None:
    assert raster(sorting_of([0, 999], [3, 12], [3, 12]), width=15) == [
        f" 3 {LEFT_FULL}{BLANK * 9} 1",
        f"12 {BLANK * 9}{RIGHT_FULL} 1",
        "   0.0 s 1.0 s",
    ]


def test_height_is_logarithmic_and_shared() -> None:
    # log(1 + 1) is half of log(1 + 3).
    lines = raster(sorting_of([0, 1, 2, 999], [1, 1, 1, 2], [1, 2]), width=12)
    assert lines[0] == f"1 {LEFT_FULL}{BLANK * 7} 3"
    assert lines[1] == f"2 {BLANK * 7}{RIGHT_HALF} 1"


def test_every_line_fits() -> None:
    units = ["a", "a name that is longer than anybody would like it to be"]
    lines = raster(sorting_of([5, 7, 9], [units[0], units[1], units[1]], units), width=60)
    assert max(map(len, lines)) == 60
    assert "a name that is longer..." in lines[1]


def test_units_that_do_not_fit_are_counted() -> None:
    lines = raster(sorting_of([5, 7, 9], [1, 2, 3], [1, 2, 3]), max_units=1)
    assert lines[0].startswith("1 ")
    assert lines[1] == "and 2 more units"


def test_a_terminal_without_braille_gets_ascii() -> None:
    lines = raster(sorting_of([0, 1, 2, 999], [1, 1, 1, 2], [1, 2]), width=12, ascii_only=True)
    assert lines[:2] == ["1 #        3", "2        : 1"]


def test_frames_near_the_largest_do_not_overflow() -> None:
    lines = raster(sorting_of([-(2**62), 2**62], [1, 1], [1]), width=12)
    assert lines[0] == f"1 {LEFT_FULL}{BLANK * 6}{RIGHT_FULL} 2"


@pytest.mark.parametrize("units", [[], [1, 2]])
def test_a_sorting_without_spikes_draws_blanks(units: list[int]) -> None:
    spikes = np.zeros(0, [(f"{name}_index", "i8") for name in ("sample", "unit", "segment")])
    sorting = NumpySorting(spikes, 1000.0, np.array(units, np.int64))
    assert raster(sorting, width=12) == [f"{unit} {BLANK * 8} 0" for unit in units]


def test_a_segment_that_is_not_there_is_named() -> None:
    with pytest.raises(SegmentIndexError, match="no segment 1: the sorting has 1"):
        raster(sorting_of([1], [1], [1]), 1)
