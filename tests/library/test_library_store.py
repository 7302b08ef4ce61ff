from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from spikewire.core.errors import (
    ContractError,
    FormatError,
    InvalidNameError,
    InvalidValueError,
    LimitExceededError,
    ReadOnlyError,
    RevisionMismatchError,
    SortingExistsError,
    SortingNotFoundError,
    StoreUnwritableError,
    UploadIncompleteError,
)
from spikewire.core.numpy_sorting import NumpySorting
from spikewire.extractors import NumpyFolderSorting
from spikewire.wire.errors import metadata_of
from spikewire_server.library import Origin, State
from spikewire_server.library.store import Store


def objects(library):
    return sorted(path.name for path in (library._settings.store / "objects").iterdir())


def uploads(library):
    return list((library._settings.store / "uploads").iterdir())


def other(seed=0):
    rng = np.random.default_rng(seed)
    samples, labels = np.sort(rng.integers(0, 1000, 50)), rng.integers(0, 3, 50)
    return NumpySorting.from_samples_and_labels([samples], [labels], 20000.0, [0, 1, 2])


def test_an_upload_reads_back_spike_for_spike(library, sorting, upload):
    sorting.set_property("quality", np.array(["good", "", "ünsicher"]))
    sorting.set_property("depth", np.array([1.5, np.nan, -0.0], dtype=np.float32))
    sorting.annotate(session="rat7", nested={"a": [1, None, "x"]})
    sorting.segments[1]._t_start = 12.5
    entry = upload(library, "rat7/a", sorting)
    assert (entry.state, entry.origin) == (State.READY, Origin.STORE)
    assert (entry.unit_count, entry.segment_count, entry.spike_count) == (3, 2, 6)
    assert entry.t_starts == (None, 12.5)
    opened = library.open("rat7/a", entry.revision)
    assert opened.unit_ids.tolist() == [9, 1, 4]
    assert opened.unit_ids.dtype == sorting.unit_ids.dtype
    for index, segment in enumerate(sorting.segments):
        samples, units = segment.get_spike_columns()
        got_samples, got_units = opened.columns(index)
        assert got_samples.dtype == np.int64
        assert got_units.dtype == np.uint8
        assert not got_samples.flags.writeable
        assert not got_units.flags.writeable
        np.testing.assert_array_equal(got_samples, samples)
        np.testing.assert_array_equal(got_units, units)
        assert opened.counts(index).tolist() == np.bincount(units, minlength=3).tolist()
        assert opened.counts(index).sum() == len(samples)
        for unit in range(3):
            (train,) = opened.spikes(index).trains(np.array([unit]), None, None)
            np.testing.assert_array_equal(train, samples[units == unit])
    served = opened.sorting
    assert served.get_property("quality").tolist() == ["good", "", "ünsicher"]
    assert served.get_property("depth").dtype == np.float32
    assert served.get_annotation("nested") == {"a": [1, None, "x"]}
    np.testing.assert_array_equal(served.to_spike_vector(), sorting.to_spike_vector())


def test_the_revision_does_not_depend_on_how_the_stream_was_cut(library, sorting, upload):
    first = upload(library, "a", sorting, piece=1)
    second = upload(library, "b", sorting, piece=100)
    assert first.revision == second.revision


@pytest.mark.parametrize(
    "ids",
    [np.array([], int), np.array(["a", "ü"]), np.array([b"x", b"\xff"]), np.array([2**63], "u8")],
)
def test_ids_of_every_type_come_back(library, upload, ids):
    empty = NumpySorting.from_unit_dict([{i: np.array([], int) for i in ids.tolist()}], 1000.0)
    upload(library, "x", empty)
    opened = library.open("x")
    assert opened.unit_ids.tolist() == ids.tolist()
    assert opened.columns(0)[0].size == 0


def test_an_object_is_a_numpy_folder(library, sorting, upload):
    upload(library, "a", sorting)
    (object_id,) = objects(library)
    read = NumpyFolderSorting(library._settings.store / "objects" / object_id)
    np.testing.assert_array_equal(read.to_spike_vector(), sorting.to_spike_vector())
    assert read.unit_ids.tolist() == [9, 1, 4]


def test_an_equal_upload_succeeds_and_another_is_refused(library, sorting, upload):
    entry = upload(library, "a", sorting)
    assert upload(library, "a", sorting).revision == entry.revision
    assert len(objects(library)) == 1
    with pytest.raises(SortingExistsError, match=entry.revision) as caught:
        upload(library, "a", other())
    assert metadata_of(caught.value) == {"name": "a", "revision": entry.revision}
    with pytest.raises(RevisionMismatchError):
        upload(library, "a", other(), if_revision="not this")
    with pytest.raises(RevisionMismatchError):
        upload(library, "new", other(), if_revision=entry.revision)
    assert len(objects(library)) == 1
    assert uploads(library) == []


def test_a_replacement_needs_the_revision_and_clears_the_notes(library, sorting, upload):
    entry = upload(library, "a", sorting)
    library.set_property("a", "mine", np.array([1, 2, 3]))
    replaced = upload(library, "a", other(), if_revision=entry.revision)
    assert replaced.revision != entry.revision
    assert replaced.properties == ()
    # A retry of the replacement, whose answer was lost, succeeds.
    assert upload(library, "a", other(), if_revision=entry.revision).revision == replaced.revision
    assert len(objects(library)) == 1


def test_an_equal_upload_brings_its_metadata(library, sorting, upload):
    sorting.set_property("p", np.array([1, 2, 3]))
    sorting.set_property("same", np.array([1, 2, 3]))
    first = upload(library, "a", sorting)
    library.set_property("a", "kept", np.array([7, 7, 7]))
    sorting.set_property("p", np.array([4, 5, 6]))
    second = upload(library, "a", sorting)
    etags = [{info.key: info.etag for info in entry.properties} for entry in (first, second)]
    assert etags[0]["same"] == etags[1]["same"]
    assert etags[0]["p"] != etags[1]["p"]
    assert library.get_property("a", "p")[0].tolist() == [4, 5, 6]
    assert library.get_property("a", "kept")[0].tolist() == [7, 7, 7]


def test_nothing_is_seen_before_the_commit_and_nothing_remains_of_a_cut(library, sorting):
    incoming = library.begin_upload("a", 1000.0, np.array([1]), [None], [3], {"k": 1})
    incoming.write_property("p", np.array([1]))
    incoming.write_spikes(0, np.array([1, 2]), np.array([0, 0]))
    with pytest.raises(SortingNotFoundError):
        library.describe("a")
    with pytest.raises(
        UploadIncompleteError, match="3 spikes were announced, but 2 came"
    ) as caught:
        incoming.commit()
    assert metadata_of(caught.value) == {"expected": "3", "actual": "2"}
    incoming.abort()
    incoming.abort()
    assert objects(library) == []
    assert uploads(library) == []
    with library._catalogue.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM notes").scalar() == 0
    with pytest.raises(UploadIncompleteError, match="over"):
        incoming.write_spikes(0, np.array([3]), np.array([0]))


@pytest.mark.parametrize(
    ("segment", "samples", "units", "message"),
    [
        (0, [5, 4], [0, 0], "not in time order"),
        (0, [0], [0], "not in time order"),
        (0, [5], [2], "not below the 2 units"),
        (0, [5], [-1], "not below the 2 units"),
        (0, [5, 6, 7], [0, 0, 0], "more spikes of segment 0 than the 3 announced"),
        (2, [5], [0], "spikes of segment 2"),
        (-1, [5], [0], "spikes of segment -1"),
        (0, [5], [0, 1], "1 samples, but 2 units"),
    ],
)
def test_wrong_spikes_are_refused(library, segment, samples, units, message):
    with library.begin_upload("a", 1000.0, np.array([1, 2]), [None, None], [3, 1], {}) as incoming:
        incoming.write_spikes(0, np.array([1]), np.array([0]))
        with pytest.raises(InvalidValueError, match=message):
            incoming.write_spikes(segment, np.array(samples), np.array(units))


def test_segments_come_in_order(library):
    with library.begin_upload("a", 1000.0, np.array([1]), [None, None], [1, 2], {}) as incoming:
        incoming.write_spikes(1, np.array([-3]), np.array([0]))
        with pytest.raises(InvalidValueError, match="segment 0 after those of segment 1"):
            incoming.write_spikes(0, np.array([1]), np.array([0]))


@pytest.mark.parametrize(
    ("header", "error"),
    [
        (("a/../b", 1.0, [1], [None], [0], {}), InvalidNameError),
        (("lab/x", 1.0, [1], [None], [0], {}), ReadOnlyError),
        (("lab", 1.0, [1], [None], [0], {}), ReadOnlyError),
        (("a", 0.0, [1], [None], [0], {}), InvalidValueError),
        (("a", float("nan"), [1], [None], [0], {}), InvalidValueError),
        (("a", 1.0, [1, 1], [None], [0], {}), ContractError),
        (("a", 1.0, [1], [None], [0, 0], {}), InvalidValueError),
        (("a", 1.0, [1], [None], [-1], {}), InvalidValueError),
        (("a", 1.0, [1], [float("inf")], [0], {}), InvalidValueError),
        (("a", 1.0, [1], [None], [2**62], {}), LimitExceededError),
        (("a", 1.0, [1], [None], [0], {"": 1}), InvalidNameError),
    ],
)
def test_a_wrong_header_is_refused(library, header, error):
    name, rate, ids, *rest = header
    with pytest.raises(error):
        library.begin_upload(name, rate, np.array(ids), *rest)
    assert uploads(library) == []


def test_a_name_below_a_label_names_the_label(library):
    with pytest.raises(ReadOnlyError) as caught:
        library.delete("lab/a")
    assert metadata_of(caught.value) == {"name": "lab/a", "label": "lab"}


def test_limits_are_kept(start, sorting, upload):
    library = start(max_upload_bytes=200, max_unit_count=3, max_property_bytes=100)
    with pytest.raises(LimitExceededError) as caught:
        library.begin_upload("a", 1.0, np.arange(4), [None], [0], {})
    assert metadata_of(caught.value) == {"limit": "unit_count", "maximum": "3"}
    with pytest.raises(LimitExceededError, match="240 bytes"):
        library.begin_upload("a", 1.0, np.arange(3), [None], [10], {})
    upload(library, "a", sorting)
    with pytest.raises(LimitExceededError):
        library.set_property("a", "p", np.zeros((3, 5)))
    with library.begin_upload("b", 1.0, np.arange(3), [None], [5], {}) as incoming:
        incoming.write_property("p", np.zeros(3))
        with pytest.raises(LimitExceededError):
            incoming.write_property("q", np.zeros((3, 3)))
    assert uploads(library) == []


def test_delete_takes_the_name_and_readers_read_on(library, sorting, upload):
    entry = upload(library, "a", sorting)
    opened = library.open("a")
    with pytest.raises(RevisionMismatchError):
        library.delete("a", "not this")
    library.delete("a", entry.revision)
    with pytest.raises(SortingNotFoundError):
        library.open("a")
    with pytest.raises(SortingNotFoundError):
        library.delete("a")
    assert len(objects(library)) == 1
    assert opened.columns(0)[0].size == 4
    del opened
    assert objects(library) == []


def test_a_deleted_name_can_be_given_anew_without_old_notes(library, sorting, upload):
    upload(library, "a", sorting)
    library.set_annotation("a", "k", 1)
    library.delete("a")
    assert upload(library, "a", sorting).annotations == ()


def test_save_copies_spikes_and_metadata(library, root, npz, sorting):
    npz(root / "a.npz", sorting)
    library.set_property("lab/a.npz", "p", np.array([1, 2, 3]))
    library.set_annotation("lab/a.npz", "k", {"x": 1})
    revision = library.describe("lab/a.npz").revision
    saved = library.save("lab/a.npz", revision, "copy")
    assert saved.spike_count == 6
    assert library.get_property("copy", "p")[0].tolist() == [1, 2, 3]
    assert [item[:2] for item in library.get_annotations("copy")] == [("k", {"x": 1})]
    np.testing.assert_array_equal(
        library.open("copy").sorting.to_spike_vector(), sorting.to_spike_vector()
    )
    assert library.save("lab/a.npz", "", "copy").revision == saved.revision
    with pytest.raises(RevisionMismatchError):
        library.save("lab/a.npz", "not this", "copy")
    with pytest.raises(UploadIncompleteError, match="stopped"):
        library.save("lab/a.npz", "", "copy2", stop=lambda: True)
    assert len(objects(library)) == 1
    assert uploads(library) == []


def test_one_process_has_the_store(start):
    start()
    with pytest.raises(StoreUnwritableError, match=f"in use by process {os.getpid()} on "):
        start()


def test_the_store_can_be_taken_over(start, sorting, upload):
    first = start()
    revision = upload(first, "a", sorting).revision
    first.close()
    assert start().describe("a").revision == revision


def test_leftovers_are_removed_at_the_start(start, sorting, upload, tmp_path):
    library = start()
    upload(library, "a", sorting)
    cut = library.begin_upload("b", 1.0, np.array([1]), [None], [1], {"k": 1})
    cut._writer._file.close()  # as the end of the process would
    (kept,) = objects(library)
    library.close()
    (tmp_path / "store/objects/orphan").mkdir()
    (tmp_path / "store/objects/orphan/spikes.npy").write_bytes(b"x")
    again = start()
    assert objects(again) == [kept]
    assert uploads(again) == []
    with again._catalogue.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM notes").scalar() == 0


def test_a_store_that_cannot_be_made_says_so(start, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnwritableError, match="cannot be used"):
        start(store=tmp_path / "file")


def test_missing_files_of_an_object_are_told(start, sorting, upload):
    library = start()
    upload(library, "a", sorting)
    (object_id,) = objects(library)
    folder = library._settings.store / "objects" / object_id
    (folder / "spikes.npy").unlink()
    with pytest.raises(FormatError, match=r"a/spikes\.npy") as caught:
        library.open("a").columns(0)
    assert str(library._settings.store) not in str(caught.value)
    shutil.rmtree(folder)
    library.close()
    again = start()
    with pytest.raises(FormatError, match="missing from the store"):
        again.open("a")
    assert again.describe("a").state is State.BROKEN


@pytest.mark.parametrize("step", ["write", "fsync", "replace", "publish"])
def test_a_failure_at_any_step_leaves_nothing(library, sorting, upload, monkeypatch, step):
    def fail(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    if step == "fsync":
        monkeypatch.setattr("spikewire_server.library.object_writer.os.fsync", fail)
    elif step == "replace":
        monkeypatch.setattr("spikewire_server.library.object_writer.os.replace", fail)
    elif step == "write":
        monkeypatch.setattr(np.lib.format, "write_array_header_1_0", fail)
    else:
        monkeypatch.setattr(library._publisher, "publish", fail)
    with pytest.raises(OSError, match="No space left"):
        upload(library, "a", sorting)
    monkeypatch.undo()
    assert objects(library) == []
    assert uploads(library) == []
    assert library.list()[0] == []
    upload(library, "a", sorting)


def test_a_server_killed_in_the_middle_of_an_upload_leaves_nothing(
    start, tmp_path, sorting, upload
):
    script = textwrap.dedent(
        """
        import sys, numpy as np
        from pathlib import Path
        from spikewire_server.library import Library
        from spikewire_server.settings import Settings
        library = Library(Settings(store=Path(sys.argv[1])))
        library.start()
        with library.begin_upload("done", 1.0, np.array([1]), [None], [1], {"k": 1}) as upload:
            upload.write_spikes(0, np.array([5]), np.array([0]))
            upload.commit()
        upload = library.begin_upload("cut", 1.0, np.array([1]), [None], [10**6], {"k": 1})
        upload.write_property("p", np.array([1]))
        upload.write_spikes(0, np.arange(10**5), np.zeros(10**5, int))
        print("ready", flush=True)
        sys.stdin.read()
        """
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "store")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout.readline() == "ready\n"
        assert len(list((tmp_path / "store/uploads").iterdir())) == 1
        with pytest.raises(StoreUnwritableError, match=f"process {process.pid} on"):
            start()
        os.kill(process.pid, signal.SIGKILL)
    library = start()
    assert [entry.name for entry in library.list()[0]] == ["done"]
    assert library.open("done").columns(0)[0].tolist() == [5]
    assert uploads(library) == []
    assert len(objects(library)) == 1
    with pytest.raises(SortingNotFoundError):
        library.describe("cut")


def test_a_lease_keeps_an_object_until_the_last_is_closed(tmp_path):
    store = Store(tmp_path)
    folder = store.path_of("one")
    folder.mkdir()
    first, second = store.lease("one"), store.lease("one")
    store.discard("one")
    assert store.lease("one") is None
    first.close()
    first.close()
    assert folder.is_dir()
    second.close()
    assert not folder.exists()
    assert store.lease("two") is None
    store.close()
