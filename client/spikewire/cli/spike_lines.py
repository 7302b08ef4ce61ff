"""Spikes as lines of text: what `spikewire tail` prints and `spikewire acquire` reads.

A line is ``sample unit`` or ``segment sample unit``, separated by spaces, tabs or
commas. An id that holds one of these is put in double quotes, as in CSV.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from typing import NamedTuple

from spikewire.cli.printing import printable
from spikewire.core.dtypes import AnyArray, IntArray
from spikewire.core.errors import InvalidValueError

FORM = "'sample unit' or 'segment sample unit'"

_HAS_COMMAS = re.compile(r"\s*[-+]?\d+\s*,")
_NEEDS_QUOTES = re.compile(r'[\s,"]|^#|^$')


class SpikeLine(NamedTuple):
    """A spike as a line says it."""

    segment_index: int | None
    """None if the line does not say it."""
    sample_index: int
    label: str


def parse_line(line: str) -> SpikeLine | None:
    """Return the spike of a line, None for a blank line or a comment.

    Raises
    ------
    InvalidValueError
        It is not of either form.
    """
    line = line.strip()
    if not line or line.startswith("#"):
        return None
    fields = _fields(line)
    if len(fields) not in (2, 3):
        raise InvalidValueError(f"a line is {FORM}, and this one has {_count(len(fields))}")
    *segment, sample, label = fields
    if not label:
        raise InvalidValueError("the unit is missing")
    return SpikeLine(
        _whole(segment[0], "segment") if segment else None, _whole(sample, "sample"), label
    )


def spike_lines(
    segment_index: int, sample_index: IntArray, unit_index: IntArray, labels: Sequence[str]
) -> str:
    """Return spikes as lines of three fields.

    Parameters
    ----------
    segment_index : int
        The segment of all.
    sample_index, unit_index : ndarray of int64, shape (spikes,)
        Their samples, and the positions of their units in `labels`.
    labels : sequence of str
        What `line_labels` made of the unit ids.
    """
    pairs = zip(sample_index.tolist(), unit_index.tolist(), strict=True)
    return "".join(f"{segment_index} {sample} {labels[unit]}\n" for sample, unit in pairs)


def line_labels(unit_ids: AnyArray) -> list[str]:
    """Return unit ids as lines hold them: quoted where it is needed, and without line ends."""
    labels = (printable(str(unit_id)).replace("\n", "\ufffd") for unit_id in unit_ids.tolist())
    return [
        '"{}"'.format(label.replace('"', '""')) if _NEEDS_QUOTES.search(label) else label
        for label in labels
    ]


def _fields(line: str) -> list[str]:
    if '"' not in line:
        return [field.strip() for field in line.split(",")] if "," in line else line.split()
    has_commas = _HAS_COMMAS.match(line)
    row = [line] if has_commas else [line.replace("\t", " ")]
    delimiter = "," if has_commas else " "
    try:
        return next(csv.reader(row, delimiter=delimiter, skipinitialspace=True, strict=True))
    except csv.Error as error:
        raise InvalidValueError(f"a line is {FORM}; {error}") from None


def _whole(field: str, what: str) -> int:
    try:
        number = int(field)
    except ValueError:
        hint = ": seconds times the sampling frequency" if what == "sample" else ""
        raise InvalidValueError(
            f"a line is {FORM}, and a {what} is a whole number{hint}, not {field!r}"
        ) from None
    if not -(2**63) <= number < 2**63:
        raise InvalidValueError(f"the {what} {number} is beyond 64 bits")
    return number


def _count(fields: int) -> str:
    return "one field" if fields == 1 else f"{fields} fields"
