"""The sorting whose trains are made when they are read."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

import spikewire as sw
from spikewire.core.generate import SortingGenerator
from spikewire.testing import SortingContract

ARGUMENTS = {"num_units": 4, "durations": [2.0, 0.0, 1.0], "firing_rates": [20.0, 0, 3, 150]}


class TestSortingGenerator(SortingContract):
    @pytest.fixture
    def truth(self) -> sw.NumpySorting:
        return sw.NumpySorting.from_sorting(SortingGenerator(**ARGUMENTS))

    def make_sorting(self, truth: sw.NumpySorting, folder: Path) -> sw.BaseSorting:
        return SortingGenerator(**ARGUMENTS)


def test_what_is_asked_for() -> None:
    rates = np.linspace(1, 40, 20)
    sorting = SortingGenerator(
        durations=[100.0, 50.0], firing_rates=rates, refractory_period_ms=np.full(20, 3.0)
    )
    assert sorting.unit_ids.tolist() == [str(i) for i in range(20)]
    assert sorting.get_num_segments() == 2
    counts = sorting.count_num_spikes_per_unit(outputs="array")
    assert np.all(np.abs(counts - rates * 150) < 6 * np.sqrt(rates * 150))
    for segment, duration in enumerate((100.0, 50.0)):
        for train in sorting.get_unit_spike_trains(segment_index=segment).values():
            assert np.all(np.diff(train) >= 89)
            assert np.all((train >= 0) & (train < duration * 30_000))


def test_trains_are_the_same_every_time_and_differ_from_each_other() -> None:
    sorting, again = SortingGenerator(seed=3), SortingGenerator(seed=3)
    train = sorting.get_unit_spike_train("1", 0, use_cache=False)
    np.testing.assert_array_equal(train, sorting.get_unit_spike_train("1", 0, use_cache=False))
    sw.check_sortings_equal(sorting, again)
    for other in (
        sorting.get_unit_spike_train("2", 0),
        sorting.get_unit_spike_train("1", 1),
        SortingGenerator(seed=4).get_unit_spike_train("1", 0),
        SortingGenerator(seed=None).get_unit_spike_train("1", 0),
    ):
        assert not np.array_equal(train, other)


def test_one_without_a_seed_is_copied_with_its_spikes() -> None:
    sorting = SortingGenerator(seed=None)
    sw.check_sortings_equal(sorting.clone(), sorting)
    sw.check_sortings_equal(pickle.loads(pickle.dumps(sorting)), sorting)


def test_what_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot fire at 300"):
        SortingGenerator(firing_rates=300.0)
    with pytest.raises(AssertionError, match="cannot be dumped"):
        SortingGenerator().dump(tmp_path / "a.json")
    with pytest.raises(AssertionError, match="not a known class"):
        sw.load(SortingGenerator().to_dict())
