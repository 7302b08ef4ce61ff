"""Spikes within given periods, and random ones."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from spikewire.core.dtypes import AnyArray, IntArray, unit_period_dtype
from spikewire.core.errors import InvalidValueError
from spikewire.core.numpy_sorting import NumpySorting
from spikewire.core.sorting import BaseSorting

_PERIOD_DTYPE = np.dtype(unit_period_dtype)


def select_sorting_periods(sorting: BaseSorting, periods: AnyArray | None) -> BaseSorting:
    """The spikes within periods, in memory, with metadata and times.

    Parameters
    ----------
    sorting : BaseSorting
    periods : structured array of `unit_period_dtype`, or int, (periods, 4)
        The end is exclusive. Plain columns are taken, with a warning, for segment,
        start, end and unit. None stands for everything.

    Raises
    ------
    InvalidValueError
        If `periods` is of another form.
    """
    if periods is None:
        return sorting
    spikes = sorting.to_spike_vector()
    kept = spikes[select_sorting_periods_mask(sorting, _as_periods(periods))]
    count = sorting.get_num_segments()
    selected = NumpySorting(kept, sorting.sampling_frequency, sorting.unit_ids, count)
    sorting.copy_metadata(selected)
    selected._recording = sorting._recording
    for source, target in zip(sorting.segments, selected.segments, strict=True):
        target._take_times_of(source)
    return selected


def select_sorting_periods_mask(sorting: BaseSorting, periods: AnyArray) -> AnyArray:
    """For each spike of the spike vector whether it lies in a period of its unit, bool."""
    samples = sorting.to_spike_vector()["sample_index"]
    indices = sorting.get_spike_vector_to_indices()
    kept = np.zeros(len(samples), dtype=bool)
    for segment, start, end, unit in periods[list(_PERIOD_DTYPE.names or ())].tolist():
        if segment in indices and 0 <= unit < sorting.get_num_units():
            of_unit = indices[segment][sorting.unit_ids[unit]]
            first, last = np.searchsorted(samples[of_unit], [start, end])
            kept[of_unit[first:last]] = True
    return kept


def _as_periods(periods: Any) -> AnyArray:
    if not isinstance(periods, np.ndarray):
        raise InvalidValueError(f"periods must be an array, not {type(periods).__name__}")
    if periods.dtype.names is not None:
        missing = set(_PERIOD_DTYPE.names or ()) - set(periods.dtype.names)
        if missing:
            raise InvalidValueError(f"periods lack the fields {sorted(missing)}")
        return periods
    if periods.ndim != 2 or periods.shape[1] != len(unit_period_dtype):
        raise InvalidValueError(
            f"periods must be of unit_period_dtype or of shape (periods, 4), not {periods.shape}"
        )
    warnings.warn(
        "plain columns are taken for segment_index, start_sample_index, end_sample_index "
        "and unit_index",
        UserWarning,
        stacklevel=4,
    )
    converted = np.empty(len(periods), dtype=_PERIOD_DTYPE)
    for column, name in enumerate(_PERIOD_DTYPE.names or ()):
        converted[name] = periods[:, column]
    return converted


def random_spikes_selection(
    sorting: BaseSorting,
    num_samples: Sequence[int] | None = None,
    method: str = "uniform",
    max_spikes_per_unit: int = 500,
    margin_size: int | None = None,
    seed: int | None = None,
    percentage: float | None = None,
    maximum_rate: float | None = None,
) -> IntArray:
    """Some spikes of each unit, the same for the same seed.

    Parameters
    ----------
    sorting : BaseSorting
    num_samples : list of int, optional
        The frames of each segment; needed with `margin_size`.
    method : {"uniform", "all", "percentage", "maximum_rate"}
        "uniform" takes up to `max_spikes_per_unit`; "percentage" a share and
        "maximum_rate" so many a second of these; "all" takes every spike.
    max_spikes_per_unit : int, default: 500
    margin_size : int, optional
        Leave out spikes within so many frames of a segment's ends.
    seed : int, optional
    percentage : float, optional
        In (0, 1].
    maximum_rate : float, optional
        Spikes a second.

    Returns
    -------
    int64, (selected spikes,), ascending
        Positions in the spike vector.

    Raises
    ------
    InvalidValueError
        If the method is unknown, or what it needs is missing.
    """
    if method == "all":
        return np.arange(sorting.count_total_num_spikes(), dtype=np.int64)
    if method not in ("uniform", "percentage", "maximum_rate"):
        raise InvalidValueError(f"method {method!r} is not uniform, all, percentage, maximum_rate")
    if method == "percentage" and not (percentage and 0 < percentage <= 1):
        raise InvalidValueError(f"percentage must be in (0, 1], not {percentage}")
    if method == "maximum_rate" and maximum_rate is None:
        raise InvalidValueError("method 'maximum_rate' needs maximum_rate")
    if margin_size is not None and num_samples is None:
        raise InvalidValueError("margin_size needs num_samples, the frames of each segment")
    rng = np.random.default_rng(seed)
    samples = sorting.to_spike_vector()["sample_index"]
    positions = sorting.get_spike_vector_to_indices()
    selected = [np.empty(0, dtype=np.int64)]
    for unit_id in sorting.unit_ids:
        candidates = []
        for segment_index in range(sorting.get_num_segments()):
            of_unit = positions[segment_index][unit_id]
            if margin_size is not None and num_samples is not None:
                frames = [margin_size, num_samples[segment_index] - margin_size]
                first, last = np.searchsorted(samples[of_unit], frames)
                of_unit = of_unit[first:last]
            candidates.append(of_unit)
        pool = np.concatenate(candidates)
        count = min(max_spikes_per_unit, len(pool))
        if method == "percentage" and percentage is not None:
            count = min(count, int(len(pool) * percentage))
        elif method == "maximum_rate" and maximum_rate is not None:
            count = min(count, int(_duration(sorting) * maximum_rate))
        selected.append(rng.choice(pool, size=count, replace=False, shuffle=False))
    return np.sort(np.concatenate(selected))


def _duration(sorting: BaseSorting) -> float:
    """Seconds up to the last spike of each segment."""
    last = (sorting._last_spike_frame(index) for index in range(sorting.get_num_segments()))
    return sum(frame + 1 for frame in last if frame is not None) / sorting.sampling_frequency
