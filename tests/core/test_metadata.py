"""Where metadata are read from and written to."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import spikewire as sw
from spikewire.core.dtypes import AnyArray


class NotingSorting(sw.NumpySorting):
    """Notes every write."""

    def __init__(self) -> None:
        self.log: list[tuple[Any, ...]] = []
        super().__init__(np.zeros(0, dtype=sw.minimum_spike_dtype), 30000.0, [1, 2, 3])

    def _store_property(self, key: str, values: AnyArray) -> None:
        self.log.append(("property", key, values.tolist()))
        super()._store_property(key, values)

    def _drop_property(self, key: str) -> None:
        self.log.append(("no property", key))
        super()._drop_property(key)

    def _store_annotation(self, key: str, value: Any) -> None:
        self.log.append(("annotation", key, value))
        super()._store_annotation(key, value)

    def _drop_annotation(self, key: str) -> None:
        self.log.append(("no annotation", key))
        super()._drop_annotation(key)


def test_every_write_goes_through_the_four_methods() -> None:
    sorting = NotingSorting()
    sorting.set_property("p", [1, 2, 3])
    sorting.set_property("p", [9], ids=[2])
    sorting.set_property("q", [True, True, False])
    sorting.set_property("p", None)
    sorting.delete_property("q")
    sorting.annotate(a=1)
    sorting.set_annotation("b", 2)
    sorting.delete_annotation("a")
    sorting.name = "Ada"
    sorting.name = None
    sorting.set_sorting_info({}, {}, {})
    assert sorting.log == [
        ("property", "p", [1, 2, 3]),
        ("property", "p", [1, 9, 3]),
        ("property", "q", [True, True, False]),
        ("no property", "p"),
        ("no property", "q"),
        ("annotation", "a", 1),
        ("annotation", "b", 2),
        ("no annotation", "a"),
        ("annotation", "name", "Ada"),
        ("no annotation", "name"),
        ("annotation", "__sorting_info__", {"recording": {}, "params": {}, "log": {}}),
    ]


def test_copied_metadata_go_through_them_too() -> None:
    source, target = NotingSorting(), NotingSorting()
    source.annotate(new=1)
    source.set_property("p", [1, 2, 3])
    target.annotate(old=1)
    target.log.clear()
    source.copy_metadata(target)
    assert target.log == [
        ("no annotation", "old"),
        ("annotation", "new", 1),
        ("property", "p", [1, 2, 3]),
    ]


def test_a_refused_write_writes_nothing() -> None:
    sorting = NotingSorting()
    for values, ids in (([1.0], [99]), ([1.0, 2.0, 3.0], [1, 2]), ([1], [1]), ([1.0, 2.0], [1, 1])):
        with pytest.raises(sw.SpikewireError):
            sorting.set_property("p", values, ids=ids)
    with pytest.raises(sw.SpikewireError):
        sorting.set_property("p", [1.0])
    assert sorting.log == []


def test_copied_annotations_are_independent() -> None:
    source = NotingSorting()
    source.annotate(list=[1])
    view = source.select_units([1])
    view.get_annotation("list", copy=False).append(2)
    assert source.get_annotation("list") == [1]


def test_messages_name_what_there_is() -> None:
    sorting = NotingSorting()
    sorting.set_property("speed", [1, 2, 3])
    with pytest.raises(sw.errors.PropertyNotFoundError, match=r"'sped'.*'speed'"):
        sorting.delete_property("sped")
    with pytest.raises(sw.errors.UnitNotFoundError, match=r"99 is not a unit.*1, 2, 3"):
        sorting.get_unit_property(99, "speed")
