"""Random sortings for examples and tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike

from spikewire.core.errors import ContractError, InvalidValueError
from spikewire.core.numpy_sorting import NumpySorting
from spikewire.core.unit_ids import membership


def generate_sorting(
    num_units: int = 5,
    sampling_frequency: float = 30000.0,
    durations: Sequence[float] = (10.325, 3.5),
    firing_rates: ArrayLike = 3.0,
    empty_units: Sequence[Any] | None = None,
    refractory_period_ms: float = 4.0,
    add_spikes_on_borders: bool = False,
    num_spikes_per_border: int = 3,
    border_size_samples: int = 20,
    t_starts: Sequence[float] | None = None,
    seed: int | None = None,
) -> NumpySorting:
    """Units that fire at random, as Poisson processes with a refractory period.

    Parameters
    ----------
    num_units : int, default: 5
        The ids are "0", "1", "2", ...
    sampling_frequency : float, default: 30000.0
    durations : sequence of float
        Seconds of each segment.
    firing_rates : float or sequence of float, default: 3.0
        Spikes a second, of every unit or of each.
    empty_units : sequence, optional
        Indices, or ids, of units that stay silent.
    refractory_period_ms : float, default: 4.0
        The least interval between two spikes of a unit.
    add_spikes_on_borders : bool, default: False
        Add spikes near both ends of each segment.
    num_spikes_per_border, border_size_samples : int
        How many, within how many frames.
    t_starts : sequence of float, optional
        The time of each segment's frame 0 in seconds.
    seed : int, optional
        The same seed gives the same spikes, though not those of SpikeInterface.

    Raises
    ------
    InvalidValueError
        If units cannot fire so often with this refractory period.
    """
    rates = np.broadcast_to(np.asarray(firing_rates, dtype=np.float64), (num_units,))
    refractory = refractory_period_ms / 1000
    if np.any(rates * refractory >= 1):
        raise InvalidValueError(
            f"units cannot fire at {max(rates)} Hz and be refractory for {refractory_period_ms} ms"
        )
    rng = np.random.default_rng(seed)
    indices = np.arange(num_units)
    silent = membership(indices, [int(unit) for unit in empty_units or ()])
    samples_list, labels_list = [], []
    for duration in durations:
        trains = [
            _train(rng, 0.0 if silent[unit] else rates[unit], refractory, duration)
            for unit in indices
        ]
        samples = (np.concatenate([*trains, []]) * sampling_frequency).astype(np.int64)
        labels = np.repeat(indices, [len(train) for train in trains])
        if add_spikes_on_borders:
            length = int(duration * sampling_frequency)
            size = (num_spikes_per_border,)
            first = rng.integers(0, border_size_samples, size)
            last = rng.integers(length - border_size_samples, length, size)
            samples = np.concatenate([samples, first, last])
            labels = np.concatenate([labels, rng.choice(indices, 2 * num_spikes_per_border)])
        samples_list.append(samples)
        labels_list.append(labels.astype(np.str_))
    ids = [str(index) for index in indices]
    sorting = NumpySorting.from_samples_and_labels(
        samples_list, labels_list, sampling_frequency, ids
    )
    if t_starts is not None:
        if len(t_starts) != len(durations):
            raise ContractError(f"{len(t_starts)} t_starts for {len(durations)} durations")
        for segment, t_start in zip(sorting.segments, t_starts, strict=True):
            segment._t_start = segment._native_t_start = float(t_start)
    return sorting


def _train(rng: Generator, rate: float, refractory: float, duration: float) -> Any:
    """Seconds of the spikes of one unit."""
    if rate <= 0:
        return np.empty(0)
    pause = 1 / rate - refractory
    expected = rate * duration
    times = np.empty(0)
    last = 0.0
    while last < duration:  # more than once only if fewer spikes came than six sigmas allow
        intervals = refractory + rng.exponential(pause, int(expected + 6 * expected**0.5 + 10))
        more = last + np.cumsum(intervals)
        times = np.concatenate([times, more])
        last = times[-1]
    return times[times < duration]
