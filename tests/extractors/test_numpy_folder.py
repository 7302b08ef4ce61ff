from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import spikeinterface.core as si
from hypothesis import given, settings
from hypothesis import strategies as st

from spikewire.core.errors import (
    ContentChangedError,
    FormatError,
    InvalidNameError,
    InvalidTypeError,
    SortingExistsError,
    SortingFileNotFoundError,
)
from spikewire.core.numpy_sorting import NumpySorting
from spikewire.core.sorting import BaseSorting
from spikewire.extractors.npz import NpzSortingExtractor
from spikewire.extractors.numpy_folder import NumpyFolderSorting, read_numpy_sorting_folder

Same = Callable[[BaseSorting, BaseSorting], None]


@pytest.mark.parametrize("mmap_mode", [None, "r"])
def test_a_sorting_comes_back(
    tmp_path: Path,
    sorting: NumpySorting,
    mmap_mode: Any,
    same_spikes: Same,
    same_windows: Same,
    same_metadata: Same,
) -> None:
    saved = sorting.save(folder=tmp_path / "a")
    assert isinstance(saved, NumpyFolderSorting)
    same_spikes(saved, sorting)
    read = read_numpy_sorting_folder(tmp_path / "a", mmap_mode)
    same_windows(read, sorting)
    same_spikes(read, sorting)
    same_metadata(read, sorting)


def test_spikeinterface_reads_all_of_it(tmp_path: Path, int_sorting: NumpySorting) -> None:
    int_sorting.set_property("objects", np.array(["a", None, 1.5, [1, 2]], dtype=object))
    int_sorting.save(folder=tmp_path / "a")
    for read in (si.NumpyFolderSorting(tmp_path / "a"), si.load(tmp_path / "a")):
        assert np.array_equal(read.to_spike_vector(), int_sorting.to_spike_vector())
        assert read.unit_ids.tolist() == int_sorting.unit_ids.tolist()
        assert read.get_num_segments() == int_sorting.get_num_segments()
        assert set(read.get_property_keys()) == set(int_sorting.get_property_keys())
        for key in read.get_property_keys():
            np.testing.assert_array_equal(read.get_property(key), int_sorting.get_property(key))
        assert read._annotations == int_sorting._annotations


def test_the_dump_is_one_that_spikeinterface_0_104_knows(
    tmp_path: Path, int_sorting: NumpySorting
) -> None:
    # It passes every kwarg to a constructor without mmap_mode, and finds the
    # annotations in this file only.
    int_sorting.save(folder=tmp_path / "a")
    dump = json.loads((tmp_path / "a" / "si_folder.json").read_text())
    assert dump["class"] == "spikeinterface.core.sortingfolder.NumpyFolderSorting"
    assert dump["kwargs"] == {"folder_path": "."}
    assert dump["relative_paths"] is True
    assert dump["annotations"] == int_sorting._annotations
    assert dump["properties"] == {"main_channel_id": [0, 1, 2, 3]}


def test_what_spikeinterface_writes_is_read(
    tmp_path: Path, int_sorting: NumpySorting, same_spikes: Same, same_windows: Same
) -> None:
    theirs = si.NumpySorting(int_sorting.to_spike_vector().copy(), 30000.0, int_sorting.unit_ids)
    theirs.set_property("snr", [1.0, 2.0, 3.0, 4.0])
    theirs.annotate(lab="x")
    with pytest.warns(UserWarning, match="provenance"):
        theirs.save(folder=tmp_path / "a")
    read = NumpyFolderSorting(tmp_path / "a")
    same_windows(read, int_sorting)
    same_spikes(read, int_sorting)
    assert read.get_property("snr").tolist() == [1.0, 2.0, 3.0, 4.0]  # type: ignore[union-attr]
    assert read.get_annotation("lab") == "x"


def test_the_provenance_leads_back(tmp_path: Path, int_sorting: NumpySorting) -> None:
    NpzSortingExtractor.write_sorting(int_sorting, tmp_path / "source.npz")
    NpzSortingExtractor(tmp_path / "source.npz").save(folder=tmp_path / "a")
    provenance = json.loads((tmp_path / "a" / "provenance.json").read_text())
    assert provenance["kwargs"] == {"file_path": "../source.npz"}
    source = si.load(tmp_path / "a" / "provenance.json", base_folder=tmp_path / "a")
    assert source.unit_ids.tolist() == [7, 2, 11, 5]


def test_objects_come_back_without_unpickling(tmp_path: Path, int_sorting: NumpySorting) -> None:
    values = np.empty((4, 2), dtype=object)
    values[:] = [["a", None], [True, 2], [1.5, "ü"], [[1, [2]], {"k": "v"}]]
    int_sorting.set_property("objects", values)
    read = int_sorting.save(folder=tmp_path / "a")
    assert read.get_property("objects").tolist() == values.tolist()  # type: ignore[union-attr]


def test_pickled_properties_are_left_out_unless_allowed(samples: Path) -> None:
    folder = samples / "si0.105.3" / "object_property_numpy_folder"
    with pytest.warns(UserWarning, match="'obj' is left out.*allow_pickle=True"):
        assert NumpyFolderSorting(folder).get_property_keys() == []
    truth = np.load(folder / "properties" / "obj.npy", allow_pickle=True)
    read = NumpyFolderSorting(folder, allow_pickle=True)
    assert read.get_property("obj").tolist() == truth.tolist()  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("key", "values", "error"),
    [
        ("../../x", [1, 2, 3, 4], InvalidNameError),
        ("a/b", [1, 2, 3, 4], InvalidNameError),
        ("Quality", [1, 2, 3, 4], InvalidNameError),
        ("objects", np.array([{1}, {2}, {3}, {4}]), InvalidTypeError),
        ("records", np.zeros(4, dtype=[("a", "O")]), InvalidTypeError),
    ],
)
def test_properties_that_cannot_be_saved_are_refused_before_anything_is_written(
    tmp_path: Path, int_sorting: NumpySorting, key: str, values: Any, error: type[Exception]
) -> None:
    int_sorting.set_property(key, values)
    with pytest.raises(error):
        int_sorting.save(folder=tmp_path / "new" / "a")
    assert list(tmp_path.iterdir()) == []


def test_annotations_that_cannot_be_saved(tmp_path: Path, int_sorting: NumpySorting) -> None:
    int_sorting.annotate(array=np.arange(2), path=tmp_path)
    saved = int_sorting.save(folder=tmp_path / "a")
    assert saved.get_annotation("array") == [0, 1]
    int_sorting.annotate(code=lambda: None)
    with pytest.raises(InvalidTypeError, match=r"annotations\.json"):
        int_sorting.save(folder=tmp_path / "b")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_an_existing_folder_is_replaced_on_request_only(
    tmp_path: Path, int_sorting: NumpySorting, same_spikes: Same
) -> None:
    saved = int_sorting.save(folder=tmp_path / "a")
    with pytest.raises(SortingExistsError, match="overwrite=True"):
        int_sorting.save(folder=tmp_path / "a")
    # Read from what is being replaced.
    half = saved.select_units([7, 5])
    again = half.save(folder=tmp_path / "a", overwrite=True)
    same_spikes(again, int_sorting.select_units([7, 5]))
    with pytest.raises(ContentChangedError):
        NumpyFolderSorting.get_unit_spike_train(saved, 7, segment_index=0, use_cache=False)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_trailing_empty_segments_and_no_spikes(tmp_path: Path, samples: Path) -> None:
    folder = samples / "si0.105.3" / "trailing_empty_numpy_folder"
    truth = si.NumpyFolderSorting(folder)
    read = NumpyFolderSorting(folder)
    assert read.get_num_segments() == truth.get_num_segments()
    assert np.array_equal(read.to_spike_vector(), truth.to_spike_vector())
    empty = NumpySorting.from_unit_dict([{1: np.array([], dtype=int)}] * 2, 30000.0)
    saved = empty.save(folder=tmp_path / "a")
    assert saved.get_num_segments() == 2
    assert saved.to_spike_vector().size == 0
    assert si.NumpyFolderSorting(tmp_path / "a").get_num_segments() == 2


@pytest.fixture
def folder(tmp_path: Path, int_sorting: NumpySorting) -> Path:
    int_sorting.save(folder=tmp_path / "a")
    return tmp_path / "a"


def edit_info(folder: Path, **changes: Any) -> None:
    info = json.loads((folder / "numpysorting_info.json").read_text())
    info.update(changes)
    info = {key: value for key, value in info.items() if value != "absent"}
    (folder / "numpysorting_info.json").write_text(json.dumps(info))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"unit_ids": "absent"}, "does not state unit_ids"),
        ({"unit_ids": [1, 1, 2, 3]}, "unique"),
        ({"unit_ids": [[1], [2, 3]]}, "numpysorting_info"),
        ({"unit_ids": {"a": 1}}, "numpysorting_info"),
        ({"unit_ids": None}, "numpysorting_info"),
        ({"unit_ids": [10**30, 1, 2, 3]}, "numpysorting_info"),
        ({"num_segments": 2}, "spikes of segments 0 to 2, but there are 2"),
        ({"num_segments": 10**9}, "num_segments is 1000000000"),
        ({"num_segments": True}, "num_segments is True"),
        ({"num_segments": -1}, "num_segments is -1"),
        ({"sampling_frequency": None}, "sampling_frequency"),
        ({"sampling_frequency": float("nan")}, "finite"),
    ],
)
def test_damaged_info(folder: Path, changes: dict[str, Any], said: str) -> None:
    edit_info(folder, **changes)
    with pytest.raises(FormatError, match=said):
        NumpyFolderSorting(folder)


@pytest.mark.parametrize(
    "dtype", ["|O", "<i8", "<U9", "|S4", "no type", 5, "<u8", "<i99", [["a", "<i8"]]]
)
def test_other_claims_of_the_type_of_the_unit_ids(
    folder: Path, dtype: Any, read_or_refused: Callable[[Path], AbstractContextManager[None]]
) -> None:
    edit_info(folder, unit_ids_dtype=dtype)
    with read_or_refused(folder):
        assert NumpyFolderSorting(folder).unit_ids.tolist() == [7, 2, 11, 5]


def edit_spikes(folder: Path, change: Callable[[np.ndarray], Any]) -> None:
    spikes = np.load(folder / "spikes.npy")
    changed = change(spikes)
    np.save(folder / "spikes.npy", spikes if changed is None else changed)


def test_spikes_of_another_type(folder: Path) -> None:
    np.save(folder / "spikes.npy", np.arange(4))
    with pytest.raises(FormatError, match=r"spikes\.npy.*'sample_index'"):
        NumpyFolderSorting(folder)
    np.save(folder / "spikes.npy", np.zeros(2, dtype=[("sample_index", "f8")]))
    with pytest.raises(FormatError, match=r"spikes\.npy.*'sample_index'"):
        NumpyFolderSorting(folder)


@pytest.mark.parametrize(
    ("field", "row", "value", "said"),
    [
        ("sample_index", 100, 2**40, "ascending"),
        ("unit_index", 100, 4, "there are 4 units"),
        ("unit_index", 100, -1, "there are 4 units"),
        ("segment_index", 100, 1, "order of their segments"),
    ],
)
def test_damaged_spikes(folder: Path, field: str, row: int, value: int, said: str) -> None:
    def change(spikes: np.ndarray) -> None:
        spikes[field][row] = value

    edit_spikes(folder, change)
    sorting = NumpyFolderSorting(folder)
    with pytest.raises(FormatError, match=rf"spikes\.npy.*{said}"):
        sorting.to_spike_vector()


def test_truncated_and_missing_files(folder: Path) -> None:
    content = (folder / "spikes.npy").read_bytes()
    (folder / "spikes.npy").write_bytes(content[:-1])
    with pytest.raises(FormatError, match=r"spikes\.npy.*truncated"):
        NumpyFolderSorting(folder)
    (folder / "spikes.npy").unlink()
    with pytest.raises(SortingFileNotFoundError, match=r"spikes\.npy"):
        NumpyFolderSorting(folder)
    with pytest.raises(FileNotFoundError):
        NumpyFolderSorting(folder / "absent")
    with pytest.raises(FormatError, match="is a file"):
        NumpyFolderSorting(folder / "numpysorting_info.json")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("properties/snr.npy", b"x", "npy format"),
        ("properties/objects.json", b"{}", "values of a property"),
        ("properties/objects.json", b'{"shape": [10000000000], "values": [1]}', "values of a"),
        ("annotations.json", b"[]", "JSON object"),
    ],
)
def test_damaged_metadata(folder: Path, name: str, content: bytes, said: str) -> None:
    if name.endswith("objects.json"):
        np.save(folder / "properties" / "objects.npy", np.array([{}] * 4), allow_pickle=True)
    (folder / name).write_bytes(content)
    with pytest.raises(FormatError, match=said):
        NumpyFolderSorting(folder)


def test_properties_of_another_length(folder: Path) -> None:
    np.save(folder / "properties" / "snr.npy", np.arange(3))
    with pytest.raises(FormatError, match=r"snr\.npy: a property of 4 units"):
        NumpyFolderSorting(folder)
    np.save(folder / "properties" / "snr.npy", np.float64(1))
    with pytest.raises(FormatError, match=r"snr\.npy: a property of 4 units"):
        NumpyFolderSorting(folder)


def test_files_that_macos_leaves_are_no_properties(folder: Path) -> None:
    (folder / "properties" / "._snr.npy").write_bytes(b"\0\5\26\7")
    assert "._snr" not in NumpyFolderSorting(folder).get_property_keys()


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_a_mutated_folder_is_read_or_refused(
    read_or_refused: Callable[[Path], AbstractContextManager[None]],
    data: st.DataObject,
    samples: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("mutated") / "a"
    shutil.copytree(samples / "si0.105.3" / "int" / "numpy_folder", folder)
    names = ["numpysorting_info.json", "spikes.npy", "annotations.json", "properties/f4.npy"]
    path = folder / data.draw(st.sampled_from(names))
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.unlink()
    path.write_bytes(content[: data.draw(st.integers(len(content) - 20, len(content)))])
    with read_or_refused(folder):
        sorting = NumpyFolderSorting(folder)
        for segment in sorting.segments:
            segment.count_spikes()
            segment.get_unit_spike_train(sorting.unit_ids[0], 3, 2**20)
        sorting.to_spike_vector()
