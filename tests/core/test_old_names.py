"""What SpikeInterface has dropped works, and warns."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import spikewire as sw

SAMPLES = [np.array([1, 5, 9]), np.array([2, 3])]
LABELS = [np.array([1, 2, 1]), np.array([2, 2])]


@pytest.fixture
def sorting() -> sw.NumpySorting:
    return sw.NumpySorting.from_samples_and_labels(SAMPLES, LABELS, 30000.0)


@pytest.fixture
def recorded(sorting: sw.NumpySorting, tmp_path: Path) -> sw.BaseSorting:
    sw.NpzSortingExtractor.write_sorting(sorting, tmp_path / "spikes.npz")
    return sw.NpzSortingExtractor(tmp_path / "spikes.npz")


@pytest.mark.parametrize(
    "make",
    [
        lambda s: sw.NumpySorting.from_times_labels(SAMPLES, LABELS, 30000.0),
        lambda s: sw.NumpySorting.from_extractor(s),
        lambda s: sw.NumpySorting.from_dict(
            [{1: SAMPLES[0][::2], 2: SAMPLES[0][1:2]}, {1: SAMPLES[1][:0], 2: SAMPLES[1]}], 30000.0
        ),
        lambda s: sw.NumpySorting.from_dict(
            [{1: SAMPLES[0][::2], 2: SAMPLES[0][1:2]}, {1: SAMPLES[1][:0], 2: SAMPLES[1]}],
            sampling_frequency=30000.0,
        ),
    ],
)
def test_constructors(make: Callable[[Any], sw.BaseSorting], sorting: sw.NumpySorting) -> None:
    with pytest.warns(DeprecationWarning, match=r"NumpySorting\.from_"):
        made = make(sorting)
    sw.check_sortings_equal(made, sorting)


def test_from_dict_still_loads_dumps(recorded: sw.BaseSorting) -> None:
    sw.check_sortings_equal(sw.NumpySorting.from_dict(recorded.to_dict()), recorded)
    sw.check_sortings_equal(sw.BaseSorting.from_dict(recorded.to_dict(), None), recorded)


@pytest.mark.parametrize(
    "arguments", [{"sampling_frequency": 30000.0, "unit_ids": [1, 2]}, (30000.0, [1, 2])]
)
def test_segments_added_one_by_one(arguments: Any, sorting: sw.NumpySorting) -> None:
    named, positional = (arguments, ()) if isinstance(arguments, dict) else ({}, arguments)
    with pytest.warns(DeprecationWarning, match="from_unit_dict"):
        made = sw.NumpySorting(*positional, **named)
    assert made.get_num_segments() == 0
    made.add_sorting_segment(sw.NumpySortingSegment({1: SAMPLES[0][::2], 2: SAMPLES[0][1:2]}))
    made.add_sorting_segment(sw.NumpySortingSegment({1: [], 2: SAMPLES[1]}))
    sw.check_sortings_equal(made, sorting)
    sw.check_sortings_equal(made.clone(), sorting)


def test_numpy_sorting_needs_its_arguments() -> None:
    for arguments in ((), (None, None, [1]), ([1, 2], 30000.0, [1])):
        with pytest.raises(TypeError, match="NumpySorting needs"):
            sw.NumpySorting(*arguments)
    with pytest.raises(TypeError, match="unit_ids"):
        sw.NumpySorting(np.zeros(0, dtype=sw.minimum_spike_dtype), 30000.0)
    with pytest.raises(TypeError, match="structured array"):
        sw.NumpySorting(np.zeros(3), 30000.0, [1])
    floats = [(name, "f8") for name, _ in sw.minimum_spike_dtype]
    with pytest.raises(TypeError, match="integers"):
        sw.NumpySorting(np.zeros(3, dtype=floats), 30000.0, [1])


METHODS: dict[str, tuple[Callable[[Any], Any], Any]] = {
    "get_total_num_spikes": (lambda s: s.get_total_num_spikes(), {1: 2, 2: 3}),
    "is_dumpable": (lambda s: s.is_dumpable, True),
    "check_if_dumpable": (lambda s: s.check_if_dumpable(), True),
    "check_if_json_serializable": (lambda s: s.check_if_json_serializable(), True),
    "check_if_pickle_serializable": (lambda s: s.check_if_pickle_serializable(), True),
    "check_if_memory_serializable": (lambda s: s.check_if_memory_serializable(), True),
    "check_serializablility": (lambda s: s.check_serializablility("json"), True),
}


@pytest.mark.parametrize("name", sorted(METHODS))
def test_methods(name: str, recorded: sw.BaseSorting) -> None:
    call, expected = METHODS[name]
    with pytest.warns(DeprecationWarning, match=name):
        assert call(recorded) == expected


def test_all_spike_trains(sorting: sw.NumpySorting) -> None:
    with pytest.warns(DeprecationWarning, match="get_all_spike_trains"):
        by_id = sorting.get_all_spike_trains()
    assert [[a.tolist() for a in pair] for pair in by_id] == [
        [[1, 5, 9], [1, 2, 1]],
        [[2, 3], [2, 2]],
    ]
    with pytest.warns(DeprecationWarning, match="get_all_spike_trains"):
        by_index = sorting.get_all_spike_trains(outputs="unit_index")
    assert by_index[0][1].tolist() == [0, 1, 0]
    with pytest.warns(DeprecationWarning, match="all"), pytest.raises(AssertionError):
        sorting.get_all_spike_trains(outputs="name")


@pytest.mark.parametrize(
    "load",
    [
        lambda s, f: sw.load_extractor(s.to_dict()),
        lambda s, f: sw.load_extractor(f / "dump.json"),
        lambda s, f: sw.load_extractor_from_dict(s.to_dict()),
        lambda s, f: sw.load_extractor_from_json(f / "dump.json"),
        lambda s, f: sw.load_extractor_from_pickle(f / "dump.pkl", allow_pickle=True),
        lambda s, f: sw.BaseSorting.load_from_folder(f / "folder"),
    ],
)
def test_loaders(load: Any, recorded: sw.BaseSorting, tmp_path: Path) -> None:
    recorded.dump(tmp_path / "dump.json")
    recorded.dump(tmp_path / "dump.pkl")
    recorded.save(folder=tmp_path / "folder")
    with pytest.warns(DeprecationWarning, match="load"):
        loaded = load(recorded, tmp_path)
    sw.check_sortings_equal(loaded, recorded)


def test_saving(recorded: sw.BaseSorting, tmp_path: Path) -> None:
    with pytest.warns(DeprecationWarning, match="save_to_folder"):
        saved = recorded.save_to_folder(folder=tmp_path / "one", verbose=False)
    sw.check_sortings_equal(saved, recorded)
    with pytest.warns(DeprecationWarning, match="save_to_memory"):
        saved = recorded.save_to_memory(sharedmem=False)
    sw.check_sortings_equal(saved, recorded)


def test_arguments(recorded: sw.BaseSorting, tmp_path: Path) -> None:
    with pytest.warns(DeprecationWarning, match="main_channel_indices"):
        spikes = recorded.to_spike_vector(extremum_channel_inds={1: 5, 2: 7})
    assert spikes["channel_index"].tolist() == [5, 7, 5, 7, 7]
    recorded.precompute_spike_trains(from_spike_vector=True)
    dump = recorded.to_dict(include_features=True, folder_metadata=tmp_path)
    assert dump["folder_metadata"] == tmp_path.as_posix()
    recorded.dump(tmp_path / "dump.json", folder_metadata=".")
    assert "folder_metadata" in (tmp_path / "dump.json").read_text()
    assert recorded._sorting_segments is recorded.segments


class SpikeTrain:
    """As much of Neo's as is asked."""

    def __init__(self, milliseconds: list[float]) -> None:
        self._milliseconds = np.array(milliseconds)

    def rescale(self, unit: str) -> SpikeTrain:
        assert unit == "s"
        return SpikeTrain((self._milliseconds / 1000).tolist())

    @property
    def magnitude(self) -> Any:
        return self._milliseconds


def test_neo_spike_trains() -> None:
    trains = [SpikeTrain([1.0, 2.0]), SpikeTrain([]), SpikeTrain([1.999])]
    made = sw.NumpySorting.from_neo_spiketrain_list(trains, 1000.0)
    assert made.unit_ids.tolist() == [0, 1, 2]
    assert made.to_spike_vector().tolist() == [(1, 0, 0), (1, 2, 0), (2, 0, 0)]
    made = sw.NumpySorting.from_neo_spiketrain_list([trains, trains], 1000.0, list("abc"))
    assert made.get_num_segments() == 2
    assert made.unit_ids.tolist() == ["a", "b", "c"]
    with pytest.raises(ValueError, match="3 spike trains for 2 units"):
        sw.NumpySorting.from_neo_spiketrain_list(trains, 1000.0, [1, 2])
