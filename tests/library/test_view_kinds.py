"""Views of every kind that a server evaluates, and readers with options."""

from __future__ import annotations

import datetime

import numpy as np
import pytest

from spikewire import (
    aggregate_units,
    append_sortings,
    concatenate_sortings,
    select_segment_sorting,
)
from spikewire.core.comparison import check_sortings_equal
from spikewire.core.dump import SortingReference
from spikewire.core.errors import DumpError, FormatError, LimitExceededError, UnknownClassError
from spikewire.core.numpy_sorting import NumpySorting
from spikewire.curation import (
    MergeUnitsSorting,
    RemoveDuplicatedSpikesSorting,
    SplitUnitSorting,
    remove_excess_spikes,
)
from spikewire.extractors import (
    KiloSortSortingExtractor,
    NeuroScopeSortingExtractor,
    NwbSortingExtractor,
    PhySortingExtractor,
    export_to_phy_minimal,
)
from spikewire.extractors.tables import MAX_SEGMENTS
from spikewire_server.library import State


def one_segment():
    rng = np.random.default_rng(4)
    made = NumpySorting.from_samples_and_labels(
        np.sort(rng.integers(0, 5000, 400)), rng.integers(0, 4, 400), 30_000.0
    )
    made.set_property("p", np.array([10, 20, 30, 40]))
    made.annotate(rat="Ada")
    return made


def split_numbers(sorting):
    counts = sorting.count_num_spikes_per_unit(outputs="array")
    return [np.arange(counts[1]) % 2]


VIEWS = {
    "frame_slice": lambda s: s.frame_slice(100, 3000),
    "select_units": lambda s: s.select_units([3, 1], renamed_unit_ids=["a", "b"]),
    "aggregate_units": lambda s: aggregate_units([s, s.select_units([2])]),
    "aggregate_units of a dict": lambda s: aggregate_units({"x": s, "y": s}),
    "append_sortings": lambda s: append_sortings([s, s]),
    "concatenate_sortings": lambda s: concatenate_sortings([s, s], [5000, 6000]),
    "select_segment_sorting": lambda s: select_segment_sorting(append_sortings([s, s]), [1, 0]),
    "merge": lambda s: MergeUnitsSorting(s, [[0, 2]], new_unit_ids=[9]),
    "split": lambda s: SplitUnitSorting(s, 1, split_numbers(s)),
    "remove_duplicated_spikes": lambda s: RemoveDuplicatedSpikesSorting(s, 1.0),
    "nested": lambda s: append_sortings([s.frame_slice(0, 3000), s]).select_units([0, 3]),
}


def referring(value, sorting, name):
    """A dump dict of a view, with references in place of the sorting that it is a view of."""
    if value is sorting:
        return SortingReference(name)
    if hasattr(value, "to_dict"):
        return {**value.to_dict(), "kwargs": referring(value._kwargs, sorting, name)}
    if isinstance(value, dict):
        return {key: referring(item, sorting, name) for key, item in value.items()}
    return [referring(item, sorting, name) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("kind", VIEWS)
def test_a_view_is_the_same_on_a_server(library, upload, kind):
    parent = one_segment()
    upload(library, "s", parent, piece=1000)
    local = VIEWS[kind](parent)
    library.register("v", referring(local, parent, "s"))
    made = library.open("v").sorting
    check_sortings_equal(made, local.to_numpy_sorting())
    assert made.get_property_keys() == local.get_property_keys()
    for key in local.get_property_keys():
        np.testing.assert_array_equal(made.get_property(key), local.get_property(key))
    assert library.describe("v").class_name == type(local).__name__
    for segment, expected in zip(made.segments, local.segments, strict=True):
        for window in ((None, None), (500, 2000)):
            counts = segment.count_spikes_between(*window)
            np.testing.assert_array_equal(counts, expected.count_spikes_between(*window))


def test_what_takes_objects_is_refused(library, upload):
    upload(library, "s", one_segment(), piece=1000)

    class Recording:
        def get_num_samples(self, segment_index=None):
            return 3000

        def get_num_segments(self):
            return 1

        def get_sampling_frequency(self):
            return 30_000.0

    parent = one_segment()
    view = remove_excess_spikes(parent, Recording())
    with pytest.raises(UnknownClassError, match="does not make RemoveExcessSpikesSorting"):
        library.register("v", referring(view, parent, "s"))


WRONG = {
    "frame_slice": [
        {"start_frame": "x"},
        {"start_frame": float("nan")},
        {"end_frame": 10**30, "start_frame": 10**29},
        {"start_frame": 7, "end_frame": 3},
        {"start_frame": [1]},
        {"surprise": 1},
        {"file_path": "/etc/passwd"},
    ],
    "select_segment_sorting": [
        {"segment_indices": [0] * (MAX_SEGMENTS + 1)},
        {"segment_indices": np.zeros(MAX_SEGMENTS + 1, dtype=np.int64)},
        {"segment_indices": [7]},
        {"segment_indices": None},
        {"segment_indices": {"a": 1}},
    ],
    "concatenate_sortings": [
        {"total_samples_list": [1, 2]},
        {"total_samples_list": [2**70, 2**70]},
        {"total_samples_list": ["a", "b"]},
        {"total_samples_list": None},
    ],
    "merge": [
        {"units_to_merge": 7},
        {"units_to_merge": [[0, 99]]},
        {"delta_time_ms": "long"},
        {"properties_policy": "sell"},
    ],
    "split": [{"indices_list": [[0] * 3]}, {"indices_list": "x"}, {"split_unit_id": None}],
    "remove_duplicated_spikes": [{"method": "random"}, {"censored_period_ms": "x"}],
    "aggregate_units": [{"sorting_list": []}, {"renamed_unit_ids": [1]}],
}


@pytest.mark.parametrize(
    ("kind", "changes"), [(kind, changes) for kind in WRONG for changes in WRONG[kind]]
)
def test_wrong_arguments_end_in_one_clear_error(library, upload, kind, changes):
    parent = one_segment()
    upload(library, "s", parent, piece=1000)
    dump = referring(VIEWS[kind](parent), parent, "s")
    dump["kwargs"] |= changes
    with pytest.raises((DumpError, ValueError, AssertionError, TypeError)) as caught:
        library.register("v", dump)
    assert "passwd" not in str(caught.value) or isinstance(caught.value, DumpError)


def test_views_of_views_do_not_grow_without_end(library, upload, monkeypatch):
    monkeypatch.setattr("spikewire_server.library.views.MAX_SEGMENTS", 100)
    monkeypatch.setattr("spikewire_server.library.view_nodes._MAX_NODES", 20)
    upload(library, "0", one_segment(), piece=1000)

    def appended(level, count):
        parents = [SortingReference(f"{level}")] * count
        return {**append_sortings([one_segment()]).to_dict(), "kwargs": {"sorting_list": parents}}

    library.register("1", appended(0, 11))
    with pytest.raises(LimitExceededError, match="121 segments is too large"):
        library.register("2", appended(1, 11))
    with pytest.raises(DumpError, match="at most 20 sortings"):
        library.register("2", appended(0, 20))


def nwb(path, **recording):
    """The units of a session, and the place of a recording beside them."""
    h5py = pytest.importorskip("h5py", reason="h5py, which writes the file, is not installed")
    start = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)
    NwbSortingExtractor.write_sorting(one_segment(), path, start)
    with h5py.File(path, "r+") as file:
        series = file.create_group("acquisition/raw")
        series.attrs["neurodata_type"] = "ElectricalSeries"
        time = series.create_dataset("starting_time", data=-0.5)
        time.attrs["rate"] = 30_000.0


@pytest.mark.parametrize(
    ("options", "moved"),
    [
        ({"electrical_series_path": "acquisition/raw"}, 15_000),
        ({"t_start": 0.0}, 0),
        ({"t_start": -0.5, "sampling_frequency": 30_000.0}, 15_000),
    ],
)
def test_an_nwb_file_with_a_recording_is_told_its_times(library, root, options, moved):
    pytest.importorskip("pyfive", reason="the extra [nwb] is not installed")
    nwb(root / "a.nwb")
    untold = library.describe("lab/a.nwb")
    assert untold.state is State.BROKEN
    assert "'kwargs': {'file_path': 'lab/a.nwb', 'OPTION': 'VALUE'}}, NAME)" in untold.state_detail
    assert str(root) not in untold.state_detail
    path = {"file_path": "lab/a.nwb"}
    dump = {"class": NwbSortingExtractor._dump_class, "version": "0.105.3", "annotations": {}}
    library.register("told", dump | {"kwargs": path | options})
    made, truth = library.open("told").sorting, one_segment()
    assert made.sampling_frequency == 30_000.0
    for unit in truth.unit_ids:
        expected = truth.get_unit_spike_train(unit) + moved
        assert made.get_unit_spike_train(unit).tolist() == expected.tolist()
    for wrong in ({"t_start": "x"}, {"t_start": float("nan")}, {"electrical_series_path": 7}):
        with pytest.raises(DumpError):
            library.register("no", dump | {"kwargs": path | wrong})
    with pytest.raises((ValueError, FormatError), match="no recording at"):
        library.register("no", dump | {"kwargs": path | {"electrical_series_path": "../../../etc"}})


def test_neuroscope_is_read_in_part(library, root):
    sorting = one_segment()
    sorting.set_property("group", np.array([1, 1, 2, 2]))
    NeuroScopeSortingExtractor.write_sorting(sorting, root / "n")
    dump = {
        "class": NeuroScopeSortingExtractor._dump_class,
        "version": "0.105.3",
        "annotations": {},
    }
    options = {"keep_mua_units": False, "exclude_shanks": [2]}
    library.register("part", dump | {"kwargs": {"folder_path": "lab/n"} | options})
    local = NeuroScopeSortingExtractor(root / "n", **options)
    check_sortings_equal(library.open("part").sorting, local)
    for wrong in ({"exclude_shanks": "12"}, {"exclude_shanks": [True]}, {"keep_mua_units": 3}):
        with pytest.raises(DumpError, match="lets nobody choose"):
            library.register("no", dump | {"kwargs": {"folder_path": "lab/n"} | wrong})


@pytest.mark.parametrize("reader", [PhySortingExtractor, KiloSortSortingExtractor])
def test_a_configured_rate_goes_with_options(start, rule, root, reader):
    export_to_phy_minimal(one_segment(), root / "p")
    (root / "p" / "params.py").unlink()
    library = start(sampling_frequency=(rule.parse("lab/*=25000"),))
    dump = {"class": reader._dump_class, "version": "0.105.3", "annotations": {}}
    option = (
        {"exclude_cluster_groups": ["noise"]}
        if reader is PhySortingExtractor
        else {"remove_empty_units": True}
    )
    library.register("v", dump | {"kwargs": {"folder_path": "lab/p"} | option})
    assert library.open("v").sorting.sampling_frequency == 25_000.0
