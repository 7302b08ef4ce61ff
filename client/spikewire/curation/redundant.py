"""Units that are the same neuron found twice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from spikewire.core.dtypes import AnyArray, IntArray
from spikewire.core.errors import ContractError, InvalidValueError
from spikewire.core.sorting import BaseSorting


def find_redundant_units(
    sorting: BaseSorting,
    delta_time: float = 0.4,
    agreement_threshold: float = 0.2,
    duplicate_threshold: float = 0.8,
) -> list[tuple[Any, Any]]:
    """Pairs of units of which one fires almost only together with the other.

    Parameters
    ----------
    sorting : BaseSorting
    delta_time : float, default: 0.4
        Milliseconds within which two spikes coincide.
    agreement_threshold : float, default: 0.2
        The least share of coincidences among the spikes of both.
    duplicate_threshold : float, default: 0.8
        Above which share of coincidences among the spikes of one a pair is redundant.

    Returns
    -------
    list of (later unit id, earlier unit id)
    """
    return _pairs(sorting, None, delta_time, agreement_threshold, duplicate_threshold)


def remove_redundant_units(
    sorting: BaseSorting,
    align: bool = True,
    unit_peak_shifts: Mapping[Any, float] | None = None,
    delta_time: float = 0.4,
    agreement_threshold: float = 0.2,
    duplicate_threshold: float = 0.8,
    remove_strategy: str = "minimum_shift",
    extra_outputs: bool = False,
) -> Any:
    """A view without the redundant unit of each pair, the one with fewer spikes.

    Parameters
    ----------
    sorting : BaseSorting
    align : bool, default: True
        Shift each train by its unit's `unit_peak_shifts` before trains are compared.
    unit_peak_shifts : dict, optional
        Frames by unit id; positive ones shift a train back.
    delta_time, agreement_threshold, duplicate_threshold
        As for `find_redundant_units`.
    remove_strategy : str
        Must be "max_spikes": the others of SpikeInterface need waveforms.
    extra_outputs : bool, default: False
        Give also the pairs.

    Raises
    ------
    ContractError
        If the strategy is another, or shifts are missing.
    """
    if remove_strategy != "max_spikes":
        raise ContractError("a sorting has no waveforms: remove_strategy must be 'max_spikes'")
    if align and unit_peak_shifts is None:
        raise ContractError("align=True needs unit_peak_shifts")
    shifts = None
    if align and unit_peak_shifts is not None:
        shifts = np.array([unit_peak_shifts[unit_id] for unit_id in sorting.unit_ids])
    pairs = _pairs(sorting, shifts, delta_time, agreement_threshold, duplicate_threshold)
    counts = sorting.count_num_spikes_per_unit()
    removed = [one if counts[one] < counts[other] else other for one, other in pairs]
    kept = sorting.remove_units(removed)
    return (kept, pairs) if extra_outputs else kept


def _pairs(
    sorting: BaseSorting,
    shifts: AnyArray | None,
    delta_time: float,
    agreement_threshold: float,
    duplicate_threshold: float,
) -> list[tuple[Any, Any]]:
    if delta_time < 0:
        raise InvalidValueError(f"delta_time cannot be negative: {delta_time}")
    delta = int(delta_time / 1000 * sorting.sampling_frequency)
    counts = sorting.count_num_spikes_per_unit(outputs="array")

    def are_redundant(together: Any, one: Any, other: Any) -> Any:
        agreement = together / np.maximum(one + other - together, 1)
        share = together / np.maximum(np.minimum(one, other), 1)
        return (agreement >= agreement_threshold) & (share > duplicate_threshold)

    segments = [
        _aligned(*sorting.to_spike_columns(index), shifts)
        for index in range(sorting.get_num_segments())
    ]
    # Coincidences are counted faster than matches, which are never more.
    together = np.zeros((len(counts), len(counts)), dtype=np.int64)
    for samples, units in segments:
        together += _coincidences(samples, units, len(counts), delta)
    together = np.minimum(together, np.minimum.outer(counts, counts))
    possible = np.tril(are_redundant(together, counts[:, None], counts[None, :]), k=-1)
    pairs = []
    for one, other in np.argwhere(possible):
        trains = [(samples[units == one], samples[units == other]) for samples, units in segments]
        matches = sum(
            max(_matches(first, second, delta), _matches(second, first, delta))
            for first, second in trains
        )
        matches = min(matches, counts[other])  # bursts are matched more than once
        if are_redundant(matches, counts[one], counts[other]):
            pairs.append((sorting.unit_ids[one], sorting.unit_ids[other]))
    return pairs


def _aligned(
    samples: IntArray, units: IntArray, shifts: AnyArray | None
) -> tuple[IntArray, IntArray]:
    """The spikes of a segment in time order, each train shifted."""
    if shifts is None:
        return samples, units
    samples = samples - shifts.astype(np.int64)[units]
    order = np.argsort(samples, kind="stable")
    return samples[order], units[order]


def _coincidences(samples: IntArray, units: IntArray, count: int, delta: int) -> IntArray:
    """How often each two units fire within `delta` frames, int64, (units, units)."""
    together = np.zeros(count * count, dtype=np.int64)
    step = 1
    while step < len(samples):  # each spike with its next, next but one, ...
        close = samples[step:] - samples[:-step] <= delta
        if not close.any():
            break
        pairs = units[step:][close] * count + units[:-step][close]
        together += np.bincount(pairs, minlength=len(together))
        step += 1
    square = together.reshape(count, count)
    return square + square.T


def _matches(one: IntArray, other: IntArray, delta: int) -> int:
    """How many spikes of a train have a spike of another one that the last did not take."""
    count, taken = 0, -1
    first = np.searchsorted(other, one - delta, side="left")
    end = np.searchsorted(other, one + delta, side="right")
    for candidate, beyond in zip(first.tolist(), end.tolist(), strict=True):
        choice = candidate + (candidate == taken)
        if choice < beyond:
            count, taken = count + 1, choice
    return count
