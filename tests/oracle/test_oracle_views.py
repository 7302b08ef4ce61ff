"""Views, copies and constructors, on SpikeInterface's sortings and on ours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import spikeinterface as si
import spikeinterface.core.sorting_tools as si_tools

import spikewire as sw
import spikewire.core.spike_vector as sw_tools
from spikewire.core.periods import select_sorting_periods

FREQUENCY = 30000.0


def library(sorting: Any) -> Any:
    """The package whose sorting it is."""
    return sw if isinstance(sorting, sw.BaseSorting) else si


def described(sorting: Any) -> Any:
    """With properties and annotations of several kinds."""
    count = len(sorting.unit_ids)
    sorting.set_property("group", np.arange(count) % 3)
    sorting.set_property("depth", np.linspace(0, 1, count).astype(np.float32))
    sorting.set_property("label", [str(i) * (i % 4 + 1) for i in range(count)])
    sorting.annotate(rat="a", list=[1, {"b": None}])
    return sorting


SELECTIONS: dict[str, Callable[[Any], Any]] = {
    "backwards": lambda s: s.select_units(s.unit_ids[::-1]),
    "list": lambda s: s.select_units(list(s.unit_ids[:2])),
    "python_values": lambda s: s.select_units(s.unit_ids[1:].tolist()),
    "all": lambda s: s.select_units(None),
    "renamed": lambda s: s.select_units(s.unit_ids[:1], renamed_unit_ids=["new"]),
    "rename": lambda s: s.rename_units(np.arange(len(s.unit_ids)) + 100),
    "rename_too_few": lambda s: s.rename_units([]),
    "rename_alike": lambda s: s.rename_units([1] * len(s.unit_ids)),
    "unknown": lambda s: s.select_units(["nobody"]),
    "repeated": lambda s: s.select_units(s.unit_ids[[0, 0]]),
    "scalar": lambda s: s.select_units(5),
    "floats": lambda s: s.select_units([1.0, 2.0]),
    "renamed_wrongly": lambda s: s.select_units(s.unit_ids[:2], renamed_unit_ids=[1]),
    "remove": lambda s: s.remove_units(s.unit_ids[1:2]),
    "remove_unknown": lambda s: s.remove_units([987654]),
    "remove_scalar": lambda s: s.remove_units(s.unit_ids[0]),
    "remove_empty": lambda s: s.remove_empty_units(),
    "twice": lambda s: s.select_units(s.unit_ids[::-1]).select_units(s.unit_ids[1:]),
    "clone": lambda s: s.clone(),
    "clone_of_view": lambda s: s.select_units(s.unit_ids[::-1]).clone(),
    "split_by": lambda s: s.split_by("group"),
    "split_by_list": lambda s: s.split_by("label", outputs="list"),
    "split_by_nothing": lambda s: s.split_by("nothing"),
    "split_by_wrong": lambda s: s.split_by("group", outputs="tuple"),
    "numpy": lambda s: s.to_numpy_sorting(),
    "from_sorting": lambda s: library(s).NumpySorting.from_sorting(s, with_metadata=True),
    "copied": lambda s: library(s).NumpySorting.from_sorting(s, copy_spike_vector=True),
    "multiprocessing": lambda s: s.to_multiprocessing(1),
    "view_multiprocessing": lambda s: s.select_units(s.unit_ids).to_multiprocessing(1),
    "appended": lambda s: library(s).append_sortings([s, s]),
    "appended_others": lambda s: library(s).append_sortings([s, s.remove_units(s.unit_ids[:1])]),
    "first_segment": lambda s: library(s).select_segment_sorting(s, 0),
    "segments": lambda s: library(s).select_segment_sorting(s, [s.get_num_segments() - 1, 0]),
    "no_segment": lambda s: library(s).select_segment_sorting(s, [9]),
    "negative_segment": lambda s: library(s).select_segment_sorting(s, [-1]),
    "memory": lambda s: s.save(format="memory", sharedmem=False),
    "periods_none": lambda s: s.select_periods(None),
    "periods_list": lambda s: s.select_periods([(0, 0, 10, 0)]),
    "periods_shape": lambda s: s.select_periods(np.zeros((2, 3), dtype=np.int64)),
    "save_without_folder": lambda s: s.save(),
    "save_in_what": lambda s: s.save(format="floppy", folder="x"),
    "json": lambda s: s.dump("nowhere.json"),
    "pickle": lambda s: s.dump("nowhere.pkl"),
    "yaml": lambda s: s.dump("nowhere.yaml"),
}
# Views in which SpikeInterface puts spikes of the same sample in unit order.
REARRANGED = {"appended", "first_segment", "segments"}
# Shapes of which SpikeInterface makes ids of floats, for want of any.
FLOAT_IDS = {
    ("no_spikes", "remove_empty"),
    ("one_unit", "remove_scalar"),
}


@pytest.mark.parametrize("name", sorted(SELECTIONS))
@pytest.mark.parametrize(
    "shape",
    ["ints", "strings", "digits", "uint16", "one_segment", "empty_first", "all_tied", "no_spikes"],
)
def test_views_and_copies(
    shape: str, name: str, new_pair: Callable[[str], Any], compare: Callable[..., None]
) -> None:
    if (shape, name) in FLOAT_IDS:
        return
    pair = new_pair(shape)
    if name in REARRANGED:
        pair = _sorted_ties(pair)
    described(pair.theirs)
    described(pair.ours)
    compare(pair, SELECTIONS[name])


SLICES: dict[str, Callable[[Any], Any]] = {
    "middle": lambda s: s.frame_slice(100, 1500),
    "from_zero": lambda s: s.frame_slice(None, 700),
    "open": lambda s: s.frame_slice(300, None),
    "beyond": lambda s: s.frame_slice(300, 10**9),
    "reversed": lambda s: s.frame_slice(300, 200),
    "empty": lambda s: s.frame_slice(300, 300),
    "negative": lambda s: s.frame_slice(-1, 200),
    "after_everything": lambda s: s.frame_slice(10**7, None),
    "times": lambda s: s.time_slice(0.005, 0.04),
    "times_open": lambda s: s.time_slice(None, 0.04),
    "times_from_zero": lambda s: s.time_slice(0, None),
    "slice_of_slice": lambda s: s.frame_slice(100, 1500).frame_slice(50, 800),
    "units_of_slice": lambda s: s.frame_slice(100, 1500).select_units(s.unit_ids[::-1]),
    "start_time": lambda s: (s.shift_times(5.5), s.frame_slice(600, 900).get_start_time())[1],
    "seconds": lambda s: s.frame_slice(600, 1900).get_unit_spike_train(2, return_times=True),
    "concatenated": lambda s: library(s).concatenate_sortings(
        [s, s], total_samples_list=[2000] * 2
    ),
    "concatenated_window": lambda s: (
        library(s)
        .concatenate_sortings([s, s, s], total_samples_list=[2000, 2500, 2000])
        .get_unit_spike_train(4, start_frame=1900, end_frame=5100)
    ),
    "concatenated_num_samples": lambda s: (
        library(s).concatenate_sortings([s, s], total_samples_list=[2000] * 2).get_num_samples()
    ),
    "concatenated_too_short": lambda s: library(s).concatenate_sortings(
        [s, s], total_samples_list=[50, 2000]
    ),
    "concatenated_without_lengths": lambda s: library(s).concatenate_sortings([s, s]),
    "concatenated_wrong_lengths": lambda s: library(s).concatenate_sortings(
        [s, s], total_samples_list=[2000]
    ),
    "split_without_recording": lambda s: library(s).split_sorting(s),
    "split_by_what": lambda s: library(s).split_sorting(s, "recording"),
}


@pytest.mark.parametrize("name", sorted(SLICES))
def test_slices(name: str, new_pair: Callable[[str], Any], compare: Callable[..., None]) -> None:
    """Without ties, whose order SpikeInterface's slices lose."""
    compare(_without_ties(new_pair("one_segment")), SLICES[name])


def _without_ties(pair: Any) -> Any:
    spikes = pair.ours.to_spike_vector()
    first = np.unique(spikes["sample_index"], return_index=True)[1]
    kept = spikes[first].copy()
    ids = pair.ours.unit_ids
    return type(pair)(
        si.NumpySorting(kept, FREQUENCY, ids), sw.NumpySorting(kept.copy(), FREQUENCY, ids)
    )


def test_slicing_several_segments(
    new_pair: Callable[[str], Any], compare: Callable[..., None]
) -> None:
    for call in (
        lambda s: s.frame_slice(0, 10),
        lambda s: s.time_slice(0, 1),
        lambda s: library(s).split_sorting(s, []),
        lambda s: library(s).concatenate_sortings([s, s], total_samples_list=[10**4] * 2),
    ):
        compare(new_pair("ints"), call)


AGGREGATIONS: dict[str, Callable[[Any], Any]] = {
    "same_ids": lambda s: [s, s],
    "other_ids": lambda s: [s, s.rename_units(np.arange(4) + 50)],
    "mixed_ids": lambda s: [s, s.rename_units(list("abcd"))],
    "dict": lambda s: {"x": s, "y": s.rename_units(np.arange(4) + 50)},
    "different_segments": lambda s: [s, library(s).select_segment_sorting(s, 0)],
    "one_lacks_a_float": lambda s: [s, without(s, "depth")],
    "one_lacks_a_text": lambda s: [s, without(s, "label")],
    "one_lacks_an_int": lambda s: [s, without(s, "group")],
    "other_kind": lambda s: [s, with_property(s, "group", list("abcd"))],
    "other_annotation": lambda s: [s, annotated(s, rat="b")],
    "one_has_channels": lambda s: [s, with_property(s, "main_channel_id", [1, 2, 3, 4])],
}


def without(sorting: Any, key: str) -> Any:
    other = sorting.clone()
    other.delete_property(key)
    return other


def with_property(sorting: Any, key: str, values: Any) -> Any:
    other = sorting.clone()
    other.set_property(key, values)
    return other


def annotated(sorting: Any, **annotations: Any) -> Any:
    other = sorting.clone()
    other.annotate(**annotations)
    return other


@pytest.mark.parametrize("name", sorted(AGGREGATIONS))
def test_aggregations(
    name: str, new_pair: Callable[[str], Any], compare: Callable[..., None]
) -> None:
    pair = _sorted_ties(new_pair("ints"))
    described(pair.theirs)
    described(pair.ours)
    compare(pair, lambda s: library(s).aggregate_units(AGGREGATIONS[name](s)))


def _sorted_ties(pair: Any) -> Any:
    """Ties in unit order: SpikeInterface's aggregations know no other."""
    spikes = pair.ours.to_spike_vector()
    order = np.lexsort((spikes["unit_index"], spikes["sample_index"], spikes["segment_index"]))
    ids = pair.ours.unit_ids
    kept = spikes[order].copy()
    return type(pair)(
        si.NumpySorting(kept, FREQUENCY, ids), sw.NumpySorting(kept.copy(), FREQUENCY, ids)
    )


@pytest.mark.parametrize(
    ("renamed", "max_diff"), [(list("abcdefgh"), 0), ([1] * 8, 0), ([1, 2], 0), (None, -1)]
)
def test_aggregation_arguments(
    renamed: Any, max_diff: float, new_pair: Callable[[str], Any], compare: Callable[..., None]
) -> None:
    compare(
        _sorted_ties(new_pair("ints")),
        lambda s: library(s).aggregate_units([s, s], renamed, max_diff),
    )


SAMPLES = np.array([5, 3, 3, 90, 4, 3])
LABELS = np.array([2, 1, 7, 1, 2, 1])
TEXT = np.array(["b", "a", "c", "a", "b", "a"])
PEAKS = np.zeros(
    5, dtype=[("sample_index", "i8"), ("channel_index", "i8"), ("segment_index", "i8")]
)
PEAKS["sample_index"] = [9, 3, 3, 1, 2]
PEAKS["channel_index"] = [0, 2, 1, 2, 0]
PEAKS["segment_index"] = [0, 0, 0, 1, 1]

CONSTRUCTORS: dict[str, Callable[[Any], Any]] = {
    "one_segment": lambda n: n.from_samples_and_labels(SAMPLES, LABELS, FREQUENCY),
    "segments": lambda n: n.from_samples_and_labels([SAMPLES, SAMPLES], [LABELS, LABELS], 1e4),
    "text": lambda n: n.from_samples_and_labels([SAMPLES], [TEXT], FREQUENCY),
    "ids": lambda n: n.from_samples_and_labels([SAMPLES], [LABELS], FREQUENCY, [7, 2, 1]),
    "silent_ids": lambda n: n.from_samples_and_labels([SAMPLES], [LABELS], 1.0, [7, 9, 2, 1]),
    "fractions": lambda n: n.from_samples_and_labels([SAMPLES + 0.7], [LABELS], FREQUENCY),
    "float_labels": lambda n: n.from_samples_and_labels([SAMPLES], [LABELS + 0.5], FREQUENCY),
    "array_and_list": lambda n: n.from_samples_and_labels(SAMPLES, [LABELS], FREQUENCY),
    "lists": lambda n: n.from_samples_and_labels([[1, 2]], [[3, 4]], FREQUENCY),
    "text_frequency": lambda n: n.from_samples_and_labels(SAMPLES, LABELS, "30000"),
    "zero_frequency": lambda n: n.from_samples_and_labels(SAMPLES, LABELS, 0),
    "seconds": lambda n: n.from_times_and_labels(SAMPLES / 7, LABELS, FREQUENCY),
    "seconds_segments": lambda n: n.from_times_and_labels([SAMPLES / 7], [LABELS], FREQUENCY),
    "seconds_bare_list": lambda n: n.from_times_and_labels([0.1, 0.2], [1, 2], FREQUENCY),
    "dict": lambda n: n.from_unit_dict({7: SAMPLES, 2: np.array([3, 5])}, FREQUENCY),
    "dicts": lambda n: n.from_unit_dict(
        [{"a": SAMPLES, "b": np.array([3])}, {"b": np.array([9]), "a": np.array([9])}], FREQUENCY
    ),
    "dict_lacks_unit": lambda n: n.from_unit_dict([{1: SAMPLES}, {2: SAMPLES}], FREQUENCY),
    "peaks": lambda n: n.from_peaks(PEAKS, FREQUENCY, ["x", "y", "z"]),
    "float_ids": lambda n: n(np.zeros(0, dtype=sw.minimum_spike_dtype), FREQUENCY, [1.5]),
    "bool_ids": lambda n: n(np.zeros(0, dtype=sw.minimum_spike_dtype), FREQUENCY, [True]),
    "object_ids": lambda n: n(np.zeros(0, dtype=sw.minimum_spike_dtype), FREQUENCY, [None]),
    "huge_ids": lambda n: n(np.zeros(0, dtype=sw.minimum_spike_dtype), FREQUENCY, [1, 2**63]),
    "mixed_ids": lambda n: n(np.zeros(0, dtype=sw.minimum_spike_dtype), FREQUENCY, [1, "a"]),
    "bad_frequency": lambda n: n(np.zeros(0, dtype=sw.minimum_spike_dtype), "fast", [1]),
    "no_frequency": lambda n: n(np.zeros(0, dtype=sw.minimum_spike_dtype), None, [1]),
}


@pytest.mark.parametrize("name", sorted(CONSTRUCTORS))
def test_constructors(
    name: str, new_pair: Callable[[str], Any], compare: Callable[..., None]
) -> None:
    pair = new_pair("ints")
    classes = type(pair)(si.NumpySorting, sw.NumpySorting)
    compare(classes, CONSTRUCTORS[name])


METHODS: dict[str, dict[str, Any]] = {
    "uniform": {},
    "few": {"max_spikes_per_unit": 10},
    "all": {"method": "all"},
    "percentage": {"method": "percentage", "percentage": 0.3},
    "too_much": {"method": "percentage", "percentage": 1.3},
    "no_percentage": {"method": "percentage"},
    "rate": {"method": "maximum_rate", "maximum_rate": 200.0},
    "no_rate": {"method": "maximum_rate"},
    "margin": {"margin_size": 300, "num_samples": [2000, 2000]},
    "margin_alone": {"margin_size": 300},
    "else": {"method": "other"},
}


@pytest.mark.parametrize("name", sorted(METHODS))
def test_random_spikes(
    name: str, new_pair: Callable[[str], Any], compare: Callable[..., None]
) -> None:
    for shape in ("ints", "silent_units", "one_segment"):
        compare(
            new_pair(shape),
            lambda s: library(s).random_spikes_selection(s, seed=7, **METHODS[name]),
        )


def test_functions_of_spike_vectors(pair: Any, compare: Callable[..., None]) -> None:
    def tools(sorting: Any) -> Any:
        return sw_tools if library(sorting) is sw else si_tools

    for call in (
        lambda s: library(s).spike_vector_to_spike_trains(
            s.to_spike_vector(concatenated=False), s.unit_ids
        ),
        lambda s: library(s).spike_vector_to_indices(
            s.to_spike_vector(concatenated=False), s.unit_ids
        ),
        lambda s: library(s).spike_vector_to_indices(
            s.to_spike_vector(concatenated=False), s.unit_ids, absolute_index=True
        ),
        lambda s: tools(s).remap_unit_indices_in_vector(
            s.to_spike_vector(), s.unit_ids, s.unit_ids[::-2]
        )[0],
        lambda s: tools(s).reorder_spike_vector_by_unit_and_segment(
            s.to_spike_vector(), s.get_num_units(), s.get_num_segments()
        ),
        lambda s: tools(s).reorder_spike_vector_by_unit_and_segment(
            s.to_spike_vector(), s.get_num_units(), s.get_num_segments(), unit_major=False
        ),
        lambda s: tools(s).reorder_spike_vector_by_unit_and_segment(s.to_spike_vector(), 1, -1),
    ):
        compare(pair, call)


def test_periods(new_pair: Callable[[str], Any], compare: Callable[..., None]) -> None:
    rng = np.random.default_rng(3)
    periods = np.zeros(30, dtype=sw.unit_period_dtype)
    periods["segment_index"] = rng.integers(0, 2, 30)
    periods["start_sample_index"] = rng.integers(0, 2000, 30)
    periods["end_sample_index"] = periods["start_sample_index"] + rng.integers(-20, 200, 30)
    periods["unit_index"] = rng.integers(0, 5, 30)
    pair = new_pair("ints")
    compare(pair, lambda s: s.select_periods(periods).to_spike_vector())
    plain = np.stack([periods[name] for name in periods.dtype.names], axis=1)
    compare(pair, lambda s: s.select_periods(plain).to_spike_vector())
    with pytest.warns(UserWarning, match="segment_index"):
        select_sorting_periods(pair.ours, plain)
