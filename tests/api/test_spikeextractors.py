"""Sortings of spikeextractors, the library of before 2021, and sortings that play one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import spikewire as sw
from spikewire.testing import SortingContract


class OldSorting:
    """As spikeextractors' NumpySortingExtractor was: trains and properties by unit."""

    def __init__(self, trains: dict[int, Any], sampling_frequency: float = 30000.0) -> None:
        self._trains = {unit: np.array(train, dtype=np.int64) for unit, train in trains.items()}
        self._properties: dict[int, dict[str, Any]] = {unit: {} for unit in trains}
        self._sampling_frequency = sampling_frequency

    def get_sampling_frequency(self) -> float:
        return self._sampling_frequency

    def get_unit_ids(self) -> list[int]:
        return list(self._trains)

    def get_unit_spike_train(
        self, unit_id: int, start_frame: int | None = None, end_frame: int | None = None
    ) -> Any:
        train = self._trains[unit_id]
        start = -np.inf if start_frame is None else start_frame
        end = np.inf if end_frame is None else end_frame
        return train[(train >= start) & (train < end)]

    def set_unit_property(self, unit_id: int, property_name: str, value: Any) -> None:
        self._properties[unit_id][property_name] = value

    def get_unit_property_names(self, unit_id: int) -> list[str]:
        return sorted(self._properties[unit_id])

    def get_unit_property(self, unit_id: int, property_name: str) -> Any:
        return self._properties[unit_id][property_name]


@pytest.fixture
def old() -> OldSorting:
    made = OldSorting({3: [1, 5, 9, 9], 1: [2, 9], 8: []})
    for unit, depth in ((3, 30.0), (1, 10.0), (8, 80.0)):
        made.set_unit_property(unit, "depth", depth)
        made.set_unit_property(unit, "group", unit % 2)
    made.set_unit_property(1, "quality", "good")
    made.set_unit_property(3, "channel", 7)
    return made


class TestOldSortingsKeepTheContract(SortingContract):
    truth_names = ("negative", "no_units", "many_units")
    keeps_tie_order = False

    def make_sorting(self, truth: sw.NumpySorting, folder: Path) -> sw.BaseSorting:
        return sw.create_sorting_from_old_extractor(
            OldSorting({unit: truth.get_unit_spike_train(unit) for unit in truth.unit_ids})
        )


def test_an_old_extractor_becomes_a_sorting(old: OldSorting) -> None:
    made = sw.create_sorting_from_old_extractor(old)
    assert made.unit_ids.tolist() == [3, 1, 8]
    assert made.sampling_frequency == 30000.0
    assert made.get_unit_spike_train(3, start_frame=5).tolist() == [5, 9, 9]
    assert made.get_property("depth").tolist() == [30.0, 10.0, 80.0]
    assert made.get_property("quality").tolist() == ["", "good", ""]
    assert made.get_property("channel").tolist()[:1] == [7.0]
    assert np.isnan(made.get_property("channel")[1:]).all()
    assert not made.check_serializability("json")


def test_a_property_of_many_shapes_is_left_out(old: OldSorting) -> None:
    old.set_unit_property(3, "template", [1, 2])
    old.set_unit_property(1, "template", [1])
    with pytest.warns(UserWarning, match="'template' is left out"):
        made = sw.create_sorting_from_old_extractor(old)
    assert "template" not in made.get_property_keys()


def test_it_is_what_spikeinterface_makes_of_it(old: OldSorting) -> None:
    si = pytest.importorskip("spikeinterface", reason="SpikeInterface is not installed")
    ours = sw.create_sorting_from_old_extractor(old)
    theirs = si.create_sorting_from_old_extractor(old)
    assert ours.unit_ids.tolist() == theirs.unit_ids.tolist()
    assert ours.to_spike_vector().tolist() == theirs.to_spike_vector().tolist()
    assert ours.get_property_keys() == theirs.get_property_keys()
    for key in theirs.get_property_keys():
        np.testing.assert_array_equal(ours.get_property(key), theirs.get_property(key))
        assert ours.get_property(key).dtype == theirs.get_property(key).dtype


def test_a_sorting_plays_an_old_extractor() -> None:
    si = pytest.importorskip("spikeinterface", reason="SpikeInterface is not installed")
    spikes = np.zeros(4, dtype=sw.minimum_spike_dtype)
    spikes["sample_index"], spikes["unit_index"] = [1, 4, 4, 8], [0, 1, 0, 1]
    ours = sw.create_extractor_from_new_sorting(sw.NumpySorting(spikes, 30000.0, [7, 2]))
    theirs = si.create_extractor_from_new_sorting(si.NumpySorting(spikes, 30000.0, [7, 2]))
    assert ours.get_unit_ids() == theirs.get_unit_ids()
    assert ours.get_sampling_frequency() == theirs.get_sampling_frequency()
    for call in (
        lambda s: [s.get_unit_spike_train(7, end_frame=5)],
        lambda s: s.get_units_spike_train(),
        lambda s: s.get_units_spike_train([2], 4, 8),
    ):
        assert [t.tolist() for t in call(ours)] == [t.tolist() for t in call(theirs)]


def test_there_and_back(old: OldSorting) -> None:
    made = sw.create_sorting_from_old_extractor(old)
    again = sw.create_sorting_from_old_extractor(sw.create_extractor_from_new_sorting(made))
    sw.check_sortings_equal(again, made, check_properties=True)


def test_units_without_numbers_are_numbered() -> None:
    sorting = sw.NumpySorting.from_unit_dict({"a": np.array([1]), "b": np.array([2])}, 30000.0)
    sorting.set_property("depth", [10.0, 20.0])
    old = sw.create_extractor_from_new_sorting(sorting)
    assert old.get_unit_ids() == [0, 1]
    assert old.get_unit_spike_train(1).tolist() == [2]
    assert old.get_unit_property(1, "depth") == 20.0


def test_only_one_segment_fits() -> None:
    with pytest.raises(AssertionError, match="one segment, not 2"):
        sw.create_extractor_from_new_sorting(sw.generate_sorting(seed=0))
