from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import spikeinterface.extractors as sie
from hypothesis import given, settings
from hypothesis import strategies as st

from spikewire.core.errors import (
    ContractError,
    FormatError,
    InvalidNameError,
    NeedsSamplingFrequencyError,
    SortingExistsError,
    SortingFileNotFoundError,
    UnsafeContentError,
)
from spikewire.core.numpy_sorting import NumpySorting
from spikewire.core.sorting import BaseSorting
from spikewire.extractors.phy import (
    KiloSortSortingExtractor,
    PhySortingExtractor,
    read_kilosort,
    read_phy,
)
from spikewire.extractors.phy_export import export_to_phy_minimal

Same = Callable[[BaseSorting, BaseSorting], None]


def make_folder(
    folder: Path,
    times: Any = (5, 9, 9, 30, 31),
    clusters: Any = (2, 7, 2, 4, 7),
    params: str | None = "sample_rate = 25000.\n",
    **tables: str,
) -> Path:
    folder.mkdir(exist_ok=True)
    np.save(folder / "spike_times.npy", np.asarray(times))
    np.save(folder / "spike_clusters.npy", np.asarray(clusters))
    if params is not None:
        (folder / "params.py").write_text(params)
    for name, text in tables.items():
        (folder / f"{name}.tsv").write_text(text.replace(" ", "\t"))
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_folder(tmp_path / "phy")


@pytest.mark.parametrize("name", ["phy_wmaze", "ks_bombcell_toy"])
@pytest.mark.parametrize("reader", [read_phy, read_kilosort])
def test_real_folders(
    real_data: Path,
    name: str,
    reader: Callable[[Path], BaseSorting],
    as_expected: Callable[[BaseSorting, str], None],
) -> None:
    folder = real_data / name
    sorting = reader(folder)
    as_expected(sorting, name)
    vector = sorting.to_spike_vector()
    times = np.load(folder / "spike_times.npy").ravel().astype(np.int64)
    clusters = np.load(folder / "spike_clusters.npy").ravel()
    assert np.array_equal(vector["sample_index"], times)
    assert np.array_equal(sorting.unit_ids[vector["unit_index"]], clusters)


def test_labels_of_a_real_folder(real_data: Path) -> None:
    quality = read_phy(real_data / "phy_wmaze").get_property("quality")
    assert quality is not None
    assert quality.tolist() == ["good", "unsorted", "noise", "unsorted", "mua", "unsorted"] * 4 + [
        "good"
    ]


def test_windows(tmp_path: Path, same_windows: Same) -> None:
    rng = np.random.default_rng(0)
    times = np.sort(rng.integers(0, 3000, 2000)).astype(np.uint64)[:, None]
    clusters = rng.integers(0, 5, 2000).astype(np.uint32)[None, :]
    folder = make_folder(tmp_path / "a", times, clusters)
    sorting = read_phy(folder)
    truth = PhySortingExtractor(folder).to_numpy_sorting()
    same_windows(sorting, truth)


@pytest.mark.parametrize("kept", [{}, {"exclude_cluster_groups": "noise"}])
def test_like_spikeinterface_where_every_cluster_is_listed(
    tmp_path: Path, kept: dict[str, Any]
) -> None:
    table = (
        "cluster_id group KSLabel Amplitude n_spikes depth flag note ch_group\n"
        "2 good good 12.5 2 10 True a 0\n4 noise mua 3.5 1 20 False b 1\n"
        "7 mua good 1.0 2 30 True c 1\n9 good good 4.0 0 40 True d 1\n"
    )
    folder = make_folder(tmp_path / "a", cluster_info=table)
    ours, theirs = read_phy(folder, **kept), sie.read_phy(folder, **kept)
    assert ours.unit_ids.tolist() == theirs.unit_ids.tolist()
    assert set(ours.get_property_keys()) == set(theirs.get_property_keys())
    for key in theirs.get_property_keys():
        one, other = ours.get_property(key), theirs.get_property(key)
        assert one is not None
        assert one.dtype.kind == other.dtype.kind.replace("O", "U"), key  # pandas' text
        assert one.tolist() == other.tolist()
    assert np.array_equal(ours.to_spike_vector(), theirs.to_spike_vector())


@pytest.mark.parametrize("options", [{}, {"keep_good_only": True}, {"remove_empty_units": False}])
def test_kilosort_like_spikeinterface(tmp_path: Path, options: dict[str, bool]) -> None:
    folder = make_folder(
        tmp_path / "a", cluster_KSLabel="cluster_id KSLabel\n2 good\n4 mua\n7 good\n9 good\n"
    )
    ours, theirs = read_kilosort(folder, **options), sie.read_kilosort(folder, **options)
    assert ours.unit_ids.tolist() == theirs.unit_ids.tolist()
    assert ours.get_property("KSLabel").tolist() == list(theirs.get_property("KSLabel"))  # type: ignore[union-attr]


def test_clusters_that_no_table_lists_are_kept(tmp_path: Path) -> None:
    folder = make_folder(
        tmp_path / "a",
        cluster_group="cluster_id group\n7 good\n12 noise\n",
        cluster_snr="cluster_id snr\n2 1.5\n",
        notes="author x\n",
    )
    sorting = read_phy(folder)
    assert sorting.unit_ids.tolist() == [2, 4, 7, 12]
    assert sorting.get_property("quality").tolist() == ["unsorted", "unsorted", "good", "noise"]  # type: ignore[union-attr]
    np.testing.assert_array_equal(sorting.get_property("snr"), [1.5, np.nan, np.nan, np.nan])
    assert sorting.get_property("author") is None
    assert sorting.get_empty_unit_ids().tolist() == [12]
    assert read_kilosort(folder).unit_ids.tolist() == [2, 4, 7]
    assert read_phy(folder, exclude_cluster_groups=["unsorted"]).unit_ids.tolist() == [7, 12]
    only = read_phy(folder, load_all_cluster_properties=False)
    assert only.get_property_keys() == ["original_cluster_id", "quality"]


def test_without_tables(folder: Path) -> None:
    sorting = read_phy(folder)
    assert sorting.unit_ids.tolist() == [2, 4, 7]
    assert sorting.get_property("quality").tolist() == ["unsorted"] * 3  # type: ignore[union-attr]
    assert sorting.get_property("original_cluster_id").tolist() == [2, 4, 7]  # type: ignore[union-attr]


def test_templates_stand_in_for_clusters(folder: Path) -> None:
    (folder / "spike_clusters.npy").rename(folder / "spike_templates.npy")
    assert read_phy(folder).unit_ids.tolist() == [2, 4, 7]


def test_other_separators_and_repeated_columns(folder: Path) -> None:
    (folder / "cluster_a.csv").write_text('cluster_id,label\n2,"x, y"\n4,\n\n7,z\n')
    (folder / "cluster_b.csv").write_text("\ufeffcluster_id,label\r\n2,1\r\n4,2\r\n7,3\r\n")
    sorting = read_phy(folder)
    assert sorting.get_property("label").tolist() == ["x, y", "", "z"]  # type: ignore[union-attr]
    assert sorting.get_property("label_repeat").tolist() == [1, 2, 3]  # type: ignore[union-attr]


def test_unit_ids_that_spikeinterface_exported(tmp_path: Path) -> None:
    table = "cluster_id si_unit_id\n2 40\n4 3\n7 41\n"
    folder = make_folder(tmp_path / "a", cluster_si_unit_ids=table)
    ours, theirs = read_phy(folder), sie.read_phy(folder)
    assert ours.unit_ids.tolist() == theirs.unit_ids.tolist() == [40, 3, 41]
    assert np.array_equal(ours.to_spike_vector(), theirs.to_spike_vector())
    # After merges and splits in phy, which SpikeInterface cannot read.
    table = "cluster_id si_unit_id\n2 40\n4\n7 41\n"
    assert read_phy(make_folder(tmp_path / "b", ids=table)).unit_ids.tolist() == [40, 42, 41]
    table = "cluster_id si_unit_id\n2 40\n4 40\n7 41\n"
    assert read_phy(make_folder(tmp_path / "c", ids=table)).unit_ids.tolist() == [42, 43, 41]


def test_times_out_of_order_are_sorted(tmp_path: Path, same_windows: Same) -> None:
    folder = make_folder(tmp_path / "a", times=[9, 5, 9, 5, 31], clusters=[2, 7, 4, 2, 7])
    sorting = read_phy(folder)
    assert sorting.segments[0].count_spikes().tolist() == [2, 1, 2]
    assert sorting.segments[0].get_unit_spike_train(7, 5, 31).tolist() == [5]
    vector = read_phy(folder).to_spike_vector()
    assert vector["sample_index"].tolist() == [5, 5, 9, 9, 31]
    assert vector["unit_index"].tolist() == [2, 0, 0, 1, 2]  # ties as in the file


@pytest.mark.parametrize(
    ("params", "rate"),
    [
        ("sample_rate = 30000", 30000.0),
        ("dat_path = 'C:\\Users\\x'\nsample_rate=3e4  # Hz\n", 30000.0),
        ("sample_rate = 1\nsample_rate = 24414.0625\n", 24414.0625),
        ("\r\nn_channels_dat = 3\r\nsample_rate = 30_000\r\n", 30000.0),
    ],
)
def test_params_are_searched(tmp_path: Path, params: str, rate: float) -> None:
    assert read_phy(make_folder(tmp_path / "a", params=params)).sampling_frequency == rate


@pytest.mark.parametrize(
    ("params", "said"),
    [
        (None, "has no params.py"),
        ("", "assigns no sample_rate"),
        ("# sample_rate = 1", "assigns no sample_rate"),
        ("sample_rate = rate()", "not a plain number but 'rate\\(\\)'"),
        ("sample_rate = __import__('pathlib').Path('{marker}').touch() or 1", "plain number"),
    ],
)
def test_params_are_never_run(tmp_path: Path, params: str | None, said: str) -> None:
    marker = tmp_path / "marker"
    text = params and params.replace("{marker}", marker.as_posix())
    folder = make_folder(tmp_path / "a", params=text)
    with pytest.raises(NeedsSamplingFrequencyError, match=said):
        read_phy(folder)
    assert not marker.exists()
    sorting = read_phy(folder, sampling_frequency=20000)
    assert sorting.sampling_frequency == 20000.0
    assert sorting._kwargs["sampling_frequency"] == 20000
    assert sorting.clone().sampling_frequency == 20000.0


def test_dumps_name_only_what_spikeinterface_knows(folder: Path) -> None:
    ours, theirs = read_phy(folder), sie.read_phy(folder)
    assert ours._kwargs == theirs._kwargs
    assert read_kilosort(folder)._kwargs == sie.read_kilosort(folder)._kwargs
    path = "spikeinterface.extractors.phykilosortextractors"
    assert PhySortingExtractor._dump_class == f"{path}.{type(theirs).__name__}"
    assert KiloSortSortingExtractor._dump_class == f"{path}.KiloSortSortingExtractor"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"times": [1, 2]}, "2 spike times but 5 labels"),
        ({"times": [1.5] * 5}, "float64 are no samples"),
        ({"times": [[1, 2]] * 5}, "one column"),
        ({"clusters": [1.0] * 5}, "float64 are no integers"),
        ({"clusters": ["a"] * 5}, "are no integers"),
        ({"clusters": np.full(5, 2**63, dtype=np.uint64)}, "int64 range"),
        ({"params": "sample_rate = nan"}, "finite"),
        ({"params": "sample_rate = -5"}, "finite"),
        ({"cluster_group": "cluster_id group\nx good\n"}, "'x' is no cluster id"),
        ({"cluster_group": "cluster_id group\n2.5 good\n"}, "'2.5' is no cluster id"),
        ({"cluster_group": "cluster_id group\n1e999 good\n"}, "'1e999' is no cluster id"),
        ({"cluster_group": "cluster_id group\n2 good\n2 mua\n"}, "cluster 2 is listed twice"),
        ({"cluster_group": "cluster_id group\n2 " + "x" * 200_000}, "not a table"),
    ],
)
def test_damaged_folders(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    folder = make_folder(tmp_path / "a", **changes)
    with pytest.raises(FormatError, match=said):
        read_phy(folder).to_spike_vector()


def test_tables_that_are_no_text(folder: Path) -> None:
    (folder / "cluster_group.tsv").write_bytes(b"cluster_id\tgroup\n2\t\xff\n")
    with pytest.raises(FormatError, match=r"cluster_group\.tsv: not UTF-8"):
        read_phy(folder)
    # What is no table of clusters is none of our business.
    (folder / "cluster_group.tsv").unlink()
    (folder / "notes.csv").write_bytes(b"f\xfcr,mich\n\xff\n")
    assert read_phy(folder).unit_ids.tolist() == [2, 4, 7]


def test_missing_files(folder: Path) -> None:
    with pytest.raises(SortingFileNotFoundError):
        read_phy(folder / "absent")
    (folder / "spike_clusters.npy").unlink()
    with pytest.raises(FormatError, match=r"has no spike_clusters\.npy"):
        read_phy(folder)


def test_pickles_are_not_loaded(folder: Path) -> None:
    np.save(folder / "spike_times.npy", np.array([{}] * 5))
    with pytest.raises(UnsafeContentError, match="spike_times"):
        read_phy(folder)


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_a_mutated_folder_is_read_or_refused(
    read_or_refused: Callable[[Path], AbstractContextManager[None]],
    data: st.DataObject,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    table = "cluster_id group snr\n2 good 1.5\n4 mua 2\n"
    folder = make_folder(tmp_path_factory.mktemp("mutated") / "a", cluster_info=table)
    names = ["spike_times.npy", "spike_clusters.npy", "params.py", "cluster_info.tsv"]
    path = folder / data.draw(st.sampled_from(names))
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(len(content) - 10, len(content)))])
    with read_or_refused(folder):
        sorting = read_phy(folder)
        sorting.segments[0].count_spikes()
        sorting.segments[0].get_unit_spike_train(sorting.unit_ids[0], 3, 2**20)
        sorting.to_spike_vector()


def test_an_exported_folder_comes_back(
    tmp_path: Path, mono_sorting: NumpySorting, same_spikes: Same
) -> None:
    read = PhySortingExtractor.write_sorting(mono_sorting, tmp_path / "a")
    same_spikes(read, mono_sorting)
    for key in ("quality", "snr"):
        np.testing.assert_array_equal(read.get_property(key), mono_sorting.get_property(key))
    theirs = sie.read_phy(tmp_path / "a")
    assert np.array_equal(theirs.to_spike_vector(), mono_sorting.to_spike_vector())
    with pytest.raises(SortingExistsError):
        export_to_phy_minimal(mono_sorting, tmp_path / "a")


def test_exported_ids_and_silent_units(tmp_path: Path) -> None:
    trains = {-3: np.array([1, 2]), 2**40: np.array([], dtype=int), 5: np.array([2])}
    sorting = NumpySorting.from_unit_dict([trains], 20000.0)
    read = PhySortingExtractor.write_sorting(sorting, tmp_path / "a")
    assert read.unit_ids.tolist() == [-3, 2**40, 5]
    assert read.segments[0].count_spikes().tolist() == [2, 0, 1]
    named = PhySortingExtractor.write_sorting(sorting.rename_units(["a", "β", "c"]), tmp_path / "b")
    assert named.unit_ids.tolist() == [0, 1, 2]
    assert named.get_property("unit_id").tolist() == ["a", "β", "c"]  # type: ignore[union-attr]


def test_what_cannot_be_exported(tmp_path: Path, int_sorting: NumpySorting) -> None:
    with pytest.raises(ContractError, match="one segment"):
        export_to_phy_minimal(int_sorting, tmp_path / "a")
    sorting = NumpySorting.from_unit_dict([{1: np.array([1])}], 1.0)
    for key in ("cluster_id", "a/b"):
        with_property = sorting.clone()
        with_property.set_property(key, [1])
        with pytest.raises(InvalidNameError):
            export_to_phy_minimal(with_property, tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


def test_a_slice_of_disordered_times_counts_its_own_spikes(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    samples, labels = np.sort(rng.integers(0, 9000, 3000)), rng.integers(0, 4, 3000)
    truth = NumpySorting.from_samples_and_labels(samples, labels, 30000.0)
    export_to_phy_minimal(truth, tmp_path / "phy")
    order = rng.permutation(len(samples))
    for name in ("spike_times", "spike_clusters"):
        path = tmp_path / "phy" / f"{name}.npy"
        np.save(path, np.load(path)[order])
    part = read_phy(tmp_path / "phy").frame_slice(100, 700)
    expected = truth.frame_slice(100, 700).to_numpy_sorting()
    assert part.count_num_spikes_per_unit() == expected.count_num_spikes_per_unit()
