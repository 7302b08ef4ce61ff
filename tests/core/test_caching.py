"""What is read, and when it is kept."""

from __future__ import annotations

import numpy as np
import pytest

import spikewire as sw
from spikewire.core.dtypes import IntArray, UnitId

TRAINS = {unit: np.arange(unit, 1000, 7) for unit in range(20)}


class CountingSegment(sw.BaseSortingSegment):
    """Notes what it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.trains: list[UnitId] = []
        self.columns = 0
        self.counts = 0

    def get_unit_spike_train(
        self, unit_id: UnitId, start_frame: int | None = None, end_frame: int | None = None
    ) -> IntArray:
        self.trains.append(unit_id)
        train = TRAINS[int(unit_id)]
        return train[(train >= (start_frame or 0)) & (train < (end_frame or 10**9))]

    def get_spike_columns(
        self, start_frame: int | None = None, end_frame: int | None = None
    ) -> tuple[IntArray, IntArray]:
        self.columns += 1
        samples = np.concatenate(list(TRAINS.values()))
        units = np.repeat(np.arange(20), [len(train) for train in TRAINS.values()])
        order = np.argsort(samples, kind="stable")
        return samples[order], units[order]

    def count_spikes(self) -> IntArray:
        self.counts += 1
        return np.array([len(train) for train in TRAINS.values()])

    def get_last_spike_frame(self) -> int | None:
        return 999


class CountingSorting(sw.BaseSorting):
    def __init__(self) -> None:
        super().__init__(30000.0, np.arange(20))
        self.segment = CountingSegment()
        self.add_sorting_segment(self.segment)


@pytest.fixture
def sorting() -> CountingSorting:
    return CountingSorting()


def test_simple_questions_read_no_spikes(sorting: CountingSorting) -> None:
    sorting.count_num_spikes_per_unit()
    sorting.count_total_num_spikes()
    sorting.get_empty_unit_ids()
    sorting.get_last_spike_frame()
    sorting.get_end_time()
    view = sorting.select_units([5, 3])
    view.count_total_num_spikes()
    view.remove_empty_units()
    assert sorting.segment.columns == 0
    assert sorting.segment.trains == []


def test_a_few_trains_are_read_alone(sorting: CountingSorting) -> None:
    for unit in (3, 4, 5):
        assert sorting.get_unit_spike_train(unit).tolist() == TRAINS[unit].tolist()
    assert sorting.segment.trains == [3, 4, 5]
    assert sorting.segment.columns == 0


def test_many_trains_are_read_once(sorting: CountingSorting) -> None:
    for _ in range(3):
        for unit in range(20):
            assert sorting.get_unit_spike_train(unit).tolist() == TRAINS[unit].tolist()
    assert len(sorting.segment.trains) == sorting._reads_before_caching
    assert sorting.segment.columns == 1


def test_a_batch_is_one_pass(sorting: CountingSorting) -> None:
    trains = sorting.get_unit_spike_trains([7, 2, 9])
    assert [train.tolist() for train in trains.values()] == [TRAINS[u].tolist() for u in (7, 2, 9)]
    assert sorting.segment.columns == 1
    assert sorting.segment.trains == []


def test_nothing_is_kept_if_asked_so(sorting: CountingSorting) -> None:
    for _ in range(30):
        sorting.get_unit_spike_train(3, use_cache=False)
    assert len(sorting.segment.trains) == 30
    sorting.to_spike_vector(use_cache=False)
    sorting.to_spike_vector(use_cache=False)
    assert sorting.segment.columns == 2


def test_large_segments_are_not_kept(
    sorting: CountingSorting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CountingSorting, "_max_cached_spikes", 10)
    for unit in [*range(20), *range(20)]:
        sorting.get_unit_spike_train(unit)
    assert len(sorting.segment.trains) == 40
    assert sorting.segment.columns == 0


def test_the_spike_vector_serves_everything(sorting: CountingSorting) -> None:
    sorting.to_spike_vector()
    sorting.to_spike_columns(0, 10, 20)
    sorting.count_num_spikes_per_unit()
    sorting.get_unit_spike_train(3)
    sorting.select_units([3, 4]).to_spike_vector()
    sorting.frame_slice(3, 50).get_unit_spike_train(7)
    assert (sorting.segment.columns, sorting.segment.counts) == (1, 0)
    assert sorting.segment.trains == []


def test_views_read_through_their_parents_cache(sorting: CountingSorting) -> None:
    sorting.precompute_spike_trains()
    before = sorting.segment.columns
    for view in (sorting.select_units([5, 3]), sorting.frame_slice(0, 500)):
        for _ in range(20):
            view.get_unit_spike_train(3)
    assert sorting.segment.columns == before
    assert sorting.segment.trains == []


def test_the_parents_array_is_handed_on(sorting: CountingSorting) -> None:
    """A selection of everything shares the vector, a train the cache: nothing is copied."""
    vector = sorting.to_spike_vector()
    assert sorting.rename_units(list("abcdefghijklmnopqrst")).to_spike_vector() is vector
    in_memory = sorting.to_numpy_sorting()
    assert np.shares_memory(in_memory.to_spike_vector(), vector)
    one, other = (in_memory.get_unit_spike_train(3) for _ in range(2))
    assert np.shares_memory(one, other)
