"""Functions on spike vectors: structured arrays ordered by segment, then sample."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from spikewire.core.dtypes import SPIKE_DTYPE, AnyArray, IntArray, SpikeVector
from spikewire.core.errors import InvalidTypeError, InvalidValueError
from spikewire.core.trains import SegmentTrains, narrowest
from spikewire.core.unit_ids import label_indices

_FIELDS = ("sample_index", "unit_index", "segment_index")


def check_spike_vector(spikes: Any, num_units: int) -> None:
    """Make sure that an array is a spike vector of a sorting of `num_units` units.

    Raises
    ------
    InvalidTypeError
        If it is not a flat structured array with integers in the three fields.
    InvalidValueError
        If it is not in order, or an index is out of range.
    """
    names = spikes.dtype.names or () if isinstance(spikes, np.ndarray) else ()
    if not set(_FIELDS) <= set(names) or spikes.ndim != 1:
        raise InvalidTypeError(
            "a spike vector is a flat structured array with the fields " + ", ".join(_FIELDS)
        )
    for name in _FIELDS:
        if spikes.dtype[name].kind not in "iu":
            raise InvalidTypeError(f"field {name} of a spike vector must hold integers")
    if len(spikes) == 0:
        return
    samples, units, segments = (spikes[name] for name in _FIELDS)
    if units.min() < 0 or units.max() >= num_units:
        raise InvalidValueError(f"a unit_index of the spike vector is outside [0, {num_units})")
    if segments[0] < 0:
        raise InvalidValueError("a segment_index of the spike vector is negative")
    same = segments[1:] == segments[:-1]
    ordered = (segments[1:] > segments[:-1]) | (same & (samples[1:] >= samples[:-1]))
    if not ordered.all():
        raise InvalidValueError(
            "the spike vector is not ordered by segment and sample; order it with "
            "spikes[np.lexsort((spikes['sample_index'], spikes['segment_index']))]"
        )


def spike_vector_of(columns: Sequence[tuple[AnyArray, AnyArray]]) -> SpikeVector:
    """The spike vector of samples and unit indices, given segment by segment."""
    spikes = np.empty(sum(len(samples) for samples, _ in columns), dtype=SPIKE_DTYPE)
    first = 0
    for segment_index, (samples, unit_indices) in enumerate(columns):
        part = spikes[first : first + len(samples)]
        part["sample_index"] = samples
        part["unit_index"] = unit_indices
        part["segment_index"] = segment_index
        first += len(samples)
    return spikes


def spike_vector_to_spike_trains(
    spike_vector: Sequence[SpikeVector], unit_ids: AnyArray
) -> dict[int, dict[Any, IntArray]]:
    """The trains in a list of spike vectors, one vector a segment.

    Returns
    -------
    dict of dict of int64, (spikes,)
        By segment index, then unit id.
    """
    trains = {}
    for segment_index, spikes in enumerate(spike_vector):
        by_unit = SegmentTrains.from_columns(
            spikes["sample_index"], spikes["unit_index"], len(unit_ids)
        )
        trains[segment_index] = _by_id(by_unit, unit_ids)
    return trains


def spike_vector_to_indices(
    spike_vector: Sequence[SpikeVector], unit_ids: AnyArray, absolute_index: bool = False
) -> dict[int, dict[Any, IntArray]]:
    """Where each unit's spikes lie in a list of spike vectors, one vector a segment.

    Parameters
    ----------
    spike_vector : list of structured array
    unit_ids : (units,)
    absolute_index : bool, default: False
        Count from the start of the whole vector instead of each segment's.

    Returns
    -------
    dict of dict of int64, (spikes,)
        By segment index, then unit id.
    """
    indices = {}
    base = 0
    for segment_index, spikes in enumerate(spike_vector):
        positions = np.arange(base, base + len(spikes), dtype=np.int64)
        by_unit = SegmentTrains.from_columns(positions, spikes["unit_index"], len(unit_ids))
        indices[segment_index] = _by_id(by_unit, unit_ids)
        if absolute_index:
            base += len(spikes)
    return indices


def _by_id(trains: SegmentTrains, unit_ids: AnyArray) -> dict[Any, IntArray]:
    return {unit_id: trains.train(index) for index, unit_id in enumerate(unit_ids)}


def reorder_spike_vector_by_unit_and_segment(
    spike_vector: SpikeVector, num_units: int, num_segments: int, unit_major: bool = True
) -> tuple[SpikeVector, IntArray, IntArray]:
    """Gather the spikes of each unit and segment; within each the order stays.

    Parameters
    ----------
    spike_vector : structured array, (spikes,)
    num_units, num_segments : int
    unit_major : bool, default: True
        Put all segments of a unit together; else all units of a segment.

    Returns
    -------
    ordered_spikes : structured array, (spikes,)
    order : int64, (spikes,)
        `spike_vector[order]` is `ordered_spikes`.
    counts : int64, (num_units * num_segments,)
        The number of spikes of each group.

    Raises
    ------
    InvalidValueError
        If an index is out of range.
    """
    units, segments = spike_vector["unit_index"], spike_vector["segment_index"]
    if num_units < 0 or num_segments < 0:
        raise InvalidValueError("numbers of units and segments cannot be negative")
    if len(spike_vector) and (
        units.min() < 0
        or units.max() >= num_units
        or segments.min() < 0
        or segments.max() >= num_segments
    ):
        raise InvalidValueError(
            f"a spike is outside of {num_units} units or {num_segments} segments"
        )
    groups = num_units * num_segments
    group = units * num_segments + segments if unit_major else segments * num_units + units
    order = np.argsort(narrowest(group, groups), kind="stable")
    counts = np.bincount(group, minlength=groups)
    return spike_vector[order], order, counts


def remap_unit_indices_in_vector(
    vector: SpikeVector, all_old_unit_ids: AnyArray, all_new_unit_ids: AnyArray
) -> tuple[SpikeVector, AnyArray]:
    """The spikes of some units, with indices among these units.

    Parameters
    ----------
    vector : structured array, (spikes,)
    all_old_unit_ids : (units,)
        What `unit_index` counts in `vector`.
    all_new_unit_ids : (kept units,)
        What it counts in the result; other units' spikes are left out.

    Returns
    -------
    new_vector : structured array, (kept spikes,)
    keep_mask : bool, (spikes,)
    """
    table = label_indices(np.asarray(all_old_unit_ids), np.asarray(all_new_unit_ids))
    new_indices = table[vector["unit_index"]]
    keep = new_indices >= 0
    kept = vector[keep]
    kept["unit_index"] = new_indices[keep]
    return kept, keep
