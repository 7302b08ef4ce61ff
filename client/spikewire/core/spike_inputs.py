"""Spikes as users give them, checked and brought into one form."""

from __future__ import annotations

from typing import Any

import numpy as np

from spikewire.core.dtypes import AnyArray
from spikewire.core.errors import ContractError, InvalidTypeError, InvalidValueError
from spikewire.core.unit_ids import some


def flat_samples(values: Any) -> AnyArray:
    """Frames, or times, of one train or segment as a flat array of finite numbers.

    Raises
    ------
    InvalidTypeError
        If they are not flat, or no numbers.
    InvalidValueError
        If one is NaN or infinite.
    """
    array = np.asarray(values)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iuf"):
        raise InvalidTypeError(
            f"spikes must be flat arrays of numbers, not {array.ndim}-dimensional {array.dtype}"
        )
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise InvalidValueError("spikes must be finite; some are NaN or infinite")
    return array if array.size else np.empty(0, dtype=np.int64)


def segment_arrays(samples: Any, labels: Any) -> tuple[list[AnyArray], list[AnyArray]]:
    """Both arguments as lists of flat arrays, one a segment, of equal lengths.

    Raises
    ------
    ContractError
        If one argument is an array and the other is a list.
    InvalidValueError
        If they are not equally many.
    """
    if isinstance(samples, np.ndarray) != isinstance(labels, np.ndarray):
        raise ContractError("give samples and labels both as arrays or both as lists of arrays")
    if isinstance(samples, np.ndarray):
        samples, labels = [samples], [labels]
    samples = [flat_samples(segment) for segment in samples]
    labels = [np.asarray(segment) for segment in labels]
    if [len(segment) for segment in samples] != [segment.size for segment in labels]:
        raise InvalidValueError(
            f"samples of lengths {some([len(s) for s in samples])} need as many labels, "
            f"not {some([segment.size for segment in labels])}"
        )
    return samples, [segment.ravel() for segment in labels]
