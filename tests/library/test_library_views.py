from __future__ import annotations

import os
import sys
import threading
import time

import numpy as np
import pytest

from spikewire.core.dump import SortingReference
from spikewire.core.errors import (
    DumpError,
    FormatError,
    LimitExceededError,
    NeedsSamplingFrequencyError,
    RevisionMismatchError,
    SortingExistsError,
    SortingNotFoundError,
    UnitSelectionError,
    UnknownClassError,
)
from spikewire.core.numpy_sorting import NumpySorting
from spikewire.core.units_selection import UnitsSelectionSorting
from spikewire.extractors import NpzSortingExtractor, PhySortingExtractor
from spikewire.wire.dumps import MAX_DUMP_DEPTH
from spikewire.wire.errors import metadata_of
from spikewire_server.library import Origin, State

SELECTION = UnitsSelectionSorting._dump_class
NPZ = NpzSortingExtractor._dump_class
REMOTE = "spikewire.bridges.spikeinterface.RemoteSorting"


def dump(class_name, **kwargs):
    return {"class": class_name, "kwargs": kwargs, "version": "0.105.3", "annotations": {}}


def selection(parent, unit_ids=None, **metadata):
    kwargs = {"parent_sorting": parent, "unit_ids": unit_ids, "renamed_unit_ids": None}
    return dump(SELECTION, **kwargs) | metadata


def texts_in(value):
    if isinstance(value, dict):
        return [text for item in value.items() for part in item for text in texts_in(part)]
    if isinstance(value, list | tuple):
        return [text for item in value for text in texts_in(item)]
    return [value] if isinstance(value, str) else []


@pytest.fixture
def held(library, root, npz, sorting, upload):
    """A library with one sorting below the root and one in the store."""
    npz(root / "a.npz", sorting)
    sorting.set_property("p", np.array([10, 20, 30]))
    upload(library, "s", sorting)
    return library


@pytest.mark.parametrize(
    "parent",
    [
        SortingReference("s"),
        SortingReference("lab/a.npz"),
        dump(NPZ, file_path="lab/a.npz"),
        dump(REMOTE, name="s", revision=""),
        selection(SortingReference("s"), [1, 9, 4]),
    ],
    ids=["store", "root", "path", "remote", "nested"],
)
def test_a_view_reads_as_the_selection_does(held, sorting, parent):
    entry = held.register("v", selection(parent, [1, 9]))
    assert (entry.state, entry.origin) == (State.READY, Origin.VIEW)
    assert entry.class_name == "UnitsSelectionSorting"
    assert entry.unit_ids.tolist() == [1, 9]
    opened, local = held.open("v", entry.revision), sorting.select_units([1, 9])
    for index, segment in enumerate(local.segments):
        samples, units = segment.get_spike_columns()
        np.testing.assert_array_equal(opened.columns(index)[0], samples)
        np.testing.assert_array_equal(opened.columns(index)[1], units)
        for unit_id in local.unit_ids:
            np.testing.assert_array_equal(
                opened.sorting.get_unit_spike_train(unit_id, index),
                local.get_unit_spike_train(unit_id, index),
            )
        np.testing.assert_array_equal(opened.counts(index), segment.count_spikes())
    np.testing.assert_array_equal(opened.sorting.to_spike_vector(), local.to_spike_vector())


def test_a_view_has_the_metadata_of_its_parent_and_its_own(held):
    held.set_property("s", "later", np.array([1.0, 2.0, 3.0]))
    properties = {"own": np.array(["x", "y"]), "main_channel_id": None}
    held.register(
        "v",
        selection(SortingReference("s"), [4, 9], annotations={"n": 1}, properties=properties),
    )
    served = held.open("v").sorting
    assert served.get_property("p").tolist() == [30, 10]
    assert served.get_property("later").tolist() == [3.0, 1.0]
    assert served.get_property("own").tolist() == ["x", "y"]
    assert served.get_annotation("n") == 1
    before = held.describe("v")
    held.set_property("s", "p", np.array([1, 2, 3]))
    after = held.describe("v")
    assert after.revision == before.revision
    assert held.get_property("v", "p")[0].tolist() == [3, 1]
    etags = [{info.key: info.etag for info in entry.properties} for entry in (before, after)]
    assert etags[0]["own"] == etags[1]["own"]
    assert etags[0]["p"] != etags[1]["p"]
    held.set_property("v", "p", np.array([7, 8]))
    assert held.get_property("v", "p")[0].tolist() == [7, 8]
    assert held.get_property("s", "p")[0].tolist() == [1, 2, 3]


def test_metadata_of_nested_dumps_is_laid_on(held):
    inner = selection(SortingReference("s"), [9, 1], properties={"inner": np.array([5, 6])})
    held.register("v", selection(inner, [1]))
    assert held.get_property("v", "inner")[0].tolist() == [6]
    leaf = dump(NPZ, file_path="lab/a.npz") | {"annotations": {"from": "leaf"}}
    held.register("w", selection(leaf, [1]))
    assert held.open("w").sorting.get_annotation("from") == "leaf"


def test_a_floating_view_follows_and_a_pinned_one_does_not(held, root, npz):
    revision = held.describe("lab/a.npz").revision
    floating = held.register("floating", selection(SortingReference("lab/a.npz"), [1]))
    held.register("pinned", selection(SortingReference("lab/a.npz", revision), [1]))
    assert held.open("pinned").columns(0)[0].tolist() == [3, 7]
    other = NumpySorting.from_samples_and_labels([np.array([5])], [np.array([1])], 30000.0, [1, 2])
    npz(root / "a.npz", other)
    assert held.open("floating").columns(0)[0].tolist() == [5]
    assert held.describe("floating").revision != floating.revision
    with pytest.raises(RevisionMismatchError) as caught:
        held.open("pinned")
    assert metadata_of(caught.value)["name"] == "lab/a.npz"
    entry = held.describe("pinned")
    assert entry.state is State.BROKEN
    assert revision in entry.state_detail


def test_a_view_whose_parent_is_gone_says_so_and_recovers(held, sorting, upload, scanned):
    held.register("v", selection(SortingReference("s"), [1]))
    held.register("vv", selection(SortingReference("v")))
    held.delete("s")
    for name in ("v", "vv"):
        entry = held.describe(name)
        assert entry.state is State.BROKEN
        assert "no sorting is called 's'" in entry.state_detail
        with pytest.raises(FormatError, match="cannot be made now: no sorting is called 's'"):
            held.open(name)
    assert [entry.name for entry in scanned(held).list()[0]] == ["lab/a.npz", "v", "vv"]
    upload(held, "s", sorting)
    assert held.open("vv").columns(0)[0].tolist() == [3, 7]


def test_a_view_whose_unit_is_gone_is_broken(held, root, npz):
    held.register("v", selection(SortingReference("lab/a.npz"), [9]))
    other = NumpySorting.from_samples_and_labels([np.array([5])], [np.array([1])], 30000.0, [1, 2])
    npz(root / "a.npz", other)
    assert held.describe("v").state is State.BROKEN


def test_a_view_notices_that_files_change_while_it_is_read(held, root, npz, sorting):
    held.register("v", selection(SortingReference("lab/a.npz"), [9]))
    opened = held.open("v")
    npz(root / "a.npz", sorting.select_units([1, 9]), age=120)
    with pytest.raises(RevisionMismatchError, match=r"lab/a\.npz"):
        opened.columns(0)
    with pytest.raises(RevisionMismatchError):
        opened.verify()


def test_a_missing_rate_of_a_parent_is_the_state_of_the_view(held, phy):
    folder = phy("p")
    held.register("v", selection(SortingReference("lab/p"), [0]))
    (folder / "params.py").write_text("n_channels_dat = 4\n")
    assert held.describe("v").state is State.NEEDS_SAMPLING_FREQUENCY
    with pytest.raises(NeedsSamplingFrequencyError, match="--sampling-frequency 'lab/p=HZ'"):
        held.open("v")


def test_a_reader_may_be_given_options(held, phy):
    phy("p", rate=None)
    reader = dump(
        PhySortingExtractor._dump_class,
        folder_path="lab/p",
        exclude_cluster_groups=["noise"],
        sampling_frequency=12345.0,
    )
    entry = held.register("v", reader)
    assert (entry.unit_ids.tolist(), entry.sampling_frequency) == ([0], 12345.0)
    assert entry.class_name == "PhySortingExtractor"
    assert held.open("v").columns(0)[0].tolist() == [1, 5]
    assert held.register("w", selection(reader)).unit_ids.tolist() == [0]
    all_units = held.register(
        "x", reader | {"kwargs": {"folder_path": "lab/p", "sampling_frequency": 1.0}}
    )
    assert all_units.revision != entry.revision
    path = dump(PhySortingExtractor._dump_class, folder_path="lab/a.npz")
    with pytest.raises(FormatError) as caught:
        held.register("y", path)
    assert str(held._settings.roots[0].path) not in str(caught.value)


def test_equal_views_succeed_and_others_need_the_revision(held):
    first = held.register("v", selection(SortingReference("s"), [1]))
    again = selection(SortingReference("s"), [1], properties={"own": np.array([3])})
    assert held.register("v", again).revision == first.revision
    assert held.get_property("v", "own")[0].tolist() == [3]
    other = selection(SortingReference("s"), [9])
    with pytest.raises(SortingExistsError, match=first.revision):
        held.register("v", other)
    with pytest.raises(SortingExistsError):
        held.register("s", selection(SortingReference("lab/a.npz")))
    replaced = held.register("v", other, first.revision)
    assert replaced.unit_ids.tolist() == [9]
    assert [info.key for info in replaced.properties] == ["p"]
    held.delete("v", replaced.revision)
    with pytest.raises(SortingNotFoundError):
        held.describe("v")


def test_a_view_may_become_an_upload_and_back(held, sorting, upload):
    view = held.register("v", selection(SortingReference("s"), [1]))
    stored = upload(held, "v", sorting, view.revision)
    assert stored.origin is Origin.STORE
    back = held.register("v", selection(SortingReference("s"), [1]), stored.revision)
    assert back.revision == view.revision


HOSTILE = [
    ("subprocess.Popen", {"args": "touch pwned", "shell": True}),
    ("os.system", {"command": "touch pwned"}),
    ("spikewire.core.loading.load", {"file_or_folder_or_dict": "/etc/passwd"}),
    ("", {}),
    ("spikeinterface.core.numpyextractors.NumpySorting", {"spikes": [], "unit_ids": []}),
    ("spikeinterface.core.numpyextractors.SharedMemorySorting", {"shm_name": "x", "shape": [1]}),
]


@pytest.mark.parametrize(("class_name", "kwargs"), HOSTILE)
def test_unknown_classes_are_refused(held, class_name, kwargs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    modules = set(sys.modules)
    for hostile in (dump(class_name, **kwargs), selection(dump(class_name, **kwargs), [1])):
        with pytest.raises(UnknownClassError) as caught:
            held.register("v", hostile)
        assert metadata_of(caught.value) == {"class": class_name}
    assert set(sys.modules) == modules
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "lab/../../etc/passwd",
        "../root/a.npz",
        "file:///etc/passwd",
        "http://169.254.169.254/latest",
        "s3://bucket/key",
        "C:\\secret\n",
        "a\0b",
        "x" * 10_000,
        "",
        ["lab/a.npz"],
        {"nested": "lab/a.npz"},
        7,
        b"lab/a.npz",
    ],
)
def test_paths_are_names_and_nothing_else(held, path):
    for hostile in (dump(NPZ, file_path=path), selection(dump(NPZ, file_path=path))):
        with pytest.raises(DumpError):
            held.register("v", hostile)


@pytest.mark.parametrize("name", ["lab/none.npz", "s", "none", "lab"])
def test_a_path_must_be_a_sorting_below_a_root(held, name):
    with pytest.raises(DumpError, match="not here"):
        held.register("v", dump(NPZ, file_path=name))


@pytest.mark.parametrize(
    "malformed",
    [
        {},
        {"class": SELECTION},
        {"class": SELECTION, "kwargs": []},
        {"class": 7, "kwargs": {}},
        dump(SELECTION),
        dump(SELECTION, parent_sorting=7),
        dump(SELECTION, parent_sorting=SortingReference("s"), nonsense=1),
        dump(SELECTION, parent_sorting=SortingReference("s"), file_path="lab/a.npz"),
        dump(SELECTION, parent_sorting=[SortingReference("s")]),
        dump(SELECTION, unit_ids=SortingReference("s")),
        dump(SELECTION, parent_sorting=SortingReference("../x")),
        dump(SELECTION, parent_sorting=SortingReference("none")),
        dump(SELECTION, parent_sorting={"class": SELECTION}),
        dump(NPZ),
        dump(NPZ, file_path="lab/a.npz", folder_path="lab/a.npz"),
        dump(NPZ, file_path="lab/a.npz", mmap_mode="r"),
        dump(NPZ, file_path="lab/a.npz", allow_pickle=True),
        dump(NPZ, file_path="lab/a.npz", storage_options={"key": "x"}),
        dump(NPZ, file_path="lab/a.npz", sampling_frequency=1.0),
        dump(REMOTE, target="otherhost:7745", name="s", revision=""),
        dump(REMOTE, name=7),
        selection(SortingReference("s")) | {"annotations": [1]},
        selection(SortingReference("s")) | {"properties": {1: 2}},
    ],
    ids=repr,
)
def test_malformed_dumps_are_refused(held, malformed):
    with pytest.raises(DumpError):
        held.register("v", malformed)
    assert [entry.name for entry in held.list(prefix="v")[0]] == []


def test_wrong_arguments_are_refused_as_they_are_locally(held):
    for unit_ids in ([77], [1, 1], ["1"]):
        with pytest.raises(UnitSelectionError):
            held.register("v", selection(SortingReference("s"), unit_ids))
    with pytest.raises(AssertionError):
        held.register("v", selection(SortingReference("s"), properties={"p": np.zeros(9)}))
    with held._catalogue.read() as connection:
        left = connection.exec_driver_sql("SELECT count(*) FROM notes WHERE name LIKE '//%'")
        assert left.scalar() == 0


def test_dumps_nest_so_deep_and_not_deeper(held):
    deep = SortingReference("s")
    for _ in range(1000):
        deep = selection(deep)
    with pytest.raises(DumpError, match=f"more than {MAX_DUMP_DEPTH} deep"):
        held.register("v", deep)


@pytest.mark.parametrize(
    ("make", "count"),
    [
        (lambda parent: selection(SortingReference(parent)), MAX_DUMP_DEPTH),
        (lambda parent: selection(selection(SortingReference(parent))), MAX_DUMP_DEPTH // 2),
        (lambda parent: dump(REMOTE, name=parent), MAX_DUMP_DEPTH),
    ],
    ids=["views", "nested views", "other names"],
)
def test_views_of_views_are_limited_too(held, make, count):
    parent = "s"
    for number in range(count):
        parent = held.register(f"v{number}", make(parent)).name
    assert held.open(parent).columns(0)[0].size == 4
    with pytest.raises(DumpError, match=f"more than {MAX_DUMP_DEPTH} deep"):
        held.register("one more", make(parent))


def test_views_of_themselves_are_refused(held):
    first = held.register("a", selection(SortingReference("s")))
    held.register("b", selection(SortingReference("a")))
    for loop in ("a", "b"):
        with pytest.raises(DumpError, match="view of itself"):
            held.register("a", selection(SortingReference(loop), [1]), first.revision)
    assert held.describe("b").state is State.READY


def test_two_views_registered_at_once_do_not_become_a_loop(held):
    revisions = {
        name: held.register(name, selection(SortingReference("s"))).revision for name in "ab"
    }
    barrier = threading.Barrier(2)
    refused = []

    def register(name, parent):
        barrier.wait()
        try:
            held.register(name, selection(SortingReference(parent), [1]), revisions[name])
        except DumpError:
            refused.append(name)

    threads = [threading.Thread(target=register, args=pair) for pair in ("ab", "ba")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 1
    assert [held.describe(name).state for name in "ab"] == [State.READY] * 2


def test_young_files_do_not_make_chains_of_views_slow(held, root):
    now = time.time()
    os.utime(root / "a.npz", (now, now + 1000))
    parent = "lab/a.npz"
    for number in range(MAX_DUMP_DEPTH - 1):
        held.register(f"v{number}", selection(SortingReference(parent)))
        parent = f"v{number}"
    assert held.open(parent).columns(0)[0].size == 4


def test_too_many_units_are_refused(start, root, npz, sorting):
    npz(root / "a.npz", sorting)
    library = start(max_unit_count=2)
    with pytest.raises(LimitExceededError):
        library.register("v", selection(SortingReference("lab/a.npz")))
    assert library.register("v", selection(SortingReference("lab/a.npz"), [1])).unit_count == 1


def test_dumps_name_no_path_and_make_the_same_again(held, root, phy, sorting):
    phy("p")
    held.set_property("lab/p", "mine", np.array([1, 2]))
    inner = selection(dump(NPZ, file_path="lab/a.npz"), [9, 1])
    held.register("v", selection(inner, [1], annotations={"n": 1}))
    held.register("w", selection(SortingReference("v")))
    for name in ("lab/a.npz", "lab/p", "s", "v", "w"):
        dumped = held.dump(name)
        assert not [text for text in texts_in(dumped) if str(root) in text or "objects" in text]
        assert dumped["version"]
        copy = held.register(f"copy of {name}", dumped)
        np.testing.assert_array_equal(
            held.open(copy.name).sorting.to_spike_vector(),
            held.open(name).sorting.to_spike_vector(),
        )
        assert copy.unit_ids.tolist() == held.describe(name).unit_ids.tolist()
    assert held.get_property("copy of lab/p", "mine")[0].tolist() == [1, 2]
    assert held.dump("w")["kwargs"]["parent_sorting"] == SortingReference(
        "v", held.describe("v").revision
    )
    assert held.dump("s")["kwargs"] == {"name": "s", "revision": held.describe("s").revision}
    with pytest.raises(SortingNotFoundError):
        held.dump("none")


def test_a_view_is_saved_as_what_it_shows(held, sorting):
    held.register("v", selection(SortingReference("s"), [4, 1]))
    saved = held.save("v", held.describe("v").revision, "saved")
    assert saved.origin is Origin.STORE
    held.delete("s")
    local = sorting.select_units([4, 1])
    np.testing.assert_array_equal(
        held.open("saved").sorting.to_spike_vector(), local.to_spike_vector()
    )
    assert held.get_property("saved", "p")[0].tolist() == [30, 20]


def test_whoever_reads_a_view_keeps_its_parents_and_nobody_else_does(held):
    held.register("v", selection(SortingReference("s"), [1]))
    held.register("vv", selection(SortingReference("v")))
    objects = held._settings.store / "objects"
    opened = held.open("vv")
    held.delete("s")
    assert opened.columns(0)[0].tolist() == [3, 7]
    assert len(list(objects.iterdir())) == 1
    del opened
    assert list(objects.iterdir()) == []
