"""Unit ids as they are typed and piped: whole numbers where they look like it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from spikewire.core.dtypes import AnyArray
from spikewire.core.errors import InvalidValueError


def looks_whole(label: str) -> bool:
    """Whether a label is how a whole number is written: "7", not "07"."""
    try:
        return str(int(label)) == label and -(2**63) <= int(label) < 2**63
    except ValueError:
        return False


def labels_of(option: str | None) -> list[str]:
    """Return the labels of an option such as "1,2,7".

    Raises
    ------
    InvalidValueError
        One is empty.
    """
    labels = [label.strip() for label in option.split(",")] if option else []
    if not all(labels):
        raise InvalidValueError(f"{option!r} is not a list of unit ids such as 1,2,7")
    return labels


def guessed_ids(labels: Sequence[str], as_text: bool = False) -> AnyArray:
    """Return labels as ids: numbers if all look like it, unless they are meant as text."""
    if not as_text and all(map(looks_whole, labels)):
        return np.array([int(label) for label in labels], np.int64)
    return np.array(labels, np.str_)


def ids_like(labels: Sequence[str], unit_ids: AnyArray) -> AnyArray:
    """Return labels as ids of the type of others.

    Raises
    ------
    InvalidValueError
        Those are whole numbers, and a label is none.
    """
    if unit_ids.dtype.kind not in "iu":
        return np.array(labels, np.str_)
    for label in labels:
        if not looks_whole(label):
            raise InvalidValueError(f"unit {label!r} is no whole number, and the others are")
    return np.array([int(label) for label in labels], np.int64)
