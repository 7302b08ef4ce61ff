"""What a selection of a remote sorting is told of it: as it was then, and only when asked."""

from __future__ import annotations

import itertools
import threading

import numpy as np
import pytest

import spikewire
from spikewire.core.late_values import Later
from spikewire.remote.metadata import RemoteMetadata

names = (f"lent/{number}" for number in itertools.count())

UNITS = 4
PROPERTIES = {
    "depth": np.arange(float(UNITS)),
    "label": np.array(["a", "b", "c", "d"]),
    "xy": np.arange(2 * UNITS).reshape(UNITS, 2),
}


@pytest.fixture
def calls(monkeypatch):
    """Every call for metadata of any sorting, in order."""
    made = []

    def counted(method):
        def call(self, *arguments):
            made.append((method.__name__, *arguments[:1]))
            return method(self, *arguments)

        return call

    for method in (RemoteMetadata.get_property, RemoteMetadata.get_annotations):
        monkeypatch.setattr(RemoteMetadata, method.__name__, counted(method))
    return made


@pytest.fixture
def name(server):
    sorting = spikewire.NumpySorting.from_samples_and_labels(
        np.arange(40), np.arange(40) % UNITS, 30_000.0
    )
    for key, values in PROPERTIES.items():
        sorting.set_property(key, values)
    sorting.annotate(rat="Ada", tags=["x"])
    uploaded = next(names)
    with spikewire.connect(server.address) as client:
        client.upload(sorting, uploaded)
    return uploaded


@pytest.fixture
def client(server):
    with spikewire.connect(server.address) as connected:
        yield connected


VIEWS = {
    "select_units": lambda s: s.select_units([3, 1]),
    "a selection of a selection": lambda s: s.select_units([0, 1, 3]).select_units([3, 1]),
    "rename_units": lambda s: s.rename_units(list("wxyz")).select_units(["z", "x"]),
    "remove_units": lambda s: s.remove_units([0, 2]).select_units([3, 1]),
    "frame_slice": lambda s: s.frame_slice(0, 40).select_units([3, 1]),
    "append_sortings": lambda s: spikewire.append_sortings([s, s]).select_units([3, 1]),
    "select_segment_sorting": lambda s: spikewire.select_segment_sorting(s, [0]).select_units(
        [3, 1]
    ),
}


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_transfers_nothing_until_it_is_asked(client, name, calls, view):
    sorting = client.open(name)
    made = VIEWS[view](sorting)
    assert made.get_property_keys() == list(PROPERTIES)
    assert made.get_annotation_keys() == ["rat", "tags"]
    assert calls == []
    assert made.get_property("label").tolist() == ["d", "b"]
    assert calls == [("get_property", "label")]
    assert made.get_unit_property(made.unit_ids[0], "label") == "d"
    assert sorting.get_property("label").tolist() == ["a", "b", "c", "d"]
    assert calls == [("get_property", "label")]
    for key, values in PROPERTIES.items():
        np.testing.assert_array_equal(made.get_property(key), values[[3, 1]])
        assert made.get_property(key).dtype == values.dtype
    assert made.get_annotation("rat") == "Ada"
    assert made.get_annotation("tags") == ["x"]
    assert sorted(calls) == sorted(
        [("get_annotations",), *(("get_property", key) for key in PROPERTIES)]
    )


CHANGES = {
    "set": lambda s: s.set_property("depth", np.full(s.get_num_units(), 9.0)),
    "set for some": lambda s: s.set_property("depth", [9.0], ids=s.unit_ids[-1:]),
    "delete": lambda s: s.delete_property("depth"),
    "delete and set": lambda s: (
        s.delete_property("depth"),
        s.set_property("depth", ["x"] * s.get_num_units()),
    ),
    "write into it": lambda s: s.get_property("depth").__setitem__(slice(None), -1.0),
    "annotate": lambda s: s.annotate(rat="Bob"),
    "write into an annotation": lambda s: s.get_annotation("tags", copy=False).append("y"),
    "delete an annotation": lambda s: s.delete_annotation("rat"),
}


def metadata_of(sorting):
    return (
        {key: sorting.get_property(key).tolist() for key in sorting.get_property_keys()},
        {key: sorting.get_annotation(key) for key in sorting.get_annotation_keys()},
    )


@pytest.mark.parametrize("who", ["parent", "view", "both"])
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("mode", ["r", "r+"])
def test_parent_and_view_go_their_own_ways(client, name, mode, change, who):
    """As locally, where a selection copies metadata when it is made."""
    outcomes = []
    local = spikewire.NumpySorting.from_sorting(client.open(name), with_metadata=True)
    for parent in (client.open(name, mode=mode), local):
        view = parent.select_units([3, 1])
        for sorting in {"parent": [parent], "view": [view], "both": [parent, view]}[who]:
            CHANGES[change](sorting)
        outcomes.append((metadata_of(parent), metadata_of(view)))
    assert outcomes[0] == outcomes[1]


def test_a_view_keeps_what_its_parent_overwrites_on_the_server(client, name, calls):
    sorting = client.open(name, mode="r+")
    view = sorting.select_units([3, 1])
    sorting.set_property("depth", np.full(UNITS, 9.0))
    assert calls == [("get_property", "depth")]
    assert view.get_property("depth").tolist() == [3.0, 1.0]
    assert client.open(name).get_property("depth").tolist() == [9.0] * UNITS
    sorting.set_property("label", ["e"] * UNITS)
    assert view.get_property("label").tolist() == ["d", "b"]


def test_what_is_not_lent_is_overwritten_unread(client, name, calls):
    client.open(name, mode="r+").set_property("depth", np.full(UNITS, 9.0))
    assert calls == []


def test_views_travel_with_all_that_they_know(client, name):
    view = client.open(name).select_units([3, 1])
    for copy in (view.clone(), spikewire.load(view.to_dict(recursive=True))):
        assert metadata_of(copy) == metadata_of(view)


def test_a_value_is_fetched_once_by_many_threads():
    fetches = []
    started = threading.Barrier(8)

    def fetch():
        fetches.append(1)
        return np.arange(4)

    parent = Later(fetch)
    views = [parent.derive(lambda values, i=i: values[i:]) for i in range(4)]
    answers = []

    def ask(one):
        started.wait(10)
        answers.append(one())

    threads = [threading.Thread(target=ask, args=(one,)) for one in [parent, *views, *views[:3]]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(answers) == 8
    assert fetches == [1]


def test_what_is_derived_of_a_known_value_is_as_it_was_then():
    parent = Later(lambda: np.arange(4))
    values = parent()
    view = parent.derive(np.copy)
    values[0] = 9
    assert view().tolist() == [0, 1, 2, 3]


def test_what_failed_is_tried_again():
    answers = [ConnectionError("gone"), "here"]

    def fetch():
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    value = Later(fetch)
    shouted = value.derive(str.upper)
    with pytest.raises(ConnectionError):
        shouted()
    assert shouted() == "HERE"
    assert value() == "here"


def test_one_that_cannot_be_derived_does_not_spoil_the_others():
    value = Later(lambda: {"a": 1})
    missing, there = value.derive(lambda got: got["b"]), value.derive(lambda got: got["a"])
    assert there() == 1
    with pytest.raises(KeyError):
        missing()


def test_a_copy_in_memory_needs_no_server(server, name):
    with spikewire.connect(server.address) as client:
        view = client.open(name).select_units([3, 1])
        copies = [
            spikewire.NumpySorting.from_sorting(view, with_metadata=True),
            view.save("memory", sharedmem=False),
        ]
        expected = metadata_of(view)
    assert [metadata_of(copy) for copy in copies] == [expected, expected]
