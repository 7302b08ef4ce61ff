from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikewire.cli.spike_lines import line_labels, parse_line, spike_lines

SAMPLES = st.integers(-(2**63), 2**63 - 1)
LABELS = st.text(st.characters(exclude_categories=["C", "Z"], include_characters=" "), min_size=1)


@pytest.mark.parametrize(
    ("line", "spike"),
    [
        ("120 7", (None, 120, "7")),
        ("  -5\t7  \r", (None, -5, "7")),
        ("1 120 7", (1, 120, "7")),
        ("120,7", (None, 120, "7")),
        ("1, 120, unit 7", (1, 120, "unit 7")),
        ('120 "unit 7"', (None, 120, "unit 7")),
        ('120\t"a,b ""c"""', (None, 120, 'a,b "c"')),
        ('0,120,"a,b"', (0, 120, "a,b")),
        ("120 #7", (None, 120, "#7")),
        ("# 120 7", None),
        ("", None),
        (" \r", None),
    ],
)
def test_a_line_is_a_spike(line: str, spike: object) -> None:
    assert parse_line(line) == spike


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("120", "has one field"),
        ("0 120 unit 7", "has 4 fields"),
        ("0.004 7", "a sample is a whole number: seconds times the sampling frequency"),
        ("x 120 7", "a segment is a whole number, not 'x'"),
        ("120,", "the unit is missing"),
        (",120,7", "a segment is a whole number, not ''"),
        ("9223372036854775808 7", "beyond 64 bits"),
        ('120 "unit 7', "unexpected end"),
        ("sample,unit", "not 'sample'"),
    ],
)
def test_what_is_wrong_is_said(line: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        parse_line(line)


@given(st.integers(0, 1000), SAMPLES, LABELS)
def test_what_is_printed_can_be_read(segment: int, sample: int, label: str) -> None:
    labels = line_labels(np.array([label]))
    text = spike_lines(segment, np.array([sample]), np.array([0]), labels)
    assert text.endswith("\n")
    assert text.count("\n") == 1
    assert parse_line(text) == (segment, sample, str(np.array([label])[0]))


def test_ids_do_not_steer_terminals_or_break_lines() -> None:
    assert line_labels(np.array(["a\x1b[31m", "b\nc", "d"])) == ["a\ufffd[31m", "b\ufffdc", "d"]
