"""Dumps that any parser of JSON takes, on request."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import spikewire as sw
from spikewire.core.dump import from_json, to_json


def refuse(name: str) -> None:
    raise AssertionError(f"{name} is not JSON")


@pytest.fixture
def sorting(tmp_path: Path) -> sw.BaseSorting:
    sw.NpzSortingExtractor.write_sorting(sw.generate_sorting(3, seed=0), tmp_path / "a.npz")
    sorting = sw.NpzSortingExtractor(tmp_path / "a.npz")
    sorting.annotate(threshold=math.nan, limits=[-math.inf, {"upper": np.float32("inf")}])
    sorting.set_property("snr", [1.5, math.nan, math.inf])
    return sorting.select_units(["0", "2", "1"])


def check(loaded: sw.BaseSorting) -> None:
    assert math.isnan(loaded.get_annotation("threshold"))
    assert loaded.get_annotation("limits") == [-math.inf, {"upper": math.inf}]


def test_a_strict_dump_is_json_and_loads(sorting: sw.BaseSorting, tmp_path: Path) -> None:
    path = tmp_path / "dump.json"
    sorting.dump_to_json(path, include_properties=True, strict=True)
    content = json.loads(path.read_text("ascii"), parse_constant=refuse)
    assert content["annotations"]["threshold"] == {"__float__": "NaN"}
    loaded = sw.load(path)
    check(loaded)
    snr = loaded.get_property("snr")
    assert snr is not None
    assert snr.dtype == np.float64
    np.testing.assert_array_equal(snr, [1.5, math.inf, math.nan])
    sw.check_sortings_equal(loaded, sorting)


def test_the_default_stays_spikeinterfaces(sorting: sw.BaseSorting, tmp_path: Path) -> None:
    sorting.dump(tmp_path / "bare.json")
    sorting.dump(tmp_path / "strict.json", strict=True)
    bare, strict = ((tmp_path / f"{name}.json").read_text() for name in ("bare", "strict"))
    with pytest.raises(AssertionError, match="is not JSON"):
        json.loads(bare, parse_constant=refuse)
    assert bare != strict
    check(sw.load(tmp_path / "bare.json"))
    check(sw.load(tmp_path / "strict.json"))


def test_without_such_numbers_both_are_the_same(tmp_path: Path) -> None:
    content = {"a": [1, 2.5, None, True, "NaN"], "b": {"c": "ü"}}
    assert to_json(content, strict=True) == to_json(content)


def test_pickles_are_not_json(sorting: sw.BaseSorting, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"strict is for dumps that end in \.json"):
        sorting.dump(tmp_path / "a.pkl", strict=True)
    assert not (tmp_path / "a.pkl").exists()


@pytest.mark.parametrize(
    "content",
    [{"__float__": "inf"}, {"__float__": 1}, {"__float__": []}, {"__float__": "NaN", "b": 1}, {}],
)
def test_other_objects_stay_what_they_are(content: dict[str, Any]) -> None:
    assert from_json(json.dumps(content)) == content


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(st.dictionaries(st.text().filter(lambda key: key != "__float__"), VALUES))
def test_everything_comes_back(content: dict[str, Any]) -> None:
    text = to_json(content, strict=True)
    json.loads(text, parse_constant=refuse)
    assert repr(from_json(text)) == repr(content)
