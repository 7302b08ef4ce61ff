"""Copies, and sortings that go to other processes."""

from __future__ import annotations

import copy
import multiprocessing
import operator
import pickle
from collections.abc import Callable
from multiprocessing.shared_memory import SharedMemory
from typing import Any

import numpy as np
import pytest

import spikewire as sw
from spikewire.core import registry


def in_another_process(call: Callable[..., Any], *arguments: Any) -> Any:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(call, arguments)


@pytest.fixture
def sorting() -> sw.NumpySorting:
    made = sw.generate_sorting(seed=0)
    made.annotate(rat="a")
    made.set_property("depth", np.arange(5.0))
    return made


@pytest.mark.parametrize(
    "view",
    [
        lambda s: s,
        lambda s: s.select_units(["1", "3"]),
        lambda s: s.to_shared_memory_sorting(),
        lambda s: sw.aggregate_units({"x": s, "y": s}).select_units(["0", "7"]),
    ],
)
def test_other_processes_get_the_same(view: Any, sorting: sw.NumpySorting) -> None:
    sent = view(sorting)
    counts = operator.methodcaller("count_num_spikes_per_unit", outputs="array")
    there = in_another_process(counts, sent)
    assert there.tolist() == sent.count_num_spikes_per_unit(outputs="array").tolist()
    depth = in_another_process(operator.methodcaller("get_annotation", "rat"), sent)
    assert depth == sent.get_annotation("rat")


def test_shared_memory_goes_with_its_owner(sorting: sw.NumpySorting) -> None:
    owner = sorting.to_shared_memory_sorting()
    name = owner.shm.name
    borrower = pickle.loads(pickle.dumps(owner))
    assert borrower.main_shm_owner is False
    sw.check_sortings_equal(borrower, sorting)
    del borrower
    train = owner.get_unit_spike_train("1", 0)
    expected = train.tolist()
    SharedMemory(name).close()
    del owner
    with pytest.raises(FileNotFoundError):
        SharedMemory(name)
    assert train.tolist() == expected  # what was handed out stays readable


def test_no_dump_takes_memory_away(sorting: sw.NumpySorting) -> None:
    owner = sorting.to_shared_memory_sorting()
    dump = owner.to_dict()
    assert dump["kwargs"]["main_shm_owner"] is False
    dump["kwargs"]["main_shm_owner"] = True
    loaded = sw.load(dump)
    del loaded
    SharedMemory(owner.shm.name).close()


def test_shared_memory_that_does_not_fit(sorting: sw.NumpySorting) -> None:
    owner = sorting.to_shared_memory_sorting()
    frequency, ids = owner.sampling_frequency, owner.unit_ids
    with pytest.raises(sw.errors.SortingNotFoundError, match="no shared memory"):
        sw.SharedMemorySorting("nothing_of_this_name", (5,), frequency, ids)
    with pytest.raises(sw.errors.InvalidValueError, match="smaller"):
        sw.SharedMemorySorting(owner.shm.name, (10**12,), frequency, ids, main_shm_owner=False)
    for shape in ((0,), (2, 2), ()):
        with pytest.raises(AssertionError, match="at least one spike"):
            sw.SharedMemorySorting(owner.shm.name, shape, frequency, ids)
    silent = sorting.select_units([])
    with pytest.raises(ValueError, match="without spikes"):
        silent.to_shared_memory_sorting()


def test_what_is_cheap_to_hand_on(sorting: sw.NumpySorting) -> None:
    view = sorting.select_units(["1"])
    assert sorting.to_multiprocessing(1) is sorting
    assert isinstance(view.to_multiprocessing(1), sw.NumpySorting)
    shared = view.to_multiprocessing(2)
    assert isinstance(shared, sw.SharedMemorySorting)
    assert shared.to_multiprocessing(2) is shared
    assert isinstance(sorting.save(format="memory"), sw.SharedMemorySorting)


def test_clones_are_independent(sorting: sw.NumpySorting) -> None:
    for copied in (sorting.clone(), copy.deepcopy(sorting)):
        copied.set_property("depth", [9.0], ids=["0"])
        copied.annotate(rat="b")
    assert sorting.get_property("depth").tolist() == [0, 1, 2, 3, 4]
    assert sorting.get_annotation("rat") == "a"


def test_subclasses_of_others_are_pickled_and_cloned() -> None:
    """Without being registered; dumps of them name their own class."""
    mine = Mine(np.zeros(0, dtype=sw.minimum_spike_dtype), 30000.0, [1])
    assert type(pickle.loads(pickle.dumps(mine))) is Mine
    assert type(mine.clone()) is Mine
    dump = mine.to_dict()
    assert dump["class"] == f"{Mine.__module__}.Mine"
    with pytest.raises(sw.errors.UnknownClassError, match="not a known class"):
        sw.load(dump)


class Mine(sw.NumpySorting):
    pass


def test_options_of_save(sorting: sw.NumpySorting, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}

    def write(sorting: sw.BaseSorting, **options: Any) -> sw.BaseSorting:
        seen.update(options)
        return sorting.clone()

    monkeypatch.setattr(registry, "_savers", dict(registry._savers))
    registry.register_saver("mine", write)
    with pytest.warns(DeprecationWarning, match="ignores verbose"):
        sorting.save(format="mine", folder="x", overwrite=True, verbose=True)
    assert seen == {"folder": "x", "overwrite": True}
    with pytest.raises(ValueError, match=r"'floppy' is not a format.*mine"):
        sorting.save(format="floppy", folder="x")
    with pytest.raises(ValueError, match="needs 'folder'"):
        sorting.save(format="mine")
    with pytest.raises(TypeError, match="speed"):
        sorting.save(format="memory", speed=1)
