"""Merges, splits and cleaning, on SpikeInterface's sortings and on ours."""

from __future__ import annotations

import copy
import json
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import spikeinterface as si

import spikewire as sw
from spikewire import curation as sw_curation

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from spikeinterface import curation as si_curation


def curation(sorting: Any) -> Any:
    return sw_curation if isinstance(sorting, sw.BaseSorting) else si_curation


def library(sorting: Any) -> Any:
    return sw if isinstance(sorting, sw.BaseSorting) else si


def described(pair: Any) -> Any:
    """With ties in unit order, which SpikeInterface's merges leave, and properties."""
    spikes = pair.ours.to_spike_vector()
    order = np.lexsort((spikes["unit_index"], spikes["sample_index"], spikes["segment_index"]))
    made = type(pair)(
        si.NumpySorting(spikes[order].copy(), 30000.0, pair.ours.unit_ids),
        sw.NumpySorting(spikes[order].copy(), 30000.0, pair.ours.unit_ids),
    )
    count = pair.ours.get_num_units()
    for sorting in (made.theirs, made.ours):
        sorting.set_property("same", ["x"] * count)
        sorting.set_property("depth", np.arange(count) * 1.5)
        sorting.set_property("label", [f"l{i}" for i in range(count)])
        sorting.set_property("number", np.ones(count, dtype=np.int16))
        sorting.set_property("channel", np.arange(count) + 10)
    return made


def ids(sorting: Any, *indices: int) -> list[Any]:
    return [sorting.unit_ids[index] for index in indices]


MERGES: dict[str, Callable[[Any], Any]] = {
    "two": lambda s: library(s).apply_merges_to_sorting(s, [ids(s, 0, 2)]),
    "three": lambda s: library(s).apply_merges_to_sorting(s, [ids(s, 0, 2, 1)]),
    "two_groups": lambda s: library(s).apply_merges_to_sorting(s, [ids(s, 0, 1), ids(s, 3, 2)]),
    "extra": lambda s: library(s).apply_merges_to_sorting(s, [ids(s, 0, 1)], return_extra=True),
    "censored": lambda s: library(s).apply_merges_to_sorting(
        s, [ids(s, 0, 1, 2)], censor_ms=0.4, return_extra=True
    )[1],
    "first": lambda s: library(s).apply_merges_to_sorting(
        s, [ids(s, 1, 0)], new_id_strategy="take_first"
    ),
    "joined": lambda s: library(s).apply_merges_to_sorting(
        s, [ids(s, 1, 0)], new_id_strategy="join"
    ),
    "unknown_strategy": lambda s: library(s).apply_merges_to_sorting(
        s, [ids(s, 1, 0)], new_id_strategy="best"
    ),
    "own_id": lambda s: library(s).apply_merges_to_sorting(s, [ids(s, 1, 0)], ids(s, 0)),
    "others_id": lambda s: library(s).apply_merges_to_sorting(s, [ids(s, 1, 0)], ids(s, 2)),
    "one_unit": lambda s: library(s).apply_merges_to_sorting(s, [ids(s, 1)]),
    "unknown": lambda s: library(s).apply_merges_to_sorting(s, [[s.unit_ids[0], 4711]], [9]),
    "ids_too_few": lambda s: library(s).apply_merges_to_sorting(
        s, [ids(s, 0, 1), ids(s, 2, 3)], [77]
    ),
    "view": lambda s: curation(s).MergeUnitsSorting(s, [ids(s, 0, 2)]),
    "view_groups": lambda s: curation(s).MergeUnitsSorting(s, [ids(s, 0, 1), ids(s, 3, 2)]),
    "view_flat": lambda s: curation(s).MergeUnitsSorting(s, ids(s, 3, 1)),
    "view_own_id": lambda s: curation(s).MergeUnitsSorting(s, [ids(s, 0, 2)], ids(s, 0)),
    "view_all_spikes": lambda s: curation(s).MergeUnitsSorting(
        s, [ids(s, 0, 1, 2)], delta_time_ms=None
    ),
    "view_wide": lambda s: curation(s).MergeUnitsSorting(s, [ids(s, 0, 1, 2)], delta_time_ms=1.0),
    "view_policy": lambda s: curation(s).MergeUnitsSorting(
        s, [ids(s, 0, 1)], properties_policy="guess"
    ),
    "view_unknown": lambda s: curation(s).MergeUnitsSorting(s, [[s.unit_ids[0], 4711]]),
}


@pytest.mark.parametrize("name", sorted(MERGES))
@pytest.mark.parametrize("shape", ["ints", "strings", "digits4", "silent_units", "all_tied4"])
def test_merges(
    shape: str, name: str, new_pair: Callable[[str], Any], compare: Callable[..., None]
) -> None:
    compare(_shaped(new_pair, shape), MERGES[name])


def _shaped(new_pair: Callable[[str], Any], shape: str) -> Any:
    """A pair of four units."""
    if shape == "digits4":
        pair = new_pair("ints")
        return described(
            type(pair)(None, pair.ours.rename_units(["7", "10", "2", "3"]).to_numpy_sorting())
        )
    if shape == "all_tied4":
        pair = new_pair("ints")
        spikes = pair.ours.to_spike_vector().copy()
        spikes["sample_index"] //= 100
        return described(type(pair)(None, sw.NumpySorting(spikes, 30000.0, [1, 2, 3, 4])))
    return described(new_pair(shape))


def halves(sorting: Any, unit_id: Any, parts: int = 2) -> list[Any]:
    count = sorting.count_num_spikes_per_unit()[unit_id]
    return [np.arange(count)[part::parts] for part in range(parts)]


def numbers(sorting: Any, unit_id: Any, parts: int = 2) -> list[Any]:
    return [
        np.arange(len(sorting.get_unit_spike_train(unit_id, index))) % parts
        for index in range(sorting.get_num_segments())
    ]


SPLITS: dict[str, Callable[[Any], Any]] = {
    "one": lambda s: library(s).apply_splits_to_sorting(
        s, {s.unit_ids[1]: halves(s, s.unit_ids[1])}
    ),
    "two": lambda s: library(s).apply_splits_to_sorting(
        s, {unit: halves(s, unit, 3) for unit in ids(s, 2, 1)}
    ),
    "extra": lambda s: library(s).apply_splits_to_sorting(
        s, {s.unit_ids[1]: halves(s, s.unit_ids[1])}, return_extra=True
    ),
    "split_names": lambda s: library(s).apply_splits_to_sorting(
        s, {s.unit_ids[1]: halves(s, s.unit_ids[1])}, new_id_strategy="split"
    ),
    "unknown_strategy": lambda s: library(s).apply_splits_to_sorting(
        s, {s.unit_ids[1]: halves(s, s.unit_ids[1])}, new_id_strategy="join"
    ),
    "given": lambda s: library(s).apply_splits_to_sorting(
        s, {s.unit_ids[1]: halves(s, s.unit_ids[1])}, new_unit_ids=[[55, 56]]
    ),
    "given_too_few": lambda s: library(s).apply_splits_to_sorting(
        s, {s.unit_ids[1]: halves(s, s.unit_ids[1])}, new_unit_ids=[[55]]
    ),
    "given_others": lambda s: library(s).apply_splits_to_sorting(
        s, {s.unit_ids[1]: halves(s, s.unit_ids[1])}, new_unit_ids=[ids(s, 0, 2)]
    ),
    "not_all_spikes": lambda s: library(s).apply_splits_to_sorting(s, {s.unit_ids[1]: [[0], [1]]}),
    "one_part": lambda s: library(s).apply_splits_to_sorting(
        s, {s.unit_ids[1]: halves(s, s.unit_ids[1], 1)}
    ),
    "no_list": lambda s: library(s).apply_splits_to_sorting(s, {s.unit_ids[1]: "ab"}),
    "view": lambda s: curation(s).SplitUnitSorting(s, s.unit_ids[2], numbers(s, s.unit_ids[2])),
    "view_three": lambda s: curation(s).SplitUnitSorting(
        s, s.unit_ids[2], numbers(s, s.unit_ids[2], 3)
    ),
    "view_some": lambda s: curation(s).SplitUnitSorting(
        s, s.unit_ids[2], numbers(s, s.unit_ids[2], 3), new_unit_ids=[s.unit_ids.dtype.type(77)]
    ),
    "view_others": lambda s: curation(s).SplitUnitSorting(
        s, s.unit_ids[2], numbers(s, s.unit_ids[2]), new_unit_ids=ids(s, 0, 1)
    ),
    "view_alike": lambda s: curation(s).SplitUnitSorting(
        s, s.unit_ids[2], numbers(s, s.unit_ids[2]), new_unit_ids=[88, 88]
    ),
    "view_segments": lambda s: curation(s).SplitUnitSorting(
        s, s.unit_ids[2], numbers(s, s.unit_ids[2])[:1]
    ),
    "view_policy": lambda s: curation(s).SplitUnitSorting(
        s, s.unit_ids[2], numbers(s, s.unit_ids[2]), properties_policy="guess"
    ),
}


@pytest.mark.parametrize("name", sorted(SPLITS))
@pytest.mark.parametrize("shape", ["ints", "digits4", "all_tied4"])
def test_splits(
    shape: str, name: str, new_pair: Callable[[str], Any], compare: Callable[..., None]
) -> None:
    if (shape, name) == ("digits4", "given"):
        return  # integers among text, which SpikeInterface makes text without a word
    compare(_shaped(new_pair, shape), SPLITS[name])


def test_main_channels_of_merges(
    new_pair: Callable[[str], Any], compare: Callable[..., None]
) -> None:
    pair = _shaped(new_pair, "ints")
    for sorting in (pair.theirs, pair.ours):
        sorting.set_property("main_channel_id", list("abcd"))
    for group in ([1, 2], [4, 1, 3]):
        compare(pair, lambda s, g=group: library(s).apply_merges_to_sorting(s, [g]))


@pytest.mark.parametrize("method", ["keep_first", "keep_last"])
@pytest.mark.parametrize("period", [0.0, 0.3, 2.0])
def test_duplicates(
    method: str, period: float, new_pair: Callable[[str], Any], compare: Callable[..., None]
) -> None:
    for shape in ("ints", "all_tied4"):
        compare(
            _shaped(new_pair, shape),
            lambda s: curation(s).remove_duplicated_spikes(
                s, censored_period_ms=period, method=method
            ),
        )


@pytest.mark.parametrize("method", ["keep_first", "keep_last", "random", "other"])
@pytest.mark.parametrize("seed", [3, None])
def test_finding_duplicates(
    method: str, seed: int | None, new_pair: Callable[[str], Any], compare: Callable[..., None]
) -> None:
    trains = [np.array([]), np.array([5]), np.array([1, 2, 3, 20, 22, 30, 30, 31, 90])]
    for train in trains:
        for period in (0, 1, 5):
            compare(
                new_pair("ints"),
                lambda s, train=train, period=period: curation(s).find_duplicated_spikes(
                    train.astype(np.int64), period, method=method, seed=seed
                ),
                (train, period),
            )


def test_excess_spikes(new_pair: Callable[[str], Any], compare: Callable[..., None]) -> None:
    for shape in ("ints", "negative"):
        for length in (500, 5000):
            traces = [np.zeros((length, 1), dtype=np.float32)] * 2
            recording = si.NumpyRecording(traces, 30000.0)
            compare(new_pair(shape), lambda s, r=recording: curation(s).remove_excess_spikes(s, r))
    compare(new_pair("ints"), lambda s: curation(s).remove_excess_spikes(s))


def run(sorting: Any, *steps: Callable[[Any], Any]) -> Any:
    session = curation(sorting).CurationSorting(sorting)
    for step in steps:
        step(session)
    return session.sorting, session.undo_available()


HISTORIES: dict[str, tuple[Callable[[Any], Any], ...]] = {
    "merge": (lambda c: c.merge(ids(c.sorting, 0, 1)),),
    "merge_twice": (
        lambda c: c.merge(ids(c.sorting, 0, 1)),
        lambda c: c.merge(ids(c.sorting, 0, -1)),
    ),
    "merge_as": (lambda c: c.merge(ids(c.sorting, 0, 1), new_unit_id=c.sorting.unit_ids[0]),),
    "merge_as_other": (lambda c: c.merge(ids(c.sorting, 0, 1), new_unit_id=c.sorting.unit_ids[2]),),
    "split": (lambda c: c.split(c.sorting.unit_ids[0], numbers(c.sorting, c.sorting.unit_ids[0])),),
    "remove": (lambda c: c.remove_unit(c.sorting.unit_ids[1]),),
    "remove_several": (lambda c: c.remove_units(ids(c.sorting, 1, 0)),),
    "rename": (lambda c: c.rename(list("abcd")),),
    "select": (lambda c: c.select_units(ids(c.sorting, 2, 0)),),
    "remove_empty": (lambda c: c.remove_empty_units(),),
    "undo": (lambda c: c.merge(ids(c.sorting, 0, 1)), lambda c: c.undo()),
    "undo_nothing": (lambda c: c.undo(),),
    "redo": (
        lambda c: c.merge(ids(c.sorting, 0, 1)),
        lambda c: c.remove_unit(c.sorting.unit_ids[0]),
        lambda c: c.undo(),
        lambda c: c.undo(),
        lambda c: c.redo(),
    ),
    "new_future": (
        lambda c: c.merge(ids(c.sorting, 0, 1)),
        lambda c: c.undo(),
        lambda c: c.remove_unit(c.sorting.unit_ids[0]),
    ),
}


@pytest.mark.parametrize("name", sorted(HISTORIES))
@pytest.mark.parametrize("shape", ["ints", "digits4"])
def test_histories(
    shape: str, name: str, new_pair: Callable[[str], Any], compare: Callable[..., None]
) -> None:
    if shape == "digits4" and name in ("remove", "remove_several"):
        return  # text ids become narrower there
    compare(_shaped(new_pair, shape), lambda s: run(s, *HISTORIES[name]))


CURATION_1 = {
    "format_version": "1",
    "unit_ids": [1, 2, 3, 4],
    "label_definitions": {
        "quality": {"label_options": ["good", "noise", "MUA"], "exclusive": True},
        "others": {"label_options": ["excitatory", "bursting"], "exclusive": False},
    },
    "manual_labels": [
        {"unit_id": 1, "quality": ["good"]},
        {"unit_id": 2, "quality": ["noise"], "others": ["excitatory", "bursting"]},
    ],
    "merge_unit_groups": [[3, 4]],
    "removed_units": [2],
}
CURATION_2 = {
    "format_version": "2",
    "unit_ids": [1, 2, 3, 4],
    "label_definitions": CURATION_1["label_definitions"],
    "manual_labels": [{"unit_id": 1, "labels": {"quality": ["good"]}}],
    "merges": [{"unit_ids": [3, 4], "new_unit_id": 50}],
    "splits": [{"unit_id": 1, "mode": "indices", "indices": [[0, 2, 4]], "new_unit_ids": [60, 61]}],
    "removed": [2],
}

CHANGES: dict[str, dict[str, Any]] = {
    "as_it_is": {},
    "no_labels": {"manual_labels": None, "label_definitions": {}},
    "merges_by_id": {"merges": {50: [3, 4]}},
    "merges_as_lists": {"merges": [[3, 4]]},
    "splits_by_id": {"splits": {1: [[0, 1]]}},
    "no_splits": {"splits": []},
    "only_merges": {"splits": None, "removed": None},
    "version_3": {"format_version": "3"},
    "unknown_unit": {"removed": [99]},
    "unknown_merged": {"merges": [[3, 99]]},
    "merge_of_one": {"merges": [[3]]},
    "merged_twice": {"merges": [[3, 4], [4, 1]]},
    "merged_and_removed": {"merges": [[2, 3]]},
    "split_and_removed": {"splits": [{"unit_id": 2, "indices": [[0]]}]},
    "split_and_merged": {"splits": [{"unit_id": 3, "indices": [[0]]}]},
    "split_repeats": {"splits": [{"unit_id": 1, "indices": [[0, 0]]}]},
    "split_of_nothing": {"splits": [{"unit_id": 1, "indices": []}]},
    "split_ids": {"splits": [{"unit_id": 1, "indices": [[0]], "new_unit_ids": [60, 61, 62]}]},
    "split_id_taken": {"splits": [{"unit_id": 1, "indices": [[0]], "new_unit_ids": [60, 4]}]},
    "split_mode": {"splits": [{"unit_id": 1, "mode": "guess", "indices": [[0]]}]},
    "split_labels_short": {"splits": [{"unit_id": 1, "mode": "labels", "labels": [0, 1]}]},
    "merge_id_taken": {"merges": [{"unit_ids": [3, 4], "new_unit_id": 1}]},
    "exclusive": {"manual_labels": [{"unit_id": 1, "labels": {"quality": ["good", "MUA"]}}]},
    "unknown_label": {"manual_labels": [{"unit_id": 1, "labels": {"colour": ["red"]}}]},
    "labels_no_list": {"unit_ids": [1, 2, 3]},
}


@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.parametrize("name", sorted(CHANGES))
def test_curation_dicts(
    version: str, name: str, new_pair: Callable[[str], Any], compare: Callable[..., None]
) -> None:
    base = CURATION_1 if version == "1" else CURATION_2
    changed = copy.deepcopy({**base, **CHANGES[name]})
    if version == "1" and not set(CHANGES[name]) <= set(CURATION_1):
        return
    compare(
        _shaped(new_pair, "ints"),
        lambda s: curation(s).apply_curation(s, copy.deepcopy(changed)),
    )


def test_curation_by_labels_of_spikes(
    new_pair: Callable[[str], Any], compare: Callable[..., None]
) -> None:
    pair = _shaped(new_pair, "ints")
    count = int(pair.ours.count_num_spikes_per_unit()[1])
    dump = {**CURATION_2, "splits": {1: [i % 3 for i in range(count)]}}
    compare(pair, lambda s: curation(s).apply_curation(s, copy.deepcopy(dump)))


def test_curation_files(tmp_path: Path) -> None:
    (tmp_path / "curation.json").write_text(json.dumps(CURATION_2))
    ours = sw_curation.load_curation(tmp_path / "curation.json")
    theirs = si_curation.load_curation(tmp_path / "curation.json")
    assert ours.unit_ids == theirs.unit_ids
    assert ours.removed == theirs.removed
    assert [m.unit_ids for m in ours.merges] == [m.unit_ids for m in theirs.merges]
    assert ours.splits[0].indices == theirs.splits[0].indices
    sw_curation.validate_curation_dict(CURATION_1)
    assert sw_curation.curation_label_to_dataframe(CURATION_1).equals(
        si_curation.curation_label_to_dataframe(copy.deepcopy(CURATION_1))
    )
    (tmp_path / "bad.json").write_text("[]")
    with pytest.raises(ValueError, match="not an object"):
        sw_curation.load_curation(tmp_path / "bad.json")


FORMAT_0 = {
    "labelsByUnit": {"1": ["good", "odd"], "2": ["noise"], "3": [], "4": ["good"]},
    "mergeGroups": [[3, 4]],
}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"mergeGroups": []},
        {"mergeGroups": [[3, 4], [4, 1]]},
        {"mergeGroups": [[3]]},
        {"unit_ids": [1, 2, 3, 4]},
        {"unit_ids": [1, 2]},
        {"labelsByUnit": {"a": ["good", "odd"]}},
        {"labelsByUnit": None},
        {"format_version": "0"},
    ],
)
def test_files_of_sortingview(changes: dict[str, Any], new_pair: Callable[[str], Any]) -> None:
    pair = described(new_pair("ints"))

    def after(sorting: Any) -> Any:
        four = sorting.select_units(sorting.unit_ids[:4], renamed_unit_ids=[1, 2, 3, 4])
        made = curation(sorting).apply_curation(four, copy.deepcopy(FORMAT_0 | changes))
        labels = {key: made.get_property(key) for key in ("good", "odd", "noise")}
        return made.unit_ids.tolist(), made.to_spike_vector().tolist(), labels

    theirs, ours = pair.on_both(after)
    if isinstance(theirs, Exception):
        assert isinstance(ours, sw.SpikewireError)
        return
    assert ours[:2] == theirs[:2]
    for key, values in theirs[2].items():
        np.testing.assert_array_equal(ours[2][key], values)


def _twins(seed: int) -> dict[int, Any]:
    """Trains, and copies of them that are jittered, thinned, or joined by other spikes."""
    rng = np.random.default_rng(seed)
    one, two, bursting = (np.unique(rng.integers(0, 300_000, size)) for size in (150, 250, 60))
    bursting = np.sort(np.concatenate([bursting + shift for shift in (0, 5, 9, 12)]))
    return {
        0: one,
        1: two,
        2: bursting,
        3: np.sort(one + rng.integers(-14, 15, len(one))),
        4: np.sort((two + rng.integers(-6, 7, len(two)))[rng.random(len(two)) < rng.random()]),
        5: np.sort(np.concatenate([bursting[::2], rng.integers(0, 300_000, 30)])),
        6: bursting[:0],
    }


REDUNDANCY: list[dict[str, Any]] = [
    {},
    {"delta_time": 0.2},
    {"agreement_threshold": 0.5},
    {"duplicate_threshold": 0.5, "delta_time": 1.0},
]


@pytest.mark.parametrize("seed", range(6))
def test_redundant_units(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    # SpikeInterface compiles its loop with numba, and has scipy pair units, which is not asked.
    uncompiled = SimpleNamespace(jit=lambda **options: lambda function: function)
    paired = SimpleNamespace(linear_sum_assignment=lambda scores: (np.arange(7), np.arange(7)))
    monkeypatch.setitem(sys.modules, "numba", uncompiled)
    monkeypatch.setitem(sys.modules, "scipy", SimpleNamespace(optimize=paired))
    monkeypatch.setitem(sys.modules, "scipy.optimize", paired)
    trains = [_twins(seed), _twins(seed + 100)]
    theirs = si.NumpySorting.from_unit_dict(trains, 30000.0)
    ours = sw.NumpySorting.from_unit_dict(trains, 30000.0)
    for options in REDUNDANCY:
        pairs = sw_curation.find_redundant_units(ours, **options)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert pairs == si_curation.find_redundant_units(theirs, **options)
            for align in (False, True):
                given = options | {"remove_strategy": "max_spikes", "align": align}
                given |= {"unit_peak_shifts": dict.fromkeys(range(7), 0) | {3: 40}}
                kept = [
                    library.remove_redundant_units(sorting, **given).unit_ids.tolist()
                    for library, sorting in ((sw_curation, ours), (si_curation, theirs))
                ]
                assert kept[0] == kept[1]
