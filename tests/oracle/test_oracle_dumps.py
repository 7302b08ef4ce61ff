"""Dumps that SpikeInterface writes and we read, and the other way round."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import spikeinterface as si

import spikewire as sw


def library(sorting: Any) -> Any:
    return sw if isinstance(sorting, sw.BaseSorting) else si


VIEWS: dict[str, Callable[[Any], Any]] = {
    "file": lambda s: s,
    "selection": lambda s: s.select_units(s.unit_ids[::-2]),
    "renamed": lambda s: s.rename_units([f"u{i}" for i in range(len(s.unit_ids))]),
    "numbered": lambda s: s.rename_units(np.arange(len(s.unit_ids), dtype=np.uint16)),
    "selected_twice": lambda s: s.select_units(s.unit_ids[:3]).select_units(s.unit_ids[1:2]),
    "segment": lambda s: library(s).select_segment_sorting(s, [1]),
    "slice": lambda s: library(s).select_segment_sorting(s, [0]).frame_slice(100, 1500),
    "appended": lambda s: library(s).append_sortings([s, s]),
    "concatenated": lambda s: library(s).concatenate_sortings(
        [library(s).select_segment_sorting(s, [i]) for i in (0, 1)], total_samples_list=[3000] * 2
    ),
    "aggregated": lambda s: library(s).aggregate_units([s, s.select_units(s.unit_ids[:2])]),
    "aggregated_by_key": lambda s: library(s).aggregate_units({"x": s, "y": s}),
}


def assert_same(one: Any, other: Any) -> None:
    """The same units and trains; ties may be in another order."""
    assert type(one).__name__ == type(other).__name__
    assert one.unit_ids.tolist() == other.unit_ids.tolist()
    assert one.sampling_frequency == other.sampling_frequency
    assert one.get_num_segments() == other.get_num_segments()
    for unit in one.unit_ids:
        for segment in range(one.get_num_segments()):
            np.testing.assert_array_equal(
                one.get_unit_spike_train(unit, segment), other.get_unit_spike_train(unit, segment)
            )
    for key in one.get_annotation_keys():
        assert one.get_annotation(key) == other.get_annotation(key)


@pytest.fixture(params=["ints", "strings", "unicode", "silent_units"])
def base(request: pytest.FixtureRequest, new_pair: Callable[[str], Any], tmp_path: Path) -> Any:
    """The same file, opened by both."""
    folder = tmp_path / "recorded"
    folder.mkdir()
    pair = new_pair(request.param)
    sw.NpzSortingExtractor.write_sorting(pair.ours, folder / "spikes.npz")
    opened = type(pair)(
        si.NpzSortingExtractor(folder / "spikes.npz"), sw.NpzSortingExtractor(folder / "spikes.npz")
    )
    for sorting in (opened.theirs, opened.ours):
        sorting.annotate(rat="a", nested={"list": [1, None, "é"]})
        sorting.name = "Ada"
        sorting.set_property("main_channel_id", list(range(len(sorting.unit_ids))))
    return opened


@pytest.mark.parametrize("name", sorted(VIEWS))
def test_ours_load_there(base: Any, name: str, tmp_path: Path) -> None:
    view = VIEWS[name](base.ours)
    view.dump(tmp_path / "dump.json")
    assert_same(view, si.load(tmp_path / "dump.json"))
    view.dump(tmp_path / "dump.pkl")
    assert_same(view, si.load(tmp_path / "dump.pkl"))
    assert_same(view, si.load(view.to_dict(recursive=True, include_annotations=True)))


@pytest.mark.parametrize("name", sorted(VIEWS))
def test_theirs_load_here(base: Any, name: str, tmp_path: Path) -> None:
    view = VIEWS[name](base.theirs)
    view.dump(tmp_path / "dump.json")
    assert_same(view, sw.load(tmp_path / "dump.json"))
    view.dump(tmp_path / "dump.pkl", relative_to=True)
    loaded = sw.load(tmp_path / "dump.pkl", base_folder=True, allow_pickle=True)
    assert_same(view, loaded)
    assert_same(view, sw.load(view.to_dict(recursive=True, include_annotations=True)))


@pytest.mark.parametrize("name", ["file", "selected_twice", "aggregated", "aggregated_by_key"])
def test_relative_dumps_move(base: Any, name: str, tmp_path: Path) -> None:
    view = VIEWS[name](base.ours)
    view.dump(tmp_path / "recorded" / "ours.json", relative_to=True)
    VIEWS[name](base.theirs).dump(tmp_path / "recorded" / "theirs.json", relative_to=True)
    shutil.copytree(tmp_path / "recorded", tmp_path / "moved" / "deeper")
    moved = tmp_path / "moved" / "deeper"
    assert_same(view, sw.load(moved / "theirs.json", base_folder=True))
    assert_same(view, sw.load(moved / "ours.json", base_folder=moved))
    assert_same(view, si.load(moved / "ours.json", base_folder=True))
    for package in (si, sw):
        with pytest.raises(AssertionError):
            package.load(moved / "ours.json")


@pytest.mark.parametrize("name", sorted(VIEWS))
def test_dumps_have_the_same_form(base: Any, name: str) -> None:
    ours, theirs = (
        VIEWS[name](sorting).to_dict(recursive=True) for sorting in (base.ours, base.theirs)
    )
    assert_same_form(ours, theirs)


def assert_same_form(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    for key in ("class", "module", "version", "relative_paths", "annotations"):
        assert ours[key] == theirs[key]
    assert list(ours["properties"]["main_channel_id"]) == list(
        theirs["properties"]["main_channel_id"]
    )
    kwargs = dict(theirs["kwargs"])
    if isinstance(ours["kwargs"].get("sorting_list"), dict):
        kwargs["sorting_list"] = dict(zip("xy", kwargs["sorting_list"], strict=True))
    assert set(ours["kwargs"]) == set(kwargs)
    for key, value in kwargs.items():
        mine = ours["kwargs"][key]
        if isinstance(value, dict) and "class" in value:
            assert_same_form(mine, value)
        elif key != "sorting_list":
            np.testing.assert_array_equal(mine, value)


def test_in_memory_dumps_load_there(new_pair: Callable[[str], Any]) -> None:
    pair = new_pair("ints")
    assert_same(pair.theirs, si.load(pair.ours.to_dict()))
    assert_same(pair.ours, sw.load(pair.theirs.to_dict()))


def test_old_pickles_with_live_parents_load(base: Any, tmp_path: Path) -> None:
    """Since 0.98 they hold extractors, which we rebuild as ours."""
    view = base.theirs.select_units(base.theirs.unit_ids[:2])
    view.dump(tmp_path / "dump.pkl")
    loaded = sw.load(tmp_path / "dump.pkl", allow_pickle=True)
    assert isinstance(loaded.get_parent(), sw.NpzSortingExtractor)
    assert_same(view, loaded)
