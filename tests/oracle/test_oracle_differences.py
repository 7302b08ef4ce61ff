"""Where we differ from SpikeInterface on purpose: both sides, so that neither moves unseen.

Each test is a row of docs/differences.md.
"""

from __future__ import annotations

import json
import pickle
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import spikeinterface as si
from spikeinterface.core.testing import check_sortings_equal as si_check_equal

import spikewire as sw
from spikewire import curation as sw_curation

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from spikeinterface import curation as si_curation

FREQUENCY = 30000.0
EMPTY = np.zeros(0, dtype=sw.minimum_spike_dtype)


def vector(*rows: tuple[int, int, int]) -> Any:
    return np.array(list(rows), dtype=sw.minimum_spike_dtype)


@pytest.fixture
def ours(new_pair: Callable[[str], Any]) -> Any:
    return new_pair("ints").ours


@pytest.fixture
def theirs(new_pair: Callable[[str], Any]) -> Any:
    return new_pair("ints").theirs


# -- reading ------------------------------------------------------------------------------


def test_what_is_handed_out_is_read_only(theirs: Any, ours: Any) -> None:
    theirs.get_unit_spike_train(1, 0)[0] = 7
    for array in (
        ours.get_unit_spike_train(1, 0),
        ours.to_spike_vector(),
        ours.unit_ids,
        ours.to_reordered_spike_vector()[0],
        *ours.to_spike_columns(0),
    ):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 7


def test_bounds_are_numbers(theirs: Any, ours: Any) -> None:
    for bound in ("7", float("nan")):
        theirs.get_unit_spike_train(1, 0, bound)
        with pytest.raises(TypeError, match="must be a number"):
            ours.get_unit_spike_train(1, 0, bound)


def test_fractions_of_frames_in_seconds() -> None:
    spikes = vector((10, 0, 0), (11, 0, 0))
    read = {"start_frame": 10.5, "return_times": True}
    theirs = si.NumpySorting(spikes, FREQUENCY, [1]).get_unit_spike_train(1, **read)
    assert len(theirs) == 2  # 10.5 is rounded, half to even
    assert len(sw.NumpySorting(spikes, FREQUENCY, [1]).get_unit_spike_train(1, **read)) == 1


def test_trains_are_int64(theirs: Any) -> None:
    narrow = [(name, "int32") for name, _ in sw.minimum_spike_dtype]
    spikes = vector((10, 0, 0)).astype(narrow)
    assert si.NumpySorting(spikes, FREQUENCY, [1]).get_unit_spike_train(1).dtype == np.int32
    ours = sw.NumpySorting(spikes, FREQUENCY, [1])
    assert ours.get_unit_spike_train(1).dtype == np.int64
    assert ours.to_spike_vector().dtype == narrow


def test_unknown_units_are_value_errors_uncached(theirs: Any, ours: Any) -> None:
    with pytest.raises(KeyError):
        theirs.select_units([1]).get_unit_spike_train(2, 0, use_cache=False)
    with pytest.raises(ValueError, match="unit"):
        ours.select_units([1]).get_unit_spike_train(2, 0, use_cache=False)


def test_no_ids_prefer_a_slice(theirs: Any, ours: Any) -> None:
    with pytest.raises(IndexError):
        theirs.ids_to_indices([], prefer_slice=True)
    assert ours.ids_to_indices([], prefer_slice=True) == slice(0, 0)


def test_segments_are_checked_without_a_recording(theirs: Any, ours: Any) -> None:
    assert theirs.get_times(9) is None
    assert theirs.has_time_vector(9) is False
    for call in (ours.get_times, ours.has_time_vector):
        with pytest.raises(IndexError):
            call(9)


def test_times_to_frames(theirs: Any, ours: Any) -> None:
    with pytest.raises(TypeError):
        theirs.time_to_sample_index(1.0, segment_index=None)
    with pytest.raises(ValueError, match="segment_index"):
        ours.time_to_sample_index(1.0, segment_index=None)
    with pytest.raises(TypeError):
        theirs.time_to_sample_index(np.array([1.0, 2.0]))
    assert ours.time_to_sample_index(np.array([1.0, 2.0])).tolist() == [30000, 60000]


# -- making sortings ----------------------------------------------------------------------


def test_spike_vectors_are_checked() -> None:
    for wrong in (
        vector((5, 0, 0), (4, 0, 0)),
        vector((5, 0, 1), (6, 0, 0)),
        vector((5, 2, 0)),
        vector((5, -1, 0)),
    ):
        si.NumpySorting(wrong, FREQUENCY, [1, 2])
        with pytest.raises(sw.errors.InvalidValueError):
            sw.NumpySorting(wrong, FREQUENCY, [1, 2])


def test_unit_ids_are_unique() -> None:
    assert len(si.NumpySorting(EMPTY, FREQUENCY, [1, 1]).unit_ids) == 2
    with pytest.raises(AssertionError, match="unique"):
        sw.NumpySorting(EMPTY, FREQUENCY, [1, 1])


def test_no_ids_keep_a_dtype(theirs: Any, ours: Any) -> None:
    assert theirs.select_units([]).unit_ids.dtype == np.float64
    assert ours.select_units([]).unit_ids.dtype == np.int64
    assert sw.NumpySorting(EMPTY, FREQUENCY, []).unit_ids.dtype == np.int64


def test_text_ids_keep_their_width(new_pair: Callable[[str], Any]) -> None:
    pair = new_pair("strings")
    assert pair.theirs.select_units(["b"]).get_non_empty_unit_ids().dtype == "<U1"
    silent = vector((1, 0, 0)), FREQUENCY, ["b", "unit 10"]
    assert si.NumpySorting(*silent).get_non_empty_unit_ids().dtype == "<U1"
    assert sw.NumpySorting(*silent).get_non_empty_unit_ids().dtype == "<U7"


def test_sampling_frequencies_are_numbers() -> None:
    for wrong in (float("nan"), float("inf"), -1.0):
        si.NumpySorting(EMPTY, wrong, [1])
        with pytest.raises(ValueError, match="sampling_frequency"):
            sw.NumpySorting(EMPTY, wrong, [1])


def test_trailing_segments_survive() -> None:
    samples, labels = [np.array([3]), np.array([], dtype=int)], [np.array([1])] * 2
    labels[1] = labels[1][:0]
    make = (samples, labels, FREQUENCY)
    assert si.NumpySorting.from_samples_and_labels(*make).get_num_segments() == 1
    ours = sw.NumpySorting.from_samples_and_labels(*make)
    assert ours.get_num_segments() == 2
    for copy in (ours.to_numpy_sorting(), ours.clone(), pickle.loads(pickle.dumps(ours))):
        assert copy.get_num_segments() == 2


def test_other_labels_are_left_out() -> None:
    make = (np.array([3, 4]), np.array([1, 9]), FREQUENCY, [1])
    assert si.NumpySorting.from_samples_and_labels(*make).count_total_num_spikes() == 2
    assert sw.NumpySorting.from_samples_and_labels(*make).count_total_num_spikes() == 1


def test_samples_are_checked() -> None:
    make = (np.array([3.0, np.nan]), np.array([1, 1]), FREQUENCY)
    with pytest.raises(ValueError, match="finite"):
        sw.NumpySorting.from_samples_and_labels(*make)
    with pytest.raises(ValueError, match="lengths"):
        sw.NumpySorting.from_samples_and_labels(np.arange(3), np.arange(2), FREQUENCY)


# -- properties ---------------------------------------------------------------------------


def test_a_failed_write_leaves_nothing(theirs: Any, ours: Any) -> None:
    for sorting in (theirs, ours):
        with pytest.raises(ValueError, match="99"):
            sorting.set_property("p", [1.0], ids=[99])
    assert theirs.get_property_keys() == ["p"]
    assert ours.get_property_keys() == []


def test_a_partial_write_leaves_the_callers_array_alone(theirs: Any, ours: Any) -> None:
    for sorting, expected in ((theirs, [5.0, 0, 0, 0]), (ours, [0.0, 0, 0, 0])):
        mine = np.zeros(4)
        sorting.set_property("p", mine)
        sorting.set_property("p", [5.0], ids=[1])
        assert mine.tolist() == expected
        assert sorting.get_property("p").tolist() == [5.0, 0, 0, 0]


def test_one_value_for_all_ids(theirs: Any, ours: Any) -> None:
    with pytest.raises(IndexError):
        theirs.set_property("p", [5], ids=[1, 2, 3, 4])
    ours.set_property("p", [5], ids=[1, 2, 3, 4])
    assert ours.get_property("p").tolist() == [5] * 4


def test_bytes_are_widened_like_text(theirs: Any, ours: Any) -> None:
    for sorting, expected in ((theirs, b"l"), (ours, b"long")):
        sorting.set_property("p", [b"a", b"b", b"c", b"d"])
        sorting.set_property("p", [b"long"], ids=[1])
        assert sorting.get_property("p")[0] == expected


def test_errors_of_properties(theirs: Any, ours: Any) -> None:
    with pytest.raises(TypeError):
        theirs.get_unit_property(1, "nothing")
    with pytest.raises(LookupError):
        ours.get_unit_property(1, "nothing")
    with pytest.raises(IndexError):
        theirs.set_property("p", 5)
    with pytest.raises(AssertionError):
        ours.set_property("p", 5)
    theirs.set_property(7, [1, 2, 3, 4])
    with pytest.raises(TypeError, match="text"):
        ours.set_property(7, [1, 2, 3, 4])


def test_copying_the_main_metadata_without_a_name(theirs: Any, ours: Any) -> None:
    with pytest.raises(KeyError):
        theirs.copy_metadata(theirs.clone(), only_main=True)
    ours.copy_metadata(ours.clone(), only_main=True)


# -- views --------------------------------------------------------------------------------


def test_selections_keep_start_times(theirs: Any, ours: Any) -> None:
    for sorting, expected in ((theirs, 0.0), (ours, 5.0)):
        sorting.shift_times(5.0)
        assert sorting.select_units([1]).get_start_time(0) == expected


def test_units_are_selected_once(theirs: Any, ours: Any) -> None:
    theirs.select_units([1, 1], renamed_unit_ids=[5, 6])
    with pytest.raises(AssertionError, match="once"):
        ours.select_units([1, 1], renamed_unit_ids=[5, 6])


TIED = vector((5, 1, 0), (5, 0, 0), (9, 1, 0))


@pytest.mark.parametrize(
    "view",
    [
        lambda s, _: s.frame_slice(0, 10),
        lambda s, library: library.select_segment_sorting(s, 0),
        lambda s, library: library.append_sortings([s]),
        lambda s, library: library.aggregate_units([s]),
        lambda s, library: library.concatenate_sortings([s], total_samples_list=[10]),
    ],
)
def test_views_keep_the_order_of_ties(view: Any) -> None:
    theirs = view(si.NumpySorting(TIED, FREQUENCY, [1, 2]), si)
    assert theirs.to_spike_vector()["unit_index"].tolist() == [0, 1, 1]
    ours = view(sw.NumpySorting(TIED, FREQUENCY, [1, 2]), sw)
    assert ours.to_spike_vector()["unit_index"].tolist() == [1, 0, 1]


def test_slices_end_where_they_end() -> None:
    spikes = vector((5, 0, 0), (15, 0, 0), (25, 0, 0))
    window = {"start_frame": -8, "end_frame": 12, "use_cache": False}
    theirs = si.NumpySorting(spikes, FREQUENCY, [1]).frame_slice(10, 20)
    assert theirs.get_unit_spike_train(1, **window).tolist() == [-5, 5]
    ours = sw.NumpySorting(spikes, FREQUENCY, [1]).frame_slice(10, 20)
    assert ours.get_unit_spike_train(1, **window).tolist() == [5]


def test_slices_of_silent_units() -> None:
    spikes = vector((5, 0, 0))
    with pytest.raises(ValueError, match="zero-size"):
        si.NumpySorting(spikes, FREQUENCY, [1, 2]).frame_slice(0, None)
    ours = sw.NumpySorting(spikes, FREQUENCY, [1, 2]).frame_slice(0, None)
    assert ours.get_unit_spike_train(1).tolist() == [5]


def test_periods_keep_metadata_and_segments(theirs: Any, ours: Any) -> None:
    periods = np.zeros(1, dtype=sw.unit_period_dtype)
    periods["end_sample_index"] = 1000
    for sorting in (theirs, ours):
        sorting.annotate(rat="a")
    assert theirs.select_periods(periods).get_annotation("rat") is None
    assert theirs.select_periods(periods).get_num_segments() == 1
    assert ours.select_periods(periods).get_annotation("rat") == "a"
    assert ours.select_periods(periods).get_num_segments() == 2


def test_splitting_twice(theirs: Any, ours: Any) -> None:
    for sorting in (theirs, ours):
        sorting.set_property("group", [1, 1, 2, 2])
        sorting.set_property("side", list("lrlr"))
    with pytest.raises(ValueError, match="overwrite"):
        theirs.split_by("group")[1].split_by("side")
    assert ours.split_by("group")[1].split_by("side")["r"].unit_ids.tolist() == [2]


def test_selecting_segments_leaves_the_parent_alone(theirs: Any, ours: Any) -> None:
    view = si.select_segment_sorting(theirs, 0)
    assert theirs.segments[0].parent_extractor is view
    view = sw.select_segment_sorting(ours, 0)
    assert ours.segments[0].parent_extractor is ours


def test_aggregations_keep_their_keys(theirs: Any, ours: Any) -> None:
    both = si.aggregate_units({"x": theirs, "y": theirs}).clone()
    assert "aggregation_key" in both.get_property_keys()
    assert isinstance(both.to_dict()["kwargs"]["sorting_list"], list)
    kwargs = sw.aggregate_units({"x": ours, "y": ours}).to_dict()["kwargs"]
    assert list(kwargs["sorting_list"]) == ["x", "y"]


# -- curation ---------------------------------------------------------------------------


LABELS = {
    "format_version": "2",
    "unit_ids": [1, 2, 3, 4],
    "label_definitions": {"quality": {"label_options": ["good", "bad"], "exclusive": True}},
    "manual_labels": [{"unit_id": 1, "labels": {"quality": ["good"]}}],
}


def test_curations_leave_the_sorting_alone(theirs: Any, ours: Any) -> None:
    assert si_curation.apply_curation(theirs, LABELS) is theirs
    assert theirs.get_property_keys() == ["quality"]
    curated = sw_curation.apply_curation(ours, LABELS)
    assert ours.get_property_keys() == []
    assert curated.get_property("quality").tolist() == ["good", "", "", ""]


def test_merges_and_splits_keep_annotations(theirs: Any, ours: Any) -> None:
    for sorting, expected in ((theirs, None), (ours, "a")):
        library = sw if sorting is ours else si
        sorting.annotate(rat="a")
        assert library.apply_merges_to_sorting(sorting, [[1, 2]]).get_annotation("rat") == expected


def test_splits_take_each_spike_once(theirs: Any, ours: Any) -> None:
    count = int(ours.count_num_spikes_per_unit()[1])
    twice = {1: [np.zeros(count - 1, dtype=int), [0]]}
    si.apply_splits_to_sorting(theirs, twice)
    with pytest.raises(ValueError, match="once"):
        sw.apply_splits_to_sorting(ours, twice)


def test_windows_of_curated_views_end_before_their_end() -> None:
    spikes = vector((5, 0, 0), (100, 0, 0), (200, 1, 0))
    for sorting, curation, expected in (
        (si.NumpySorting(spikes, FREQUENCY, [1, 2]), si_curation, [5, 100]),
        (sw.NumpySorting(spikes, FREQUENCY, [1, 2]), sw_curation, [5]),
    ):
        view = curation.remove_duplicated_spikes(sorting)
        assert view.get_unit_spike_train(1, 0, 0, 100, use_cache=False).tolist() == expected


def test_splits_with_different_parts_in_segments(theirs: Any, ours: Any) -> None:
    trains = [ours.get_unit_spike_train(1, index) for index in range(2)]
    numbers = [np.arange(len(trains[0])) % 2, np.zeros(len(trains[1]), dtype=int)]
    with pytest.raises(ValueError, match="inhomogeneous"):
        si_curation.SplitUnitSorting(theirs, 1, numbers)
    assert sw_curation.SplitUnitSorting(ours, 1, numbers).unit_ids.tolist() == [2, 3, 4, 5, 6]
    with pytest.raises(ValueError, match="numbers for"):
        sw_curation.SplitUnitSorting(ours, 1, [numbers[0][1:], numbers[1]])


def test_redoing_stops_at_the_end(theirs: Any, ours: Any) -> None:
    session = si_curation.CurationSorting(theirs)
    assert session.redo_available()
    session = sw_curation.CurationSorting(ours)
    assert not session.redo_available()
    session.redo()
    assert session.sorting is ours


# -- copies, dumps, files -----------------------------------------------------------------


def test_pickles_keep_metadata(theirs: Any, ours: Any) -> None:
    for sorting, expected in ((theirs, None), (ours, "a")):
        sorting.annotate(rat="a")
        assert pickle.loads(pickle.dumps(sorting)).get_annotation("rat") == expected


def test_dumps_have_the_keys_of_both_dialects(theirs: Any, ours: Any) -> None:
    their_dump, our_dump = theirs.to_dict(), ours.to_dict()
    assert set(our_dump) - set(their_dump) == {"dumpable", "spikewire"}
    assert set(their_dump) <= set(our_dump)
    assert their_dump["properties"] == {"main_channel_id": None}
    assert our_dump["properties"] == {}


def test_classes_are_never_imported_by_name(tmp_path: Path) -> None:
    dump = {
        "class": "subprocess.Popen",
        "module": "subprocess",
        "kwargs": {"args": f"touch {tmp_path / 'ours'}", "shell": True},
        "version": "0.105.3",
        "annotations": {},
        "properties": {},
        "relative_paths": False,
    }
    with pytest.raises(AssertionError, match="not a known class"):
        sw.load(dump)
    (tmp_path / "dump.json").write_text(json.dumps(dump))
    with pytest.raises(sw.errors.UnknownClassError):
        sw.load(tmp_path / "dump.json")
    assert not (tmp_path / "ours").exists()


def test_properties_may_be_absent_from_a_dump(theirs: Any, ours: Any) -> None:
    dumps = [theirs.to_dict(), ours.to_dict()]
    for dump in dumps:
        del dump["properties"]
    with pytest.raises(KeyError):
        si.load(dumps[0])
    assert sw.load(dumps[1]).get_num_units() == 4


def test_old_options_of_save_are_accepted(theirs: Any, ours: Any, tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        theirs.save(folder=tmp_path / "theirs", verbose=False)
    with pytest.warns(DeprecationWarning, match="verbose, n_jobs"):
        ours.save(folder=tmp_path / "ours", verbose=False, n_jobs=1)


def test_equal_sortings_have_equal_units(theirs: Any, ours: Any) -> None:
    si_check_equal(theirs, theirs.rename_units(list("abcd")))
    with pytest.raises(AssertionError, match="unit ids differ"):
        sw.check_sortings_equal(ours, ours.rename_units(list("abcd")))
    empty = si.NumpySorting(EMPTY, FREQUENCY, [1])
    with pytest.raises(ValueError, match="zero-size"):
        si_check_equal(empty, empty)
    empty = sw.NumpySorting(EMPTY, FREQUENCY, [1])
    sw.check_sortings_equal(empty, empty)


def test_html_is_escaped(theirs: Any, ours: Any) -> None:
    for sorting in (theirs, ours):
        sorting.annotate(note="<script>alert(1)</script>")
    assert "<script>" in theirs._repr_html_()
    assert "<script>" not in ours._repr_html_()
