"""Every read method, on SpikeInterface's sortings and on ours."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

BOUNDS = (None, 0, 1, 7, 700, 999.5, -3, -(2**41), 2**31, 2**52, 2**53 + 1, 10.0, np.int32(50))

NO_ARGUMENTS = {
    "unit_ids": lambda s: s.unit_ids,
    "get_unit_ids": lambda s: s.get_unit_ids(),
    "get_num_units": lambda s: s.get_num_units(),
    "get_num_segments": lambda s: s.get_num_segments(),
    "sampling_frequency": lambda s: s.sampling_frequency,
    "get_sampling_frequency": lambda s: s.get_sampling_frequency(),
    "repr": repr,
    "name": lambda s: s.name,
    "parent": lambda s: s.get_parent(),
    "vector": lambda s: s.to_spike_vector(),
    "vector_parts": lambda s: s.to_spike_vector(concatenated=False),
    "vector_slices": lambda s: s.to_spike_vector(return_slices=True),
    "vector_parts_slices": lambda s: s.to_spike_vector(concatenated=False, return_slices=True),
    "vector_list_of_channels": lambda s: s.to_spike_vector(main_channel_indices=[0]),
    "vector_channels": lambda s: s.to_spike_vector(
        main_channel_indices=np.arange(s.get_num_units()) * 3
    ),
    "vector_channels_by_id": lambda s: s.to_spike_vector(
        extremum_channel_inds=dict.fromkeys(s.unit_ids, 5)
    ),
    "reordered": lambda s: s.to_reordered_spike_vector(),
    "reordered_alone": lambda s: s.to_reordered_spike_vector(
        return_order=False, return_slices=False
    ),
    "reordered_order": lambda s: s.to_reordered_spike_vector(return_slices=False),
    "reordered_by_segment": lambda s: s.to_reordered_spike_vector(
        ("sample_index", "unit_index", "segment_index")
    ),
    "reordered_otherwise": lambda s: s.to_reordered_spike_vector(
        ("unit_index", "sample_index", "segment_index")
    ),
    "reordered_list": lambda s: s.to_reordered_spike_vector(
        ["sample_index", "segment_index", "unit_index"]
    ),
    "to_indices": lambda s: s.get_spike_vector_to_indices(),
    "precompute": lambda s: s.precompute_spike_trains(),
    "counts": lambda s: s.count_num_spikes_per_unit(),
    "counts_array": lambda s: s.count_num_spikes_per_unit(outputs="array"),
    "counts_wrong": lambda s: s.count_num_spikes_per_unit(outputs="list"),
    "counts_some": lambda s: s.count_num_spikes_per_unit(unit_ids=s.unit_ids[::-2]),
    "counts_some_array": lambda s: s.count_num_spikes_per_unit("array", s.unit_ids[:1]),
    "counts_unknown": lambda s: s.count_num_spikes_per_unit(unit_ids=[12345678]),
    "total": lambda s: s.count_total_num_spikes(),
    "has_recording": lambda s: s.has_recording(),
    "num_samples": lambda s: s.get_num_samples(0),
    "total_samples": lambda s: s.get_total_samples(),
    "total_duration": lambda s: s.get_total_duration(),
    "indices_of_all": lambda s: s.ids_to_indices(),
    "indices_of_all_slice": lambda s: s.ids_to_indices(prefer_slice=True),
    "indices_reversed": lambda s: s.ids_to_indices(s.unit_ids[::-1]),
    "indices_list": lambda s: s.ids_to_indices(
        list(s.unit_ids[:2]), prefer_slice=len(s.unit_ids) > 0
    ),
    "indices_repeated": lambda s: s.ids_to_indices(tuple(s.unit_ids[[0, 0]])),
    "indices_scalar": lambda s: s.ids_to_indices("a"),
    "indices_none_of": lambda s: s.ids_to_indices([]),
    "indices_unknown": lambda s: s.ids_to_indices(["nobody"]),
    "sorting_info": lambda s: s.sorting_info,
    "keys": lambda s: (s.get_property_keys(), s.get_annotation_keys()),
    "json": lambda s: [s.check_serializability(k) for k in ("json", "pickle", "memory")],
    "serializability": lambda s: s.check_serializability("yaml"),
}


@pytest.mark.parametrize("name", sorted(NO_ARGUMENTS))
def test_calls_without_arguments(pair: Any, name: str, compare: Callable[..., None]) -> None:
    compare(pair, NO_ARGUMENTS[name])


SEGMENT_CALLS = {
    "last_frame": lambda s, i: s.get_last_spike_frame(i),
    "start_time": lambda s, i: s.get_start_time(i),
    "end_time": lambda s, i: s.get_end_time(i),
    "times": lambda s, i: s.get_times(i),
    "has_time_vector": lambda s, i: s.has_time_vector(i),
    "to_time": lambda s, i: s.sample_index_to_time(np.array([3, 2**40]), i),
    "to_time_scalar": lambda s, i: s.sample_index_to_time(12345, i),
    "to_frame": lambda s, i: s.time_to_sample_index(1.23456, i),
    "half_to_even": lambda s, i: [s.time_to_sample_index(x / 60000, i) for x in (1, 3, 5)],
    "search": lambda s, i: s.search_cached_spikes_sorted([0, 500, 2**60], i),
}


# Calls for which SpikeInterface does not look at the index; see test_differences.py.
UNCHECKED_INDEX = {"times", "has_time_vector"}
UNCHECKED_NONE = {"to_frame", "half_to_even"}


@pytest.mark.parametrize("name", sorted(SEGMENT_CALLS))
@pytest.mark.parametrize("segment", [0, -1, 9, None])
def test_calls_of_a_segment(
    pair: Any, name: str, segment: int | None, compare: Callable[..., None]
) -> None:
    if name in (UNCHECKED_INDEX if segment == 9 else UNCHECKED_NONE if segment is None else ()):
        return
    compare(pair, lambda sorting: SEGMENT_CALLS[name](sorting, segment))


@pytest.mark.parametrize("use_cache", [True, False], ids=["cached", "uncached"])
def test_windows_of_trains(pair: Any, use_cache: bool, compare: Callable[..., None]) -> None:
    rng = np.random.default_rng(0)
    windows = list(itertools.product(BOUNDS, BOUNDS))
    if use_cache:
        pair.ours.precompute_spike_trains()
    for unit in pair.ours.unit_ids[:20]:
        for segment in range(pair.ours.get_num_segments()):
            for index in rng.choice(len(windows), 30, replace=False):
                start, end = windows[index]
                compare(
                    pair,
                    lambda s, unit=unit, segment=segment, start=start, end=end: (
                        s.get_unit_spike_train(unit, segment, start, end, use_cache=use_cache)
                    ),
                    (unit, segment, start, end),
                )


@pytest.mark.parametrize("shift", [0.0, 12.25, -3.0])
def test_windows_in_seconds(pair: Any, shift: float, compare: Callable[..., None]) -> None:
    compare(pair, lambda s: s.shift_times(shift))
    frames = (None, 0, 5, 700, -30, 2**31)
    seconds = (None, 0, 0.0, 0.01, 12.26, -2.99, 1e5)
    for unit in pair.ours.unit_ids[:4]:
        for segment in range(pair.ours.get_num_segments()):
            for start, end in itertools.product(frames, frames):
                compare(
                    pair,
                    lambda s, unit=unit, segment=segment, start=start, end=end: (
                        s.get_unit_spike_train(unit, segment, start, end, return_times=True)
                    ),
                    (unit, segment, start, end),
                )
            for start, end in itertools.product(seconds, seconds):
                compare(
                    pair,
                    lambda s, unit=unit, segment=segment, start=start, end=end: (
                        s.get_unit_spike_train_in_seconds(unit, segment, start, end)
                    ),
                    (unit, segment, start, end),
                )


WRONG_TRAINS = {
    "unknown_unit": lambda s: s.get_unit_spike_train("nobody", 0),
    "unknown_number": lambda s: s.get_unit_spike_train(-99, 0),
    "no_such_segment": lambda s: s.get_unit_spike_train(s.unit_ids[0], 9),
    "no_such_segment_uncached": lambda s: s.get_unit_spike_train(s.unit_ids[0], 9, use_cache=False),
    "segment_left_out": lambda s: s.get_unit_spike_train(s.unit_ids[0]),
    "equal_number": lambda s: s.get_unit_spike_train(float(s.unit_ids[0]), 0),
    "id_to_index": lambda s: s.id_to_index("nobody"),
    "id_to_index_of_true": lambda s: s.id_to_index(True),
    "num_samples_left_out": lambda s: s.get_num_samples(),
}


@pytest.mark.parametrize("name", sorted(WRONG_TRAINS))
@pytest.mark.parametrize("shape", ["ints", "strings", "one_segment", "uint16"])
def test_what_cannot_be_asked(
    shape: str, name: str, new_pair: Callable[[str], Any], compare: Callable[..., None]
) -> None:
    compare(new_pair(shape), WRONG_TRAINS[name])
