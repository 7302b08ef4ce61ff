"""What callers of a writer give, checked, as arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from spikewire.core.dtypes import AnyArray, IntArray
from spikewire.core.errors import InvalidTypeError, InvalidValueError


def as_batch(sample_indices: Any, labels: Any) -> tuple[IntArray, AnyArray]:
    """Return samples, ascending, and their labels.

    Raises
    ------
    InvalidTypeError, InvalidValueError
        They are no samples, or not as many labels.
    """
    samples, units = np.asarray(sample_indices), np.asarray(labels)
    if samples.ndim != 1 or units.ndim != 1 or len(samples) != len(units):
        raise InvalidValueError(
            f"a batch is a flat array of samples and one of as many labels, not arrays of shapes "
            f"{samples.shape} and {units.shape}"
        )
    if not len(samples):
        return np.empty(0, np.int64), units
    if samples.dtype.kind not in "iu":
        raise InvalidTypeError(f"sample indices must be integers, not {samples.dtype}")
    if samples.dtype.kind == "u" and int(samples.max()) > np.iinfo(np.int64).max:
        raise InvalidValueError(f"the sample index {samples.max()} is beyond 2**63 - 1")
    samples = samples.astype(np.int64, copy=False)
    if np.any(samples[1:] < samples[:-1]):
        order = np.argsort(samples, kind="stable")
        samples, units = samples[order], units[order]
    return samples, units


def as_sync_points(sample_index: Any, time_s: Any) -> list[tuple[int, float]]:
    """Return sync points, samples and times, that were given one by one or as arrays.

    Raises
    ------
    InvalidTypeError, InvalidValueError
        They are no samples, or not as many times.
    """
    samples, times = np.atleast_1d(sample_index), np.atleast_1d(time_s)
    if samples.ndim != 1 or samples.shape != times.shape:
        raise InvalidValueError(
            f"sync points are as many samples as times, not arrays of shapes {samples.shape} and "
            f"{times.shape}"
        )
    if len(samples) and samples.dtype.kind not in "iu":
        raise InvalidTypeError(f"sample indices must be integers, not {samples.dtype}")
    return list(zip(samples.tolist(), times.astype(float).tolist(), strict=True))
