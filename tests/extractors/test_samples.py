"""What releases of SpikeInterface wrote, read to the truth that lies beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import spikeinterface.core as si

from spikewire.core.loading import load
from spikewire.core.sorting import BaseSorting
from spikewire.extractors import NpzSortingExtractor

RELEASES = ["si0.98.2/int", "si0.104.8/int", "si0.105.3/int", "si0.105.3/str"]
# 0.98 has no other folder.
FOLDERS = [
    (release, name)
    for release in RELEASES
    for name in ("npz_folder", "numpy_folder", "numpy_folder_noprov")
    if name == "npz_folder" or "0.98" not in release
]


class Truth:
    """The sorting that all files of a release hold."""

    def __init__(self, folder: Path) -> None:
        with np.load(folder / "truth.npz") as archive:
            self.arrays = dict(archive)
        self.annotations = json.loads((folder / "truth_annotations.json").read_text())
        self.unit_ids = self.arrays["unit_ids"].tolist()

    def trains(self, segment: int) -> dict[Any, list[int]]:
        samples = self.arrays[f"seg{segment}_sample"]
        units = self.arrays[f"seg{segment}_unit"]
        return {unit: samples[units == index].tolist() for index, unit in enumerate(self.unit_ids)}


def trains(sorting: BaseSorting, segment: int) -> dict[Any, list[int]]:
    return {
        unit: sorting.get_unit_spike_train(unit, segment_index=segment).tolist()
        for unit in sorting.unit_ids.tolist()
    }


@pytest.mark.parametrize(("release", "name"), FOLDERS)
def test_folders(samples: Path, release: str, name: str) -> None:
    truth = Truth(samples / release)
    read = load(samples / release / name)
    assert read.unit_ids.tolist() == truth.unit_ids
    assert read.sampling_frequency == 30000.0
    assert read.get_num_segments() == 2
    for segment in range(2):
        assert trains(read, segment) == truth.trains(segment)
    keys = {key.removeprefix("prop_") for key in truth.arrays if key.startswith("prop_")}
    assert set(read.get_property_keys()) == keys
    for key in keys:
        values = read.get_property(key)
        assert values is not None
        assert values.dtype == truth.arrays[f"prop_{key}"].dtype
        np.testing.assert_array_equal(values, truth.arrays[f"prop_{key}"])
    assert dict(read._annotations) == truth.annotations


@pytest.mark.parametrize("release", RELEASES)
def test_npz_files(samples: Path, release: str) -> None:
    truth = Truth(samples / release)
    read = NpzSortingExtractor(samples / release / "sorting.npz")
    assert [trains(read, segment) for segment in range(2)] == [truth.trains(0), truth.trains(1)]


def dumps(samples: Path) -> list[Path]:
    return sorted(
        path
        for path in samples.rglob("*.json")
        if path.name.startswith(("dump", "my_sorting", "sel", "provenance"))
    )


def test_dumps_of_every_kind_and_release(samples: Path, tmp_path: Path) -> None:
    # They name the place where they were written.
    found = dumps(samples)
    assert len(found) > 30
    for path in found:
        text = path.read_text().replace("/srv/lab", samples.as_posix())
        dump = json.loads(text)
        base_folder = path.parent if dump["relative_paths"] else None
        ours = load(dump, base_folder=base_folder)
        theirs = si.load(json.loads(text), base_folder=base_folder)
        assert ours.unit_ids.tolist() == theirs.unit_ids.tolist(), path
        assert ours.get_num_segments() == theirs.get_num_segments()
        for segment in range(ours.get_num_segments()):
            for unit in ours.unit_ids:
                train = theirs.get_unit_spike_train(unit, segment_index=segment)
                mine = ours.get_unit_spike_train(unit, segment_index=segment)
                assert np.array_equal(mine, train), (path, unit)
        assert dict(ours._annotations) == theirs._annotations, path
        assert set(theirs.get_property_keys()) <= set(ours.get_property_keys()), path


# What older releases pass over: they take what they know from a dump.
OURS_ALONE = {"dumpable", "spikewire"}
DUMPS = [
    (release, f"{name}.json")
    for release in RELEASES
    for name in (
        "dump",
        "dump_select",
        "dump_select_renamed",
        "dump_aggregate",
        "dump_append",
        "dump_frame_slice",
        "dump_select_segment",
        "npz_folder/npz",
        "npz_folder/si_folder",
        "numpy_folder/si_folder",
    )
    # 0.98 has fewer views, and no other folder.
    if "0.98" not in release
    or name in ("dump", "dump_select", "dump_select_renamed")
    or name.startswith("npz_folder")
]


def assert_same_form(ours: Any, theirs: Any) -> None:
    """A release that wrote the one can read the other: it calls the class with the kwargs."""
    if isinstance(theirs, list):
        for one, other in zip(ours, theirs, strict=True):
            assert_same_form(one, other)
    if not isinstance(theirs, dict) or "class" not in theirs:
        return
    assert ours.keys() - OURS_ALONE == theirs.keys() - OURS_ALONE
    # 0.98 had it elsewhere, and no release since looks there.
    assert ours["class"] == theirs["class"].replace("core.npzfolder.", "core.sortingfolder.")
    # 0.104 does not know mmap_mode, and 0.105 does not need it.
    assert ours["kwargs"].keys() == theirs["kwargs"].keys() - {"mmap_mode"}
    for key, value in ours["kwargs"].items():
        assert_same_form(value, theirs["kwargs"][key])


@pytest.mark.parametrize(("release", "name"), DUMPS)
def test_our_dumps_have_the_form_of_each_release(samples: Path, release: str, name: str) -> None:
    file = samples / release / name
    theirs = json.loads(file.read_text())
    folder = file.parent if theirs["relative_paths"] else None
    sorting = load(file, base_folder=folder)
    ours = sorting.to_dict(include_annotations=True, relative_to=folder, recursive=True)
    assert_same_form(ours, theirs)


def test_our_dumps_have_the_form_of_2021(samples: Path) -> None:
    file = samples / "si0.92.0" / "my_sorting" / "cached.json"
    theirs = json.loads(file.read_text())
    sorting = load(file.parent)
    ours = sorting.to_dict(relative_to=file.parent, recursive=True, folder_metadata=file.parent)
    assert ours.keys() - theirs.keys() == {"spikewire"}
    assert theirs.keys() <= ours.keys()
    assert ours["class"] == theirs["class"]
    assert ours["kwargs"] == theirs["kwargs"]
