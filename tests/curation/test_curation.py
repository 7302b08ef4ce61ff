"""Curation beyond what SpikeInterface can be asked without its extras."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import spikewire as sw
from spikewire import curation

FREQUENCY = 10_000.0


def make(trains: dict[Any, list[int]]) -> sw.NumpySorting:
    return sw.NumpySorting.from_unit_dict(
        {unit: np.array(train) for unit, train in trains.items()}, FREQUENCY
    )


@given(st.lists(st.integers(0, 60), max_size=30), st.integers(0, 9))
def test_iterative_duplicates(samples: list[int], period: int) -> None:
    """Greedy: a spike goes if one that is kept lies too close before (or after) it."""
    train = np.array(sorted(samples), dtype=np.int64)
    for method, backwards in (("keep_first_iterative", False), ("keep_last_iterative", True)):
        kept: list[int] = []
        order = range(len(train))[:: -1 if backwards else 1]
        for index in order:
            if not kept or abs(train[index] - train[kept[-1]]) > period:
                kept.append(index)
        found = curation.find_duplicated_spikes(train, period, method)
        assert found.tolist() == sorted(set(order) - set(kept))
        rest = np.delete(train, found)
        assert np.all(np.diff(rest) > period)


def test_random_duplicates_are_the_same_each_time() -> None:
    sorting = make({1: list(range(0, 400, 2))})
    views = [
        curation.remove_duplicated_spikes(sorting, censored_period_ms=0.3, method="random")
        for _ in range(2)
    ]
    sw.check_sortings_equal(*views)
    train = views[0].get_unit_spike_train(1)
    assert np.all(np.diff(train) > 3)
    windowed = views[1].get_unit_spike_train(1, 0, 100, 200, use_cache=False)
    assert windowed.tolist() == train[(train >= 100) & (train < 200)].tolist()


def test_windows_of_merges_see_the_spike_before() -> None:
    """A spike that is left out for one before the window is left out in the window too."""
    sorting = make({1: [100, 300], 2: [103, 302]})
    merged = curation.MergeUnitsSorting(sorting, [1, 2], delta_time_ms=0.4)
    assert merged.get_unit_spike_train(3).tolist() == [100, 300]
    assert merged.get_unit_spike_train(3, 0, 102, 400, use_cache=False).tolist() == [300]


def test_properties_of_lazy_merges() -> None:
    sorting = make({1: [1], 2: [2], 3: [3]})
    sorting.set_property("same", [5, 5, 5])
    sorting.set_property("number", [1, 2, 3])
    sorting.set_property("rows", np.arange(6.0).reshape(3, 2))
    merged = curation.MergeUnitsSorting(sorting, [[1, 2]])
    assert merged.unit_ids.tolist() == [3, 4]
    assert merged.get_property("same").tolist() == [5, 5]
    assert merged.get_property("number").tolist() == [3, None]
    assert merged.get_property("rows")[0].tolist() == [4.0, 5.0]
    assert np.isnan(merged.get_property("rows")[1]).all()
    bare = curation.MergeUnitsSorting(sorting, [[1, 2]], properties_policy="remove")
    assert bare.get_property_keys() == []


@pytest.mark.parametrize(
    "view",
    [
        lambda s: curation.MergeUnitsSorting(s, [["1", "3"]], delta_time_ms=None),
        lambda s: curation.SplitUnitSorting(
            s, "2", [np.arange(len(s.get_unit_spike_train("2", i))) % 2 for i in range(2)]
        ),
        lambda s: curation.remove_duplicated_spikes(s, censored_period_ms=5.0),
    ],
)
def test_views_are_dumped(view: Any, tmp_path: Path) -> None:
    sw.NpzSortingExtractor.write_sorting(sw.generate_sorting(seed=0), tmp_path / "spikes.npz")
    made = view(sw.NpzSortingExtractor(tmp_path / "spikes.npz"))
    made.dump(tmp_path / "dump.json")
    loaded = sw.load(tmp_path / "dump.json")
    assert type(loaded) is type(made)
    sw.check_sortings_equal(loaded, made)


def test_redundant_units() -> None:
    rng = np.random.default_rng(0)
    base = np.unique(rng.integers(0, 1_000_000, 500))
    others = np.unique(rng.integers(0, 1_000_000, 500))
    sorting = make(
        {
            "a": base.tolist(),
            "b": others.tolist(),
            "copy": (base[:450] + 2).tolist(),
            "late": (base + 30).tolist(),
        }
    )
    assert curation.find_redundant_units(sorting) == [("copy", "a")]
    kept, pairs = curation.remove_redundant_units(
        sorting, align=False, remove_strategy="max_spikes", extra_outputs=True
    )
    assert pairs == [("copy", "a")]
    assert kept.unit_ids.tolist() == ["a", "b", "late"]
    shifts = {"a": 0, "b": 0, "copy": 2, "late": 30}
    kept = curation.remove_redundant_units(
        sorting, unit_peak_shifts=shifts, delta_time=0.0, remove_strategy="max_spikes"
    )
    assert kept.unit_ids.tolist() == ["b", "late"]
    for arguments in ({}, {"remove_strategy": "max_spikes"}):
        with pytest.raises(AssertionError):
            curation.remove_redundant_units(sorting, **arguments)


def test_units_that_burst_are_not_redundant() -> None:
    """Many coincidences of few spikes do not make a copy."""
    sorting = make({1: [100, 101, 102, 103], 2: [100, *range(1000, 100_000, 1000)]})
    assert curation.find_redundant_units(sorting) == []


def test_the_graph_of_a_history() -> None:
    session = curation.CurationSorting(make({1: [1], 2: [5], 3: [9]}), make_graph=True)
    session.merge([1, 2])
    session.rename(["x", "y"])
    assert session.graph == [
        ((3, 0), (3, 1)),
        ((1, 0), (4, 1)),
        ((2, 0), (4, 1)),
        ((3, 1), ("x", 2)),
        ((4, 1), ("y", 2)),
    ]
    session.undo()
    assert len(session.graph) == 3
    with pytest.raises(AssertionError, match="make_graph"):
        curation.CurationSorting(make({1: [1]})).graph  # noqa: B018


def test_several_curations_in_a_row() -> None:
    sorting = make({1: [1], 2: [5], 3: [9]})
    steps = [
        {"format_version": "2", "unit_ids": [1, 2, 3], "removed": [2]},
        {"format_version": "2", "unit_ids": [1, 3], "merges": {7: [1, 3]}},
    ]
    assert curation.apply_curation(sorting, steps).unit_ids.tolist() == [7]
    with pytest.raises(ValueError, match="other units"):
        curation.apply_curation(sorting, steps[::-1])


values = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 5) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "format_version": st.sampled_from(["1", "2"]) | values,
            "unit_ids": st.just([1, 2, 3]) | values,
            "label_definitions": st.just({"q": {"label_options": ["a", "b"], "exclusive": True}})
            | values,
            "manual_labels": st.just([{"unit_id": 1, "q": ["a"]}]) | values,
            "merges": st.just([[1, 2]]) | values,
            "splits": st.just([{"unit_id": 3, "indices": [[0]]}]) | values,
            "removed": values,
            "merge_unit_groups": values,
            "removed_units": values,
        },
    )
)
def test_any_curation_is_applied_or_refused(dump: dict[str, Any]) -> None:
    sorting = make({1: [1, 4], 2: [5], 3: [9, 12, 30]})
    try:
        curation.validate_curation_dict(json.loads(json.dumps(dump)))
    except sw.errors.InvalidValueError:
        return
    try:
        curated = curation.apply_curation(sorting, dump)
    except sw.SpikewireError:
        return
    assert curated.count_total_num_spikes() <= 6
