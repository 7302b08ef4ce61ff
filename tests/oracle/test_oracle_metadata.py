"""The rules of properties and annotations, on SpikeInterface's sortings and on ours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

N = 4  # units of the shape "ints": 1, 2, 3, 4

VALUES: dict[str, Any] = {
    "floats": [1.5, np.nan, -0.0, np.inf],
    "float32": np.array([1.5, 2, 3, 4], dtype=np.float32),
    "ints": [1, 2, 3, 4],
    "int32": np.array([1, 2, 3, 4], dtype=np.int32),
    "uint8": np.array([1, 2, 3, 255], dtype=np.uint8),
    "bools": [True, False, True, True],
    "complex": [1j, 2, 3, 4],
    "text": ["a", "", "long text", "é"],
    "bytes": [b"a", b"bcd", b"", b"x"],
    "objects": np.array([{"a": 1}, None, "x", 3], dtype=object),
    "dates": np.array(["2020-01-01", "2021-01-01", "NaT", "2022-01-01"], dtype="M8[D]"),
    "rows": np.arange(8.0).reshape(4, 2),
    "blocks": np.arange(24).reshape(4, 2, 3),
    "records": np.array([(1, 2.5)] * 4, dtype=[("a", "i4"), ("b", "f8")]),
    "too_many": [1.0] * 5,
    "too_few": [1.0] * 3,
    "none": None,
}
SUBSETS: dict[str, Any] = {
    "one": [2],
    "two": [4, 1],
    "array": np.array([3, 1]),
    "tuple": (2, 3),
    "all_shuffled": [3, 1, 4, 2],
    "no_units": [],
    "repeated": [1, 1],
    "unknown": [1, 99],
    "text": ["1"],
    "float_ids": [1.0, 2.0],
}
MISSING: dict[str, Any] = {
    "default": None,
    "int": 0,
    "negative": -1,
    "float": -1.5,
    "nan": np.nan,
    "text": "nothing",
    "bool": False,
    "unsigned": np.uint8(7),
    "date": np.datetime64("NaT"),
}


def read(sorting: Any, key: str = "p") -> Any:
    return sorting.get_property(key)


def set_and_read(sorting: Any, *args: Any, **kwargs: Any) -> Any:
    returned = sorting.set_property("p", *args, **kwargs)
    return returned, read(sorting), sorting.get_property_keys()


@pytest.mark.parametrize("values", sorted(VALUES))
def test_values_for_every_unit(
    values: str, new_pair: Callable[[str], Any], compare: Callable[..., None]
) -> None:
    compare(new_pair("ints"), lambda s: set_and_read(s, VALUES[values]))


def _part(values: Any, ids: Any) -> Any:
    return None if values is None else values[: len(ids)]


@pytest.mark.parametrize("missing", sorted(MISSING))
@pytest.mark.parametrize("ids", sorted(SUBSETS))
@pytest.mark.parametrize("values", sorted(set(VALUES) - {"too_few", "too_many"}))
def test_new_property_for_some_units(
    values: str,
    ids: str,
    missing: str,
    new_pair: Callable[[str], Any],
    compare: Callable[..., None],
) -> None:
    given = _part(VALUES[values], SUBSETS[ids])
    compare(
        new_pair("ints"),
        lambda s: set_and_read(s, given, ids=SUBSETS[ids], missing_value=MISSING[missing])[1],
    )


@pytest.mark.parametrize("ids", sorted(SUBSETS))
@pytest.mark.parametrize("before", sorted(set(VALUES) - {"too_few", "too_many", "none", "bytes"}))
def test_existing_property_for_some_units(
    before: str, ids: str, new_pair: Callable[[str], Any], compare: Callable[..., None]
) -> None:
    pair = new_pair("ints")
    for values in sorted(set(VALUES) - {"too_few", "too_many", "bytes"}):
        given = _part(VALUES[values], SUBSETS[ids])
        compare(pair, lambda s: s.set_property("p", np.array(VALUES[before])))

        def change(sorting: Any, given: Any = given) -> Any:
            sorting.set_property("p", given, ids=SUBSETS[ids])
            return read(sorting)

        compare(pair, change, values)


CALLS: dict[str, Callable[[Any], Any]] = {
    "one_value_for_several": lambda s: set_and_read(s, [7.5], ids=[1, 3]),
    "one_scalar_for_several": lambda s: set_and_read(s, 7.5, ids=[1, 3]),
    "too_many_values": lambda s: set_and_read(s, [1.0, 2.0, 3.0], ids=[1, 3]),
    "two_dimensional_for_some": lambda s: set_and_read(s, np.ones((2, 3)), ids=[4, 1]),
    "wider_text": lambda s: (s.set_property("p", list("abcd")), set_and_read(s, ["xyz"], ids=[2])),
    "wider_missing": lambda s: set_and_read(s, ["a"], ids=[1], missing_value="unknown"),
    "wrapping": lambda s: (
        s.set_property("p", np.zeros(4, dtype=np.int8)),
        set_and_read(s, [300], ids=[2]),
    ),
    "get_unknown": lambda s: s.get_property("nothing"),
    "get_unknown_ids": lambda s: s.get_property("nothing", ids=[1]),
    "get_some": lambda s: (s.set_property("p", VALUES["floats"]), s.get_property("p", [3, 1, 3])),
    "get_unknown_unit": lambda s: (s.set_property("p", [1, 2, 3, 4]), s.get_property("p", [9])),
    "get_scalar_id": lambda s: (s.set_property("p", [1, 2, 3, 4]), s.get_property("p", 1)),
    "get_none_of": lambda s: (s.set_property("p", [1, 2, 3, 4]), s.get_property("p", [])),
    "alias": lambda s: (
        s.set_property("p", np.arange(4)),
        s.get_property("p") is s.get_property("p"),
    ),
    "unit_property": lambda s: (s.set_property("p", [1, 2, 3, 4]), s.get_unit_property(3, "p")),
    "unit_property_text": lambda s: (
        s.set_property("p", list("abcd")),
        s.get_unit_property(3, "p"),
    ),
    "unit_property_of_nobody": lambda s: (
        s.set_property("p", [1, 2, 3, 4]),
        s.get_unit_property(9, "p"),
    ),
    "delete": lambda s: (s.set_property("p", [1, 2, 3, 4]), s.delete_property("p"), read(s)),
    "delete_unknown": lambda s: s.delete_property("p"),
    "delete_by_none": lambda s: (s.set_property("p", [1, 2, 3, 4]), set_and_read(s, None)),
    "keys_in_order": lambda s: (
        [s.set_property(k, [1, 2, 3, 4]) for k in "zam"] + s.get_property_keys()
    ),
    "annotate": lambda s: (s.annotate(a=1, b=[2]), s.get_annotation_keys(), s.get_annotation("b")),
    "annotate_again": lambda s: (s.annotate(a=1), s.annotate(a=2), s.get_annotation("a")),
    "set_annotation": lambda s: (s.set_annotation("a", 1), s.get_annotation("a")),
    "set_annotation_again": lambda s: (s.set_annotation("a", 1), s.set_annotation("a", 2)),
    "overwrite_annotation": lambda s: (
        s.set_annotation("a", 1),
        s.set_annotation("a", 2, overwrite=True),
        s.get_annotation("a"),
    ),
    "copies_annotation": lambda s: (
        s.annotate(a=[1]),
        s.get_annotation("a").append(2),
        s.get_annotation("a"),
        s.get_annotation("a", copy=False).append(3),
        s.get_annotation("a"),
    ),
    "unknown_annotation": lambda s: s.get_annotation("nothing"),
    "delete_annotation": lambda s: (
        s.annotate(a=1),
        s.delete_annotation("a"),
        s.get_annotation("a"),
    ),
    "delete_unknown_annotation": lambda s: s.delete_annotation("a"),
    "sorting_info": lambda s: (s.set_sorting_info({"r": 1}, {}, None), s.sorting_info),
    "name": lambda s: (setattr(s, "name", "Ada"), s.name, repr(s), s.get_annotation_keys()),
    "no_name": lambda s: (
        setattr(s, "name", "Ada"),
        setattr(s, "name", None),
        s.name,
        s.get_annotation_keys(),
    ),
}


@pytest.mark.parametrize("name", sorted(CALLS))
def test_metadata_calls(
    name: str, new_pair: Callable[[str], Any], compare: Callable[..., None]
) -> None:
    compare(new_pair("ints"), CALLS[name])


@pytest.mark.parametrize("only_main", [False, True])
@pytest.mark.parametrize("ids", [None, [1, 3], [3, 1]])
def test_copy_metadata(
    only_main: bool, ids: Any, new_pair: Callable[[str], Any], compare: Callable[..., None]
) -> None:
    def copy(sorting: Any) -> Any:
        sorting.annotate(a={"b": 1}, name="Ada")
        sorting.set_property("main_channel_id", list("abcd"))
        sorting.set_property("p", np.arange(4.0))
        target = sorting.select_units(ids or sorting.unit_ids)
        target.annotate(old=1)
        target.set_property("mine", np.zeros(len(target.unit_ids)))
        target.delete_property("p")
        sorting.copy_metadata(target, only_main=only_main, ids=ids, skip_properties=["skipped"])
        return target

    compare(new_pair("ints"), copy)
