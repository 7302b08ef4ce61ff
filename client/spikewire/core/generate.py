"""Random sortings for examples and tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike

from spikewire.core.bounds import window
from spikewire.core.dtypes import FloatArray, IntArray, UnitId
from spikewire.core.errors import ContractError, InvalidValueError
from spikewire.core.numpy_sorting import NumpySorting
from spikewire.core.segment import BaseSortingSegment
from spikewire.core.sorting import BaseSorting
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
    rates, refractories = _rates(num_units, firing_rates, refractory_period_ms)
    rng = np.random.default_rng(seed)
    indices = np.arange(num_units)
    silent = membership(indices, [int(unit) for unit in empty_units or ()])
    samples_list, labels_list = [], []
    for duration in durations:
        trains = [
            _train(rng, 0.0 if silent[unit] else rates[unit], refractories[unit], duration)
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


class SortingGenerator(BaseSorting):
    """Units that fire at random, each train made when it is read, and the same every time.

    It takes no memory however long it is, and so stands in for a large file; a sorting
    that is read often is better made with `generate_sorting`. It is pickled and cloned
    as its arguments. Dumps cannot hold it, because whoever loads a dump, a server say,
    would have to make as many spikes as the dump asks for.

    Parameters
    ----------
    num_units : int, default: 20
        The ids are "0", "1", "2", ...
    sampling_frequency : float, default: 30000.0
    durations : sequence of float
        Seconds of each segment.
    firing_rates : float or sequence of float, default: 3.0
        Spikes a second, of every unit or of each.
    refractory_period_ms : float or sequence of float, default: 4.0
        The least interval between two spikes of a unit.
    seed : int, default: 0
        The same seed gives the same spikes, though not those of SpikeInterface. None
        stands for any.

    Raises
    ------
    InvalidValueError
        If units cannot fire so often with this refractory period.
    """

    _serializability: ClassVar[dict[str, bool]] = {"memory": True, "json": False, "pickle": False}

    def __init__(
        self,
        num_units: int = 20,
        sampling_frequency: float = 30000.0,
        durations: Sequence[float] = (10.325, 3.5),
        firing_rates: ArrayLike = 3.0,
        refractory_period_ms: ArrayLike = 4.0,
        seed: int | None = 0,
    ) -> None:
        rates, refractories = _rates(num_units, firing_rates, refractory_period_ms)
        super().__init__(sampling_frequency, np.arange(num_units).astype(np.str_))
        seed = int(np.random.default_rng().integers(1 << 62)) if seed is None else int(seed)
        for segment_index, duration in enumerate(durations):
            self.add_sorting_segment(
                _GeneratedSegment((seed, segment_index), rates, refractories, duration)
            )
        self._kwargs = {
            "num_units": num_units,
            "sampling_frequency": self.sampling_frequency,
            "durations": list(durations),
            "firing_rates": firing_rates,
            "refractory_period_ms": refractory_period_ms,
            "seed": seed,
        }


class _GeneratedSegment(BaseSortingSegment):
    """Trains that are made when they are read."""

    def __init__(
        self, seed: tuple[int, int], rates: FloatArray, refractories: FloatArray, duration: float
    ) -> None:
        super().__init__()
        self._seed = seed
        self._rates = rates
        self._refractories = refractories
        self._duration = duration

    def get_unit_spike_train(
        self, unit_id: UnitId, start_frame: int | None = None, end_frame: int | None = None
    ) -> IntArray:
        """The samples of one unit in [start_frame, end_frame), ascending."""
        sorting = self._sorting()
        unit = sorting.id_to_index(unit_id)
        rng = np.random.default_rng([*self._seed, unit])
        seconds = _train(rng, self._rates[unit], self._refractories[unit], self._duration)
        samples = (seconds * sorting.sampling_frequency).astype(np.int64)
        return window(samples, start_frame, end_frame)


def _rates(
    num_units: int, firing_rates: ArrayLike, refractory_period_ms: ArrayLike
) -> tuple[FloatArray, FloatArray]:
    """Spikes a second, and least intervals in seconds, of each unit."""
    rates = np.broadcast_to(np.asarray(firing_rates, dtype=np.float64), (num_units,))
    refractories = np.asarray(refractory_period_ms, dtype=np.float64) / 1000
    refractories = np.broadcast_to(refractories, (num_units,))
    impossible = np.flatnonzero(rates * refractories >= 1)
    if impossible.size:
        rate, refractory = rates[impossible[0]], refractories[impossible[0]]
        raise InvalidValueError(
            f"units cannot fire at {rate} Hz and be refractory for {refractory * 1000:g} ms"
        )
    return rates, refractories


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
