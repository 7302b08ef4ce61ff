"""`save(name=...)`, as SpikeInterface had it from 2021 to 0.104: a name in place of a folder."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest

import spikewire as sw
from spikewire.core import named_saves

pytestmark = pytest.mark.filterwarnings("ignore:save(.*) is deprecated:DeprecationWarning")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(named_saves, "_chosen", None)
    sw.set_global_tmp_folder(tmp_path / "saves")
    return tmp_path / "saves"


@pytest.fixture
def sorting() -> sw.BaseSorting:
    made = sw.generate_sorting(seed=0)
    made.set_property("depth", [1.5, 2, 3, 4, 5])
    return made


def test_a_name_is_a_folder_in_a_known_one(sorting: sw.BaseSorting, folder: Path) -> None:
    with pytest.warns(DeprecationWarning, match=r"use save\(folder=...\)") as caught:
        saved = sorting.save(name="monday")
    assert len(caught) == 1
    sw.check_sortings_equal(saved, sorting, check_properties=True)
    sw.check_sortings_equal(sw.load(folder / "monday"), sorting, check_properties=True)
    assert sw.get_global_tmp_folder() == folder


@pytest.mark.parametrize("format_", ["numpy_folder", "zarr", "npz_folder"])
@pytest.mark.filterwarnings("ignore:npz folders:DeprecationWarning")
def test_what_exists_is_kept_unless_told_otherwise(sorting: sw.BaseSorting, format_: str) -> None:
    if format_ == "zarr":
        pytest.importorskip("numcodecs", reason="the extra [zarr] is not installed")
    sorting.save(format_, name="monday")
    other = sorting.select_units(["3"])
    with pytest.raises(sw.errors.SortingExistsError, match="monday"):
        other.save(format_, name="monday")
    replaced = other.save(format_, name="monday", overwrite=True)
    assert replaced.unit_ids.tolist() == ["3"]


def test_the_old_methods_take_names_too(sorting: sw.BaseSorting, folder: Path) -> None:
    with pytest.warns(DeprecationWarning, match="save_to_folder is deprecated") as caught:
        sorting.save_to_folder("tuesday")
    assert len(caught) == 1
    sw.check_sortings_equal(sw.load(folder / "tuesday"), sorting)
    with pytest.raises(ValueError, match="needs 'folder'"):
        sorting.save_to_folder()


def test_a_folder_wins_and_memory_needs_none(
    sorting: sw.BaseSorting, folder: Path, tmp_path: Path
) -> None:
    saved: Any = sorting.save(name="x", folder=tmp_path / "here")
    assert Path(saved._kwargs["folder_path"]) == tmp_path / "here"
    sw.check_sortings_equal(sorting.save("memory", name="x", sharedmem=False), sorting)
    assert not folder.exists()


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../a", "/a", "a/"])
def test_a_name_is_no_path(sorting: sw.BaseSorting, name: str, folder: Path) -> None:
    with pytest.raises(sw.errors.InvalidNameError, match="name of one folder"):
        sorting.save(name=name)
    assert not folder.exists()


def test_without_a_folder_of_ones_own_it_is_temporary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(named_saves, "_chosen", None)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    folder = sw.get_global_tmp_folder()
    assert folder.is_dir()
    assert folder.parent == tmp_path / "spikewire_cache"
    assert sw.get_global_tmp_folder() == folder


def test_todays_call_does_not_warn(sorting: sw.BaseSorting, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sorting.save(folder=tmp_path / "a")
