"""Dump dicts on the wire: nested, referring to sortings, bounded in depth."""

from __future__ import annotations

import numpy as np
import pytest

from spikewire.core.dump import SortingReference
from spikewire.core.errors import DumpError, MalformedMessageError
from spikewire.v1 import dump_pb2 as pb
from spikewire.wire.dumps import MAX_DUMP_DEPTH, dump_from_proto, dump_to_proto

SELECTION = "spikeinterface.core.unitsselectionsorting.UnitsSelectionSorting"


def dump(class_name=SELECTION, **kwargs):
    return {
        "class": class_name,
        "module": "spikeinterface",
        "kwargs": kwargs,
        "version": "0.105.3",
        "annotations": {},
        "properties": {},
        "relative_paths": False,
    }


def sent(value):
    return dump_from_proto(pb.DumpDict.FromString(dump_to_proto(value).SerializeToString()))


def nested(depth, wrap=lambda inner: inner):
    value = dump(file_path="lab/rat.npz")
    for _ in range(depth - 1):
        value = dump(parent_sorting=wrap(value), unit_ids=[1])
    return value


def test_dumps_round_trip():
    parent = dump("spikeinterface.core.npzsortingextractor.NpzSortingExtractor", file_path="a/b")
    value = dump(
        parent_sorting=parent,
        unit_ids=[1, 2],
        renamed_unit_ids=None,
        others=[parent, SortingReference("a/c", "r1")],
        by_name={"x": SortingReference("a/d")},
        window=(0, 2**40),
    ) | {"annotations": {"name": "x", "nested": {"a": [1.5, None]}}}
    received = sent(value)
    value["kwargs"]["window"] = [0, 2**40]
    assert received == value
    assert list(received["kwargs"]) == list(value["kwargs"])


def test_properties_are_arrays_and_unset_ones_are_left_out():
    value = dump() | {"properties": {"main_channel_id": None, "quality": ["good", "mua"]}}
    received = sent(value)["properties"]
    assert list(received) == ["quality"]
    np.testing.assert_array_equal(received["quality"], ["good", "mua"])


def test_keys_of_other_releases_are_left_out():
    value = dump(file_path="a/b") | {"dumpable": True, "spikewire": {"version": "9"}}
    del value["annotations"], value["properties"]
    assert sent(value) == dump(file_path="a/b")


@pytest.mark.parametrize("wrap", [lambda inner: inner, lambda inner: [inner]], ids=["bare", "list"])
def test_depth_is_bounded_on_both_sides(wrap):
    limit = MAX_DUMP_DEPTH if wrap(0) == 0 else 18  # lists cost levels of messages too
    assert sent(nested(limit, wrap)) == nested(limit, wrap)
    with pytest.raises(DumpError, match="deep"):
        dump_to_proto(nested(limit + 1, wrap))
    with pytest.raises(DumpError, match="deep"):
        dump_to_proto(nested(1000, wrap))


def test_deep_messages_of_other_clients_are_refused():
    message = pb.DumpDict(class_name=SELECTION)
    for _ in range(MAX_DUMP_DEPTH):
        message = pb.DumpDict(
            class_name=SELECTION,
            kwargs=[pb.ValueEntry(key="parent_sorting", value=pb.Value(dump_value=message))],
        )
    with pytest.raises(DumpError, match="deep"):
        dump_from_proto(message)


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"class": "a.B"},
        {"class": 7, "kwargs": {}},
        {"class": "a.B", "kwargs": []},
        dump(recording=object()),
        dump(unit_ids=[2**70]),
        dump() | {"annotations": {"a": dump(), "b": SortingReference("x")}},
        dump() | {"annotations": {1: 2}},
    ],
)
def test_what_is_no_dump_is_refused(value):
    with pytest.raises(DumpError):
        dump_to_proto(value)


def test_references_are_legal_in_arguments_only():
    reference = pb.Value(sorting_value=pb.SortingReference(name="a"))
    message = pb.DumpDict(class_name="A", annotations=[pb.ValueEntry(key="a", value=reference)])
    with pytest.raises(MalformedMessageError):
        dump_from_proto(message)
