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
    counts = sorting.count_num_spikes_per_unit(outputs="array")
    together = _coincidences(sorting, shifts, int(delta_time / 1000 * sorting.sampling_frequency))
    together = np.minimum(together, np.minimum.outer(counts, counts))
    union = np.maximum(counts[:, None] + counts[None, :] - together, 1)
    least = np.maximum(np.minimum.outer(counts, counts), 1)
    redundant = (together / union >= agreement_threshold) & (together / least > duplicate_threshold)
    ids = sorting.unit_ids
    return [(ids[one], ids[other]) for one, other in np.argwhere(np.tril(redundant, k=-1))]


def _coincidences(sorting: BaseSorting, shifts: AnyArray | None, delta: int) -> IntArray:
    """How often each two units fire within `delta` frames, int64, (units, units)."""
    count = sorting.get_num_units()
    together = np.zeros(count * count, dtype=np.int64)
    for index in range(sorting.get_num_segments()):
        samples, units = sorting.to_spike_columns(index)
        if shifts is not None:
            samples = samples - shifts.astype(np.int64)[units]
            order = np.argsort(samples, kind="stable")
            samples, units = samples[order], units[order]
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
