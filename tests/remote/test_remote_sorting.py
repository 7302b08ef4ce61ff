"""A sorting on a real server is the sorting that was put there."""

from __future__ import annotations

import itertools
import json
import multiprocessing
import operator
import pickle
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import numpy as np
import pytest
import spikeinterface

import spikewire
from spikewire.core.errors import (
    AnnotationNotFoundError,
    DumpError,
    EtagMismatchError,
    FormatError,
    InvalidNameError,
    InvalidTypeError,
    InvalidValueError,
    NeedsSamplingFrequencyError,
    PropertyNotFoundError,
    ReadOnlyError,
    RevisionMismatchError,
    SegmentIndexError,
    SegmentRequiredError,
    SortingExistsError,
    SortingNotFoundError,
    UnitNotFoundError,
    UnknownClassError,
    UnsafeContentError,
)
from spikewire.remote import open_url

names = (f"remote/{number}" for number in itertools.count())


@pytest.fixture(scope="module")
def client(server):
    with spikewire.connect(server.address) as connected:
        yield connected


@pytest.fixture
def name():
    return next(names)


def random_sorting(seed=0, spikes=2000, units=("a", "b", "c", "silent"), segments=2, fs=30_000.0):
    rng = np.random.default_rng(seed)
    return spikewire.NumpySorting.from_samples_and_labels(
        [np.sort(rng.integers(0, 100_000, spikes)) for _ in range(segments)],
        [rng.choice(units[:3], spikes) for _ in range(segments)],
        fs,
        unit_ids=list(units),
    )


def from_vector(spikes, unit_ids):
    vector = np.array(spikes, dtype=spikewire.minimum_spike_dtype)
    return spikewire.NumpySorting(vector, 25_000.5, unit_ids)


SHAPES = {
    "strings": random_sorting(),
    "one segment": random_sorting(segments=1),
    "integers": from_vector([(5, 1, 0), (5, 0, 0), (5, 1, 0), (9, 2, 1)], np.array([7, -3, 9])),
    "uint16": from_vector([(1, 0, 0)], np.array([65_535], dtype=np.uint16)),
    "int32": from_vector([(1, 1, 0)], np.array([1, 2], dtype=np.int32)),
    "unicode": from_vector([(1, 1, 0)], np.array(["ä", "einheit-2"])),
    "negative and late frames": from_vector(
        [(-(2**40), 0, 0), (-1, 1, 0), (2**31, 0, 0), (2**53, 1, 0)], np.array([1, 2])
    ),
    "empty first segment": from_vector([(1, 0, 1), (2, 0, 3)], np.array([4])),
    "no spikes": spikewire.NumpySorting.from_unit_dict(
        [{1: np.array([], dtype=np.int64), 2: np.array([], dtype=np.int64)}] * 2, 30_000.0
    ),
    "many ties": random_sorting(seed=3, spikes=500, fs=10.0),
}


@pytest.fixture(scope="module", params=SHAPES, ids=lambda key: key.replace(" ", "-"))
def pair(request, client):
    local = SHAPES[request.param]
    return local, client.upload(local, f"shapes/{request.param}")


def same(array, other):
    assert array.dtype == other.dtype
    np.testing.assert_array_equal(array, other)


def test_the_skeleton_is_the_same(pair):
    local, remote = pair
    same(remote.unit_ids, local.unit_ids)
    assert remote.sampling_frequency == local.sampling_frequency
    assert remote.get_num_segments() == local.get_num_segments()
    assert isinstance(remote, spikewire.BaseSorting)


def test_spikes_and_the_order_of_ties_are_the_same(pair):
    local, remote = pair
    same(remote.to_spike_vector(), local.to_spike_vector())
    same(
        remote.to_spike_vector(return_slices=True)[1], local.to_spike_vector(return_slices=True)[1]
    )


@pytest.mark.parametrize("bounds", [(None, None), (0, 30_000), (1000.5, None), (None, -5), (9, 3)])
@pytest.mark.parametrize("use_cache", [True, False])
def test_trains_are_the_same(pair, bounds, use_cache):
    local, remote = pair
    for segment in range(local.get_num_segments()):
        batch = remote.get_unit_spike_trains(None, segment, *bounds, use_cache=use_cache)
        assert list(batch) == local.unit_ids.tolist()
        for unit_id in local.unit_ids:
            expected = local.get_unit_spike_train(unit_id, segment, *bounds)
            same(batch[unit_id], expected)
            same(
                remote.get_unit_spike_train(unit_id, segment, *bounds, use_cache=use_cache),
                expected,
            )


def test_columns_of_windows_are_the_same(pair):
    local, remote = pair
    for segment in range(local.get_num_segments()):
        for bounds in ((None, None), (10, 5_000)):
            columns = remote.to_spike_columns(segment, *bounds)
            for column, expected in zip(
                columns, local.to_spike_columns(segment, *bounds), strict=True
            ):
                same(column, expected)


def test_counts_are_the_same(client, pair):
    local, remote = pair
    fresh = client.open(remote.remote_name)
    assert fresh.count_num_spikes_per_unit() == local.count_num_spikes_per_unit()
    assert fresh.count_total_num_spikes() == local.count_total_num_spikes()
    for segment in range(local.get_num_segments()):
        assert fresh.get_last_spike_frame(segment) == local.get_last_spike_frame(segment)


def test_nothing_is_read_to_open_or_count(server, client, name):
    client.upload(random_sorting(), name)
    before = len(server.log)
    sorting = client.open(name)
    repr(sorting)
    sorting.get_property_keys()
    sorting.count_total_num_spikes()
    sorting.get_last_spike_frame(0)
    calls = [json.loads(line)["method"] for line in server.log[before:].splitlines()]
    assert [call.rpartition("/")[2] for call in calls] == [
        "GetSorting",
        "CountSpikes",
        "CountSpikes",
    ]


def test_each_hook_is_one_call(server, client, name):
    client.upload(random_sorting(), name)
    sorting = client.open(name)
    part = spikewire.select_segment_sorting(sorting, [0]).frame_slice(5, 900).select_units(["b"])
    for read, call in (
        (lambda: sorting.segments[0].get_unit_spike_train("a", 5, 900), "GetUnitSpikeTrain"),
        (lambda: sorting.segments[0].get_unit_spike_trains(["a", "b"]), "GetUnitSpikeTrains"),
        (lambda: sorting.segments[0].get_spike_columns(0, 100), "StreamSpikes"),
        (lambda: sorting.segments[1].get_last_spike_frame(), "CountSpikes"),
        (lambda: sorting.segments[0].count_spikes_between(5, 900), "CountSpikes"),
        (lambda: part.count_num_spikes_per_unit(), "CountSpikes"),
        (lambda: sorting.to_spike_vector(), "StreamSpikes"),
    ):
        before = len(server.log)
        read()
        (line,) = server.log[before:].splitlines()
        assert json.loads(line)["method"].endswith(f"/{call}")


PROPERTIES = {
    "f8": np.array([1.5, np.nan, np.inf, -0.0]),
    "f4": np.array([1, 2, 3, 4], dtype=np.float32),
    "u1": np.array([1, 2, 3, 255], dtype=np.uint8),
    "bool": np.array([True, False, True, False]),
    "text": np.array(["gut", "", "ü", "mua"]),
    "bytes": np.array([b"x", b"", b"yz", b"z"]),
    "planes": np.arange(24, dtype=np.int16).reshape(4, 3, 2),
    "time": np.array(["2026-11-22", "NaT", "2026-01-01", "1969-07-20"], dtype="M8[D]"),
    "record": np.array(
        [(1, "a"), (2, "b"), (3, "c"), (4, "d")], dtype=[("n", "<i4"), ("t", "<U2")]
    ),
    "object": np.array([None, {"a": [1, 2.5]}, "text", [1, "x"]], dtype=object),
    "large": np.zeros((4, 400_000)),
}


@pytest.fixture(scope="module")
def with_properties(client):
    local = random_sorting()
    for key, values in PROPERTIES.items():
        local.set_property(key, values)
    client.upload(local, "with/properties")
    return client.open("with/properties")


@pytest.mark.parametrize("key", PROPERTIES)
def test_properties_of_every_type_come_back(with_properties, key):
    assert with_properties.get_property_keys() == list(PROPERTIES)
    same(with_properties.get_property(key), PROPERTIES[key])


@pytest.mark.parametrize("key", PROPERTIES)
def test_properties_of_every_type_are_written_through(client, name, key):
    client.upload(random_sorting(), name)
    client.open(name, mode="r+").set_property(key, PROPERTIES[key])
    same(client.open(name).get_property(key), PROPERTIES[key])


def test_annotations_come_back(client, name):
    local = random_sorting()
    annotations = {
        "name": "a name",
        "nothing": None,
        "nested": {"list": [1, 2.5, "x", None], "empty": {}},
        "array": np.arange(6, dtype=np.int16).reshape(2, 3),
        "big": 2**63 + 5,
        "when": datetime(2026, 11, 22, 9, 30),
    }
    local.annotate(**annotations)
    client.upload(local, name)
    remote = client.open(name)
    assert remote.get_annotation_keys() == list(annotations)
    assert remote.name == "a name"
    assert remote.get_annotation("nested") == annotations["nested"]
    same(remote.get_annotation("array"), annotations["array"])
    assert remote.get_annotation("big") == 2**63 + 5
    assert remote.get_annotation("when") == "2026-11-22T09:30:00"
    assert remote.get_annotation("absent") is None


def test_writes_stay_here_unless_they_shall_not(client, name):
    client.upload(random_sorting(), name)
    here = client.open(name)
    here.set_property("q", [1, 2, 3, 4])
    here.annotate(note="mine")
    assert here.get_property("q").tolist() == [1, 2, 3, 4]
    there = client.open(name)
    assert (there.get_property_keys(), there.get_annotation_keys()) == ([], [])
    here.refresh()
    assert (here.get_property_keys(), here.get_annotation_keys()) == ([], [])


def test_writes_go_through_with_r_plus(client, name):
    client.upload(random_sorting(), name)
    writer = client.open(name, mode="r+")
    writer.set_property("q", [1, 2, 3, 4])
    writer.set_property("q", [9], ids=["b"])
    writer.set_property("gone", ["x"] * 4)
    writer.delete_property("gone")
    writer.annotate(note="ours", gone=1)
    writer.delete_annotation("gone")
    writer.name = "named"
    reader = client.open(name)
    assert reader.get_property_keys() == ["q"]
    assert reader.get_property("q").tolist() == [1, 9, 3, 4]
    assert reader.get_annotation("note") == "ours"
    assert reader.name == "named"
    with pytest.raises(PropertyNotFoundError):
        writer.delete_property("gone")
    with pytest.raises(AnnotationNotFoundError):
        writer.delete_annotation("gone")


def test_two_writers_of_one_property_are_told(client, name):
    client.upload(random_sorting(), name)
    first, second = (client.open(name, mode="r+") for _ in range(2))
    first.set_property("q", [1, 2, 3, 4])
    with pytest.raises(EtagMismatchError):
        second.set_property("q", [5, 6, 7, 8])
    second.set_property("other", [0, 0, 0, 0])
    first.annotate(note=1)
    with pytest.raises(EtagMismatchError):
        second.annotate(note=2)
    second.refresh()
    assert second.get_property("q").tolist() == [1, 2, 3, 4]
    second.set_property("q", [5, 6, 7, 8])
    second.annotate(note=2)
    with pytest.raises(EtagMismatchError):
        first.delete_property("q")
    with pytest.raises(EtagMismatchError):
        first.delete_annotation("note")
    first.refresh()
    assert first.get_property("q").tolist() == [5, 6, 7, 8]
    assert first.get_annotation("note") == 2


def test_the_revision_is_pinned(client, name):
    client.upload(random_sorting(seed=1), name)
    old, unread = client.open(name), client.open(name)
    kept = old.to_spike_vector()
    with pytest.raises(SortingExistsError):
        client.upload(random_sorting(seed=2), name)
    new = client.upload(random_sorting(seed=2), name, if_revision=old.revision)
    assert new.revision != old.revision
    same(old.to_spike_vector(), kept)
    for read in (
        lambda: unread.get_unit_spike_train("a", 0),
        lambda: unread.get_unit_spike_trains(None, 0),
        lambda: unread.to_spike_columns(0),
        lambda: unread.to_spike_vector(),
        lambda: unread.count_total_num_spikes(),
        lambda: unread.refresh(),
        lambda: client.save(unread, f"{name}-copy"),
        lambda: pickle.loads(pickle.dumps(old)),
        lambda: spikewire.load(old.to_dict()),
    ):
        with pytest.raises(RevisionMismatchError):
            read()


def test_equal_uploads_succeed_however_often(client, name):
    first = client.upload(random_sorting(), name)
    assert client.upload(random_sorting(), name).revision == first.revision


def test_dumps_bring_the_sorting_back(client, name, tmp_path):
    local = random_sorting()
    local.set_property("q", ["w", "x", "y", "z"])
    remote = client.upload(local, name)
    dump = remote.to_dict()
    assert dump["class"] == "spikewire.bridges.spikeinterface.RemoteSorting"
    assert dump["kwargs"] == {
        "target": client.info.address,
        "name": name,
        "revision": remote.revision,
    }
    remote.dump(tmp_path / "remote.json")
    selection = remote.select_units(["c", "a"])
    selection.dump(tmp_path / "selection.json")
    for loaded in (
        spikewire.load(dump),
        spikewire.load(tmp_path / "remote.json"),
        spikewire.load(remote.url),
        open_url(remote.url),
        pickle.loads(pickle.dumps(remote)),
        remote.clone(),
    ):
        assert isinstance(loaded, spikewire.RemoteSorting)
        same(loaded.to_spike_vector(), local.to_spike_vector())
        assert loaded.get_property("q").tolist() == ["w", "x", "y", "z"]
    loaded = spikewire.load(tmp_path / "selection.json")
    same(loaded.to_spike_vector(), local.select_units(["c", "a"]).to_spike_vector())


def test_pickles_take_along_what_was_edited_here(client, name):
    remote = client.upload(random_sorting(), name)
    remote.set_property("q", [1, 2, 3, 4])
    remote.annotate(note="mine")
    for copy in (remote.clone(), pickle.loads(pickle.dumps(remote))):
        for again in (copy, pickle.loads(pickle.dumps(copy))):
            assert again.get_property("q").tolist() == [1, 2, 3, 4]
            assert again.get_annotation("note") == "mine"
    assert pickle.loads(pickle.dumps(client.open(name, mode="r+"))).mode == "r+"


def test_sortings_are_handed_to_other_processes(client, name):
    remote = client.upload(random_sorting(), name)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        count = operator.methodcaller("count_total_num_spikes")
        assert pool.apply(count, (remote,)) == 4000


def test_many_threads_share_one_sorting(client, name):
    local = random_sorting(spikes=20_000)
    remote = client.open(client.upload(local, name).remote_name)

    def read(number):
        unit_id = ["a", "b", "c"][number % 3]
        return unit_id, remote.get_unit_spike_train(unit_id, number % 2)

    with ThreadPoolExecutor(8) as pool:
        for number, (unit_id, train) in enumerate(pool.map(read, range(48))):
            same(train, local.get_unit_spike_train(unit_id, number % 2))


def test_saves_to_local_folders(client, name, tmp_path):
    local = random_sorting()
    local.set_property("q", [1.5, 2, 3, 4])
    saved = client.upload(local, name).save(folder=tmp_path / "saved")
    same(saved.to_spike_vector(), local.to_spike_vector())
    assert saved.get_property("q").tolist() == [1.5, 2, 3, 4]


def test_views_are_registered_saved_and_dumped(client, name):
    local = random_sorting()
    local.set_property("q", ["w", "x", "y", "z"])
    remote = client.upload(local, name)
    expected = local.select_units(["c", "a"], renamed_unit_ids=[30, 10])
    view = client.register(
        remote.select_units(["c", "a"], renamed_unit_ids=[30, 10]), f"{name}-view"
    )
    copy = client.save(view, f"{name}-copy")
    again = client.save(f"{name}-view", f"{name}-copy")
    loaded = spikewire.load(client.dump(f"{name}-view"))
    for sorting in (view, copy, again, loaded, client.open(f"{name}-copy")):
        same(sorting.unit_ids, expected.unit_ids)
        same(sorting.to_spike_vector(), expected.to_spike_vector())
        assert sorting.get_property("q").tolist() == ["y", "w"]
    assert {info.name: info.origin for info in client.list(prefix=name)} == {
        name: "store",
        f"{name}-copy": "store",
        f"{name}-view": "view",
    }


def test_registering_the_same_view_twice_is_no_conflict(client, name):
    remote = client.upload(random_sorting(), name)
    for _ in range(2):
        client.register(remote.select_units(["a"]), f"{name}-view")
    with pytest.raises(SortingExistsError):
        client.register(remote.select_units(["b"]), f"{name}-view")


def test_views_of_another_server_are_refused(client, name, new_server):
    with spikewire.connect(new_server().address) as elsewhere:
        remote = elsewhere.upload(random_sorting(), name)
        with pytest.raises(DumpError, match="upload it"):
            client.register(remote.select_units(["a"]), f"{name}-view")
        copy = client.upload(remote, name)
        same(copy.to_spike_vector(), remote.to_spike_vector())


def test_hostile_dumps_are_refused(client, name):
    remote = client.upload(random_sorting(), name)
    dump = remote.select_units(["a"]).to_dict(recursive=True)
    with pytest.raises(UnknownClassError):
        client.register({**dump, "class": "subprocess.Popen"}, f"{name}-view")
    with pytest.raises(DumpError):
        client.register({**dump, "kwargs": {}}, f"{name}-view")
    for depth in (30, 1000):
        nested = dump
        for _ in range(depth):
            nested = {**dump, "kwargs": {"parent_sorting": nested, "unit_ids": ["a"]}}
        with pytest.raises(DumpError, match="deep"):
            client.register(nested, f"{name}-view")
    for path in ("/etc/passwd", "../secret", "http://host/x", "nowhere/file.npz"):
        reader = {
            **dump,
            "class": "spikeinterface.core.npzsortingextractor.NpzSortingExtractor",
            "kwargs": {"file_path": path},
        }
        with pytest.raises((DumpError, SortingNotFoundError)):
            client.register(reader, f"{name}-view")


def test_spikeinterface_loads_our_dumps(client, name, tmp_path):
    local = random_sorting()
    local.set_property("q", ["w", "x", "y", "z"])
    local.annotate(note={"a": 1})
    remote = client.upload(local, name)
    remote.dump(tmp_path / "remote.json")
    theirs = spikeinterface.load(tmp_path / "remote.json")
    assert isinstance(theirs, spikeinterface.BaseSorting)
    same(theirs.to_spike_vector(), local.to_spike_vector())
    same(
        theirs.get_unit_spike_train("b", 1, 100, 5000, use_cache=False),
        local.get_unit_spike_train("b", 1, 100, 5000),
    )
    assert theirs.get_property("q").tolist() == ["w", "x", "y", "z"]
    assert theirs.get_annotation("note") == {"a": 1}
    assert spikewire.load(theirs.to_dict()).revision == remote.revision
    chosen = theirs.select_units(["c"])
    same(chosen.to_spike_vector(), local.select_units(["c"]).to_spike_vector())


def test_mistakes_raise_what_they_raise_locally(client, name):
    remote = client.upload(random_sorting(), name)
    with pytest.raises(SortingNotFoundError):
        client.open("no/such/sorting")
    with pytest.raises(SortingNotFoundError):
        client.delete("no/such/sorting")
    with pytest.raises(SortingNotFoundError):
        spikewire.load(f"spikewire://{client.info.address}/no/such/sorting")
    for bad in ("a/../b", "a\x00b", "x" * 10_000, ""):
        with pytest.raises(InvalidNameError):
            client.upload(random_sorting(), bad)
    with pytest.raises(UnitNotFoundError):
        remote.get_unit_spike_train("z", 0)
    with pytest.raises(SegmentRequiredError):
        remote.get_unit_spike_train("a")
    with pytest.raises(SegmentIndexError):
        remote.get_unit_spike_train("a", 2)
    for bound in (np.nan, "x", [1]):
        with pytest.raises(InvalidTypeError):
            remote.get_unit_spike_train("a", 0, start_frame=bound)
    with pytest.raises(InvalidValueError):
        client.open(name, mode="w")


def test_files_that_cannot_be_read_say_why_and_not_where(new_server, tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    spikewire.NpzSortingExtractor.write_sorting(random_sorting(), root / "good.npz")
    members = dict(np.load(root / "good.npz"))
    np.savez(root / "pickled.npz", **members | {"unit_ids": np.array([object()])})
    np.savez(root / "unsorted.npz", **members | {"spike_indexes_seg0": np.arange(2000)[::-1]})
    (root / "torn.npz").write_bytes((root / "good.npz").read_bytes()[:500])
    np.save(root / "spike_times.npy", np.arange(5))
    np.save(root / "spike_clusters.npy", np.zeros(5, int))
    phy = root / "phy"
    phy.mkdir()
    for file in ("spike_times.npy", "spike_clusters.npy"):
        (root / file).rename(phy / file)
    server = new_server(f"lab={root}")
    with spikewire.connect(server.address) as client:
        same(client.open("lab/good.npz").to_spike_vector(), random_sorting().to_spike_vector())
        for name, error in (
            ("pickled.npz", UnsafeContentError),
            ("unsorted.npz", FormatError),
            ("torn.npz", FormatError),
            ("phy", NeedsSamplingFrequencyError),
        ):
            with pytest.raises(error) as raised:
                client.open(f"lab/{name}").to_spike_vector()
            assert f"lab/{name}" in str(raised.value)
            assert str(tmp_path) not in str(raised.value)
        with pytest.raises(ReadOnlyError):
            client.upload(random_sorting(), "lab/new")
        with pytest.raises(ReadOnlyError):
            client.delete("lab/good.npz")


def test_an_upload_that_is_cut_leaves_nothing(client, name):
    local = random_sorting()
    local.set_property("fine", [1, 2, 3, 4])
    local.set_property("odd", np.array([object()] * 4, dtype=object))
    with pytest.raises(InvalidTypeError):
        client.upload(local, name)
    with pytest.raises(SortingNotFoundError):
        client.open(name)


def test_progress_is_told(client, name):
    told = []
    client.upload(random_sorting(), name, progress=lambda *numbers: told.append(numbers))
    assert told == [(2000, 4000), (4000, 4000)]
