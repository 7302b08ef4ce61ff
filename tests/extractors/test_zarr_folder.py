from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import spikeinterface.core as si
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from spikeinterface.core.zarrextractors import ZarrSortingExtractor as TheirZarr

from spikewire.core.errors import (
    FormatError,
    InvalidNameError,
    InvalidTypeError,
    InvalidValueError,
    MissingExtraError,
    SortingExistsError,
    SortingFileNotFoundError,
)
from spikewire.core.loading import load
from spikewire.core.numpy_sorting import NumpySorting
from spikewire.core.sorting import BaseSorting
from spikewire.extractors import ZarrSortingExtractor, read_zarr, recognise
from spikewire.extractors.zarr_arrays import ZarrArray

Same = Callable[[BaseSorting, BaseSorting], None]
RELEASES = ["si0.104.8/int", "si0.105.3/int", "si0.105.3/str"]


def test_a_sorting_comes_back(
    tmp_path: Path,
    sorting: NumpySorting,
    same_spikes: Same,
    same_windows: Same,
    same_metadata: Same,
) -> None:
    saved = sorting.save(format="zarr", folder=tmp_path / "a")
    same_spikes(saved, sorting)
    read = read_zarr(tmp_path / "a.zarr")
    same_windows(read, sorting)
    for again in (read, load(tmp_path / "a.zarr"), saved.clone()):
        same_spikes(again, sorting)
        same_metadata(again, sorting)


def test_spikeinterface_reads_all_of_it(tmp_path: Path, sorting: NumpySorting) -> None:
    sorting.set_property("objects", np.array(["a", None, 1.5, {"b": [1, 2]}], dtype=object))
    sorting.set_property("pairs", np.array([["a", None]] * 4, dtype=object))
    sorting.set_property("when", np.array(["2026-01-02"] * 4, dtype="M8[D]"))
    sorting.set_property("records", np.zeros(4, dtype=[("a", "<i4"), ("b", "<f8", (2,))]))
    saved = sorting.save(format="zarr", folder=tmp_path / "a.zarr")
    theirs = si.read_zarr(tmp_path / "a.zarr")
    lazy = TheirZarr(tmp_path / "a.zarr", lazy_spike_vector=True)
    for read in (theirs, lazy, saved):
        assert np.array_equal(read.unit_ids, sorting.unit_ids)
        assert read.unit_ids.dtype == sorting.unit_ids.dtype
        assert np.array_equal(np.asarray(read.to_spike_vector()), sorting.to_spike_vector())
        assert read.get_num_segments() == 3
        assert set(read.get_property_keys()) == set(sorting.get_property_keys())
        for key in read.get_property_keys():
            values = sorting.get_property(key)
            assert values is not None
            np.testing.assert_array_equal(np.asarray(read.get_property(key)), values)
        assert dict(read._annotations) == sorting._annotations


@pytest.mark.parametrize("count", [0, 1, 65_536, 65_537, 200_000])
def test_long_columns(tmp_path: Path, count: int, same_windows: Same, same_spikes: Same) -> None:
    rng = np.random.default_rng(count)
    samples = np.sort(rng.integers(0, 2**40, count))
    sorting = NumpySorting.from_samples_and_labels(
        [samples], [rng.integers(0, 3, count)], 30000.0, unit_ids=[0, 1, 2]
    )
    saved = sorting.save(format="zarr", folder=tmp_path / "a")
    same_windows(ZarrSortingExtractor(tmp_path / "a.zarr"), sorting)
    same_spikes(saved, sorting)
    theirs = TheirZarr(tmp_path / "a.zarr", lazy_spike_vector=True)
    assert np.array_equal(np.asarray(theirs.to_spike_vector()), sorting.to_spike_vector())
    middle = [int(samples[count // 2])] if count else [5]
    assert theirs.search_cached_spikes_sorted(middle) == sorting.search_cached_spikes_sorted(middle)


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("name", ["sorting.zarr", "noprov.zarr"])
def test_samples(samples: Path, release: str, name: str) -> None:
    folder = samples / release / name
    read, truth = load(folder), si.read_zarr(folder)
    assert np.array_equal(read.unit_ids, truth.unit_ids)
    assert np.array_equal(read.to_spike_vector(), truth.to_spike_vector())
    with np.load(folder.parent / "truth.npz") as archive:
        keys = {key.removeprefix("prop_") for key in archive if key.startswith("prop_")}
        assert set(read.get_property_keys()) == keys
        for key in keys:
            values = read.get_property(key)
            assert values is not None
            assert values.dtype == archive[f"prop_{key}"].dtype
            np.testing.assert_array_equal(values, archive[f"prop_{key}"])
    annotations = json.loads((folder.parent / "truth_annotations.json").read_text())
    assert dict(read._annotations) == annotations


def test_trailing_empty_segments(samples: Path) -> None:
    folder = samples / "si0.105.3" / "trailing_empty.zarr"
    read, truth = read_zarr(folder), si.read_zarr(folder)
    assert read.get_num_segments() == truth.get_num_segments()
    assert np.array_equal(read.to_spike_vector(), truth.to_spike_vector())


def test_other_layouts_of_arrays(tmp_path: Path) -> None:
    values = np.arange(35, dtype="<i4").reshape(5, 7)
    layouts: dict[str, dict[str, Any]] = {
        "c": {"chunks": (2, 3), "compressor": None},
        "f": {"chunks": (2, 3), "order": "F", "compressor": None},
        "slash": {"chunks": (2, 3), "dimension_separator": "/", "compressor": None},
        "zlib": {"chunks": (5, 7), "compressor": zarr.Zlib()},
        "gzip": {"chunks": (5, 7), "compressor": zarr.GZip()},
        "blosc": {"chunks": (2, 7), "compressor": zarr.Blosc(cname="lz4", shuffle=1)},
    }
    for name, layout in layouts.items():
        array = zarr.open(str(tmp_path / name), mode="w", shape=(5, 7), dtype="<i4", **layout)
        array[:] = values
        assert np.array_equal(ZarrArray(tmp_path / name).load(), values), name
    scalar = zarr.open(str(tmp_path / "scalar"), mode="w", shape=(), dtype="<f8", compressor=None)
    scalar[...] = 2.5
    assert ZarrArray(tmp_path / "scalar").load() == 2.5


def test_a_sorting_in_a_group(tmp_path: Path, int_sorting: NumpySorting, same_spikes: Same) -> None:
    int_sorting.save(format="zarr", folder=tmp_path / "a")
    (tmp_path / "outer.zarr").mkdir()
    (tmp_path / "a.zarr").rename(tmp_path / "outer.zarr" / "sorting")
    read = read_zarr(tmp_path / "outer.zarr", zarr_group="sorting")
    same_spikes(read, int_sorting)
    same_spikes(read.clone(), int_sorting)
    for name in ("..", "sorting/../..", "", "a\\b", "c:"):
        with pytest.raises(InvalidValueError, match="no group"):
            read_zarr(tmp_path / "outer.zarr", zarr_group=name)


def test_an_existing_folder_is_replaced_on_request_only(
    tmp_path: Path, int_sorting: NumpySorting
) -> None:
    int_sorting.save(format="zarr", folder=tmp_path / "a.b")
    with pytest.raises(SortingExistsError):
        int_sorting.save(format="zarr", folder=tmp_path / "a.b")
    half = int_sorting.select_units([2]).save(
        format="zarr", folder=tmp_path / "a.b", overwrite=True
    )
    assert half.unit_ids.tolist() == [2]
    assert [path.name for path in tmp_path.iterdir()] == ["a.b.zarr"]


def test_what_cannot_be_saved(tmp_path: Path, int_sorting: NumpySorting) -> None:
    with pytest.raises(InvalidValueError, match="to disk only"):
        int_sorting.save(format="zarr", folder="s3://bucket/a")
    int_sorting.annotate(code=len)
    with pytest.raises(InvalidTypeError, match="annotations"):
        int_sorting.save(format="zarr", folder=tmp_path / "a")
    int_sorting.delete_annotation("code")
    int_sorting.set_property("a/b", [1, 2, 3, 4])
    with pytest.raises(InvalidNameError):
        int_sorting.save(format="zarr", folder=tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


def test_without_numcodecs(
    tmp_path: Path, int_sorting: NumpySorting, monkeypatch: pytest.MonkeyPatch
) -> None:
    int_sorting.save(format="zarr", folder=tmp_path / "a")
    monkeypatch.setitem(sys.modules, "numcodecs", None)
    sorting = read_zarr(tmp_path / "a.zarr")  # what is not compressed can be read
    with pytest.raises(MissingExtraError, match=r"spikewire\[zarr\]"):
        sorting.to_spike_vector()
    with pytest.raises(MissingExtraError):
        int_sorting.save(format="zarr", folder=tmp_path / "b")
    assert [path.name for path in tmp_path.iterdir()] == ["a.zarr"]


def test_missing_folders(tmp_path: Path) -> None:
    with pytest.raises(SortingFileNotFoundError):
        read_zarr(tmp_path / "absent.zarr")
    with pytest.raises(InvalidValueError, match="from disk only"):
        read_zarr("s3://bucket/a.zarr")
    with pytest.raises(SortingFileNotFoundError):
        read_zarr(tmp_path)


@pytest.fixture
def folder(tmp_path: Path, int_sorting: NumpySorting) -> Path:
    int_sorting.save(format="zarr", folder=tmp_path / "a")
    return tmp_path / "a.zarr"


def edit(path: Path, **changes: Any) -> None:
    content = json.loads(path.read_text())
    content.update(changes)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("name", "changes", "said"),
    [
        (".zattrs", {"num_segments": 10**9}, "num_segments"),
        (".zattrs", {"num_segments": 2}, "not 2 pairs of rows"),
        (".zattrs", {"sampling_frequency": None}, "sampling_frequency"),
        (".zattrs", {"annotations": [1]}, "annotations"),
        ("unit_ids/.zarray", {"zarr_format": 3}, "zarr format 3"),
        ("unit_ids/.zarray", {"shape": [10**12]}, "chunks are missing"),
        ("unit_ids/.zarray", {"shape": [10**12], "chunks": [10**12]}, "too large"),
        ("unit_ids/.zarray", {"shape": [4, 4]}, "chunks .* of an array"),
        ("unit_ids/.zarray", {"shape": "4"}, "no lengths"),
        ("unit_ids/.zarray", {"chunks": [0]}, "no lengths"),
        ("unit_ids/.zarray", {"dtype": "|O"}, "objects are read from JSON"),
        ("unit_ids/.zarray", {"dtype": "no type"}, "is no type"),
        ("unit_ids/.zarray", {"dtype": None}, "not read"),
        ("unit_ids/.zarray", {"dtype": [["a", "O"]]}, "not read"),
        ("unit_ids/.zarray", {"dtype": "<f8"}, "integers or of strings"),
        ("unit_ids/.zarray", {"dtype": "<i4"}, "should hold 16 bytes, it holds 32"),
        ("unit_ids/.zarray", {"filters": 5}, "filters"),
        ("unit_ids/.zarray", {"filters": [{"id": "quantize"}]}, "are not read"),
        ("spikes/segment_slices/.zarray", {"shape": [2, 2]}, "not 3 pairs"),
        ("spikes/unit_index/.zarray", {"shape": [999]}, "1000 spike times but 999"),
        ("spikes/sample_index/.zarray", {"dtype": "<f8"}, "no samples"),
        ("spikes/sample_index/.zarray", {"shape": [10**12]}, "but 1000 labels"),
        ("spikes/sample_index/.zarray", {"chunks": [100]}, "damaged"),
        ("spikes/sample_index/.zarray", {"compressor": {"id": "pickle"}}, "are not read"),
        ("spikes/sample_index/.zarray", {"compressor": "x"}, "are not read"),
        ("spikes/sample_index/.zarray", {"compressor": None}, "should hold 8000 bytes"),
        ("spikes/sample_index/.zarray", {"compressor": {"id": "zlib"}}, "damaged"),
        ("spikes/sample_index/.zarray", {"filters": None}, "ascending"),
        ("properties/snr/.zarray", {"shape": [2], "chunks": [2], "dtype": "<f8"}, "4 values"),
    ],
)
def test_damaged_descriptions(folder: Path, name: str, changes: dict[str, Any], said: str) -> None:
    edit(folder / name, **changes)
    with pytest.raises(FormatError, match=said):
        read_zarr(folder).to_spike_vector()


def test_claims_of_spikes_that_are_not_there(folder: Path) -> None:
    for name in ("sample_index", "unit_index"):
        edit(folder / "spikes" / name / ".zarray", shape=[10**12], chunks=[1000])
    np.array([[0, 600], [600, 600], [600, 10**12]]).tofile(folder / "spikes/segment_slices/0.0")
    sorting = read_zarr(folder)
    assert sorting.segments[0].count_spikes().sum() == 600
    with pytest.raises(FormatError, match=r"chunk \d+ is missing"):
        sorting.segments[2].count_spikes()
    with pytest.raises(FormatError, match=r"chunk \d+ is missing"):
        sorting.segments[2].get_last_spike_frame()


@pytest.mark.parametrize(
    "rows", [[[0, 600], [600, 500], [500, 1000]], [[0, 5], [6, 7], [7, 1000]], [[0, 1]] * 3]
)
def test_segments_that_do_not_cover_the_spikes(folder: Path, rows: list[list[int]]) -> None:
    np.array(rows).tofile(folder / "spikes" / "segment_slices" / "0.0")
    with pytest.raises(FormatError, match="do not cover"):
        read_zarr(folder)


def test_missing_and_cut_chunks(folder: Path) -> None:
    path = folder / "spikes" / "sample_index" / "0"
    content = path.read_bytes()
    for cut in (content[:-1], content[:10], b"", content + b"x"):
        path.write_bytes(cut)
        with pytest.raises(FormatError, match="damaged"):
            read_zarr(folder).to_spike_vector()
    path.unlink()
    with pytest.raises(FormatError, match="chunk 0 is missing"):
        read_zarr(folder).to_spike_vector()


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"[1]", b'["a","b","c","d","|O",[5]]', b'["a","b","|O",[4]]', b"[" * 9999],
)
def test_damaged_objects(folder: Path, content: bytes) -> None:
    path = folder / "properties" / "objects"
    sorting = read_zarr(folder)
    sorting.set_property("objects", np.array([None] * 4))
    sorting.save(format="zarr", folder=folder.parent / "b")
    shutil.move(folder.parent / "b.zarr" / "properties" / "objects", path)
    (path / "0").write_bytes(content)
    with pytest.raises(FormatError, match="objects"):
        read_zarr(folder)


def test_recognised(folder: Path) -> None:
    found = recognise(folder)
    assert found is not None
    assert found.name == "zarr"
    names = [path.relative_to(folder).as_posix() for path in found.spike_files(folder)]
    assert {".zattrs", "unit_ids/0", "spikes/sample_index/0"} <= set(names)
    assert not any("properties" in name for name in names)
    labels = [path.relative_to(folder).as_posix() for path in found.label_files(folder)]
    assert {"properties/snr/0", "properties/snr/.zarray"} <= set(labels)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_mutated_folder_is_read_or_refused(
    read_or_refused: Callable[[Path], AbstractContextManager[None]],
    data: st.DataObject,
    samples: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("mutated") / "a.zarr"
    shutil.copytree(samples / "si0.105.3" / "int" / "sorting.zarr", folder)
    names = [".zattrs", "unit_ids/.zarray", "unit_ids/0", "spikes/segment_slices/0.0"]
    names += [
        f"spikes/{array}/{file}"
        for array in ("sample_index", "unit_index")
        for file in ("0", ".zarray")
    ]
    names += ["properties/quality/.zarray", "properties/quality/0"]
    path = folder / data.draw(st.sampled_from(names))
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.unlink()
    path.write_bytes(content[: data.draw(st.integers(len(content) - 10, len(content)))])
    with read_or_refused(folder):
        read_zarr(folder).to_spike_vector()
