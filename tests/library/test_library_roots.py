from __future__ import annotations

import json
import os
import shutil

import numpy as np
import pytest

from spikewire.core.errors import (
    ContentChangedError,
    FormatError,
    InvalidNameError,
    NeedsSamplingFrequencyError,
    ReadOnlyError,
    RevisionMismatchError,
    SegmentIndexError,
    SortingNotFoundError,
)
from spikewire.core.numpy_sorting import NumpySorting
from spikewire.wire.errors import metadata_of
from spikewire_server.library import Origin, State
from spikewire_server.library.opened import OpenedSorting
from spikewire_server.settings import Root

symlinks = pytest.mark.skipif(os.name == "nt", reason="Windows asks for a privilege for links")


def names(library, *args, **kwargs):
    return [entry.name for entry in library.list(*args, **kwargs)[0]]


def other_sorting(count=6):
    samples = np.arange(count) * 10
    return NumpySorting.from_samples_and_labels(
        [samples, samples[:0]], [samples % 2, samples[:0]], 30000.0, [0, 1]
    )


def test_formats_below_a_root_have_names(library, root, npz, phy, sorting, scanned):
    npz(root / "rat7/a.npz", sorting)
    phy("rat7/probe0")
    sorting.save(folder=root / "saved")
    (root / "notes.txt").write_text("not a sorting")
    np.savez(root / "other.npz", x=1)
    assert names(scanned(library)) == ["lab/rat7/a.npz", "lab/rat7/probe0", "lab/saved"]
    described = {name: library.describe(name) for name in names(library)}
    classes = [entry.class_name for entry in described.values()]
    assert classes == ["NpzSortingExtractor", "PhySortingExtractor", "NumpyFolderSorting"]
    for entry in described.values():
        assert (entry.state, entry.origin) == (State.READY, Origin.ROOT)
    entry = described["lab/rat7/probe0"]
    assert entry.sampling_frequency == 25000.0
    assert entry.unit_ids.tolist() == [0, 2]
    assert {info.key for info in entry.properties} >= {"quality"}


def test_a_root_may_be_a_sorting_itself(start, phy, scanned):
    folder = phy("session")
    library = scanned(start(roots=(Root("it", folder.resolve()),)))
    assert names(library) == ["it"]
    assert library.open("it").columns(0)[0].size == 4


def test_what_a_sorting_consists_of_has_no_names(library, root, npz, phy, sorting, scanned):
    npz(phy("p") / "inner.npz", sorting)
    sorting.save(folder=root / "saved")
    assert names(scanned(library)) == ["lab/p", "lab/saved"]
    for name in ("lab/p/inner.npz", "lab/p/spike_times.npy", "lab/saved/spikes.npy"):
        with pytest.raises(SortingNotFoundError):
            library.describe(name)


def test_hidden_and_unfinished_and_ill_named_are_left_out(library, root, npz, sorting, scanned):
    for name in (".hidden/a.npz", ".a.npz", "x.npz.spikewire-backup/a.npz", "bad\nname.npz"):
        npz(root / name, sorting)
    npz(root / "Mu\u0308ller.npz", sorting)
    npz(root / "ok.npz", sorting)
    assert names(scanned(library)) == ["lab/ok.npz"]
    for name in ("lab/.hidden/a.npz", "lab/.a.npz"):
        with pytest.raises(SortingNotFoundError):
            library.describe(name)


@pytest.mark.skipif(os.name == "nt", reason="file names are Unicode there")
def test_a_name_that_is_no_unicode_is_left_out(library, root, npz, sorting, scanned):
    npz(root / "a.npz", sorting)
    shutil.copy(root / "a.npz", os.fsencode(root) + b"/b\xff.npz")
    assert names(scanned(library)) == ["lab/a.npz"]


@symlinks
def test_links_are_followed_inside_a_root_only(library, root, npz, sorting, scanned, tmp_path):
    npz(tmp_path / "outside/secret.npz", sorting)
    npz(root / "real/a.npz", sorting)
    (root / "out").symlink_to(tmp_path / "outside")
    (root / "out.npz").symlink_to(tmp_path / "outside/secret.npz")
    (root / "in").symlink_to(root / "real")
    (root / "real/loop").symlink_to(root)
    (root / "self").symlink_to(root / "self")
    (root / "dangling").symlink_to(root / "gone")
    assert names(scanned(library)) == ["lab/in/a.npz", "lab/real/a.npz"]
    assert library.open("lab/in/a.npz").columns(0)[0].size == 4
    for name in ("lab/out/secret.npz", "lab/out.npz", "lab/real/loop/real/a.npz", "lab/self"):
        with pytest.raises(SortingNotFoundError):
            library.describe(name)


@pytest.mark.parametrize(
    "name",
    ["lab/../outside/secret.npz", "lab//etc", "/etc/passwd", "lab/./a", "x" * 10_000, "a\0b"],
)
def test_names_are_checked_before_anything(library, name):
    for ask in (library.describe, library.open, library.delete, library.dump):
        with pytest.raises(InvalidNameError):
            ask(name)


def test_an_unknown_name_is_told(library):
    for name in ("lab", "lab/x", "nobody/has/this", "LAB/x"):
        with pytest.raises(SortingNotFoundError, match="no sorting is called") as caught:
            library.open(name)
        assert metadata_of(caught.value) == {"name": name}


def test_names_are_case_sensitive_everywhere(library, root, npz, sorting):
    npz(root / "a.npz", sorting)
    with pytest.raises(SortingNotFoundError):
        library.describe("lab/A.npz")


def test_an_unreadable_folder_is_left_out(library, root, npz, sorting, scanned, monkeypatch):
    npz(root / "a/a.npz", sorting)
    npz(root / "b/b.npz", sorting)
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("a"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr("spikewire_server.library.roots.os.scandir", refuse)
    assert names(scanned(library)) == ["lab/b/b.npz"]


def test_the_store_below_a_root_is_passed_over(start, root, sorting, upload, scanned):
    library = start(store=root / "deep/store")
    upload(library, "a", sorting)
    assert names(scanned(library)) == ["a"]


def test_a_missing_rate_is_listed_and_the_setting_printed(start, phy, scanned, rule):
    phy("rat's [1]", rate=None)
    library = scanned(start())
    name = "lab/rat's [1]"
    assert [entry.state for entry in library.list()[0]] == [State.NEEDS_SAMPLING_FREQUENCY]
    entry = library.describe(name)
    assert entry.state is State.NEEDS_SAMPLING_FREQUENCY
    with pytest.raises(NeedsSamplingFrequencyError) as caught:
        library.open(name)
    assert str(caught.value) == entry.state_detail
    setting = """--sampling-frequency 'lab/rat'"'"'s [[]1]=HZ'"""
    assert str(caught.value).endswith(setting)
    library.close()
    configured = start(sampling_frequency=(rule.parse("lab/rat's [[]1]=20000"),))
    opened = configured.open(name)
    assert opened.facts.sampling_frequency == 20000.0
    configured.close()
    elsewhere = start(sampling_frequency=(rule.parse("lab/*=10000"),))
    assert elsewhere.open(name).revision != opened.revision


def test_a_rate_in_the_files_is_not_overruled(start, root, npz, sorting, rule):
    npz(root / "a.npz", sorting)
    library = start(sampling_frequency=(rule.parse("*=1"),))
    assert library.open("lab/a.npz").facts.sampling_frequency == 30000.0


def test_broken_files_are_told_by_name(library, root, npz, sorting, scanned):
    path = npz(root / "torn.npz", sorting)
    path.write_bytes(path.read_bytes()[:200])
    objects = np.empty(1, object)
    np.savez(root / "pickled.npz", unit_ids=objects, num_segment=[1], sampling_frequency=[1.0])
    sorting.save(folder=root / "gutted")
    (root / "gutted/spikes.npy").unlink()
    scanned(library)
    for entry in library.list()[0]:
        assert entry.state is State.BROKEN
        described = library.describe(entry.name)
        assert described.state is State.BROKEN
        assert entry.name in described.state_detail
        assert str(root) not in described.state_detail
        with pytest.raises(FormatError) as caught:
            library.open(entry.name)
        assert str(root) not in str(caught.value)
    assert len(library.list()[0]) == 3


def test_the_revision_is_of_the_spikes_alone(library, phy, old):
    folder = phy("p")
    before = library.describe("lab/p")
    (folder / "cluster_group.tsv").write_text("cluster_id\tgroup\n0\tmua\n2\tnoise\n")
    relabelled = library.describe("lab/p")
    assert relabelled.revision == before.revision
    assert [p.etag for p in relabelled.properties] != [p.etag for p in before.properties]
    (folder / "cluster_group.tsv").write_text("cluster_id\tgroup\n0\tmua\n2\tnoise\n5\tgood\n")
    more = library.describe("lab/p")
    assert more.unit_ids.tolist() == [0, 2, 5]
    assert more.revision != before.revision
    np.save(folder / "spike_clusters.npy", np.array([0, 2, 2, 2], dtype=np.int32))
    old(folder / "spike_clusters.npy")
    assert library.describe("lab/p").revision not in (before.revision, more.revision)


def test_moving_a_session_keeps_its_revision(library, root, phy):
    phy("p")
    before = library.describe("lab/p").revision
    (root / "p").rename(root / "q")
    assert library.describe("lab/q").revision == before


def test_a_pin_holds(library, root, npz, sorting):
    npz(root / "a.npz", sorting)
    revision = library.open("lab/a.npz").revision
    assert library.open("lab/a.npz", revision).revision == revision
    npz(root / "a.npz", other_sorting())
    with pytest.raises(RevisionMismatchError) as caught:
        library.open("lab/a.npz", revision)
    actual = library.open("lab/a.npz").revision
    assert metadata_of(caught.value) == {
        "name": "lab/a.npz",
        "expected": revision,
        "actual": actual,
    }


@pytest.mark.parametrize("change", ["truncate", "replace", "remove", "grow"])
def test_files_that_change_after_opening_are_never_mixed(library, root, npz, sorting, change):
    path = npz(root / "a.npz", sorting)
    opened = library.open("lab/a.npz")
    if change == "truncate":
        path.write_bytes(path.read_bytes()[:-50])
    elif change == "replace":
        npz(path, other_sorting())
    elif change == "remove":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes() + b"x")
    for read in (opened.columns, opened.counts, opened.spikes):
        with pytest.raises(ContentChangedError, match=r"lab/a\.npz"):
            read(0)
    with pytest.raises(ContentChangedError):
        opened.verify()


@pytest.mark.parametrize("change", ["truncate", "replace", "remove"])
def test_files_that_change_during_a_read_are_never_mixed(
    library, root, npz, sorting, change, monkeypatch
):
    path = npz(root / "a.npz", sorting)
    opened = library.open("lab/a.npz")
    segment = OpenedSorting._segment

    def change_first(self, index):
        found = segment(self, index)
        if change == "truncate":
            os.truncate(path, 300)
        elif change == "replace":
            npz(path, other_sorting(), age=120)
        else:
            path.unlink()
        return found

    monkeypatch.setattr(OpenedSorting, "_segment", change_first)
    with pytest.raises(ContentChangedError, match=r"lab/a\.npz") as caught:
        opened.columns(0)
    assert str(root) not in str(caught.value)
    monkeypatch.undo()
    # The server goes on: what is there now is served, or its state told.
    npz(path, sorting)
    assert library.open("lab/a.npz").columns(0)[0].size == 4


def test_what_was_read_before_a_change_is_still_served(library, root, npz, sorting):
    path = npz(root / "a.npz", sorting)
    opened = library.open("lab/a.npz")
    before = opened.columns(0)[0].tolist()
    npz(path, other_sorting())
    assert opened.columns(0)[0].tolist() == before
    assert library.open("lab/a.npz").columns(0)[0].tolist() != before


def test_a_young_file_is_read_but_not_cached(library, root, npz, sorting):
    path = npz(root / "a.npz", sorting, age=0.0)
    opened = library.open("lab/a.npz")
    assert opened.columns(0)[0].size == 4
    assert opened.columns(0)[0] is opened.columns(0)[0]
    assert library._opener._cache.nbytes == 0
    npz(path, sorting, age=60.0)
    again = library.open("lab/a.npz")
    again.columns(0)
    assert library._opener._cache.nbytes > 0


def test_settled_columns_are_shared(library, root, npz, sorting):
    npz(root / "a.npz", sorting)
    first, second = library.open("lab/a.npz"), library.open("lab/a.npz")
    assert first.columns(0)[0] is second.columns(0)[0]


def test_segments_out_of_range_are_refused(library, root, npz, sorting):
    npz(root / "a.npz", sorting)
    opened = library.open("lab/a.npz")
    for index in (2, -1):
        with pytest.raises(SegmentIndexError):
            opened.columns(index)


def test_a_root_is_never_written(library, root, npz, sorting):
    npz(root / "a.npz", sorting)
    before = sorted((p, p.stat().st_mtime_ns) for p in root.rglob("*"))
    library.set_property("lab/a.npz", "p", np.array([1, 2, 3]))
    library.set_annotation("lab/a.npz", "k", 1)
    for write in (
        lambda: library.delete("lab/a.npz"),
        lambda: library.save("lab/a.npz", "", "lab/b"),
        lambda: library.register("lab/b", {}),
    ):
        with pytest.raises(ReadOnlyError):
            write()
    assert sorted((p, p.stat().st_mtime_ns) for p in root.rglob("*")) == before


def test_listing_pages_through_roots_and_store(library, root, npz, sorting, upload, scanned):
    for index in range(4):
        npz(root / f"s{index}.npz", sorting)
        upload(library, f"s/{index}", sorting)
    upload(library, "aaa", sorting)
    scanned(library)
    everything = names(library)
    assert everything == sorted(everything)
    assert len(everything) == 9
    paged, after = [], ""
    while page := names(library, after=after, limit=2):
        paged += page
        after = page[-1]
    assert paged == everything
    assert names(library, prefix="lab/s1") == ["lab/s1.npz"]
    assert names(library, prefix="s/", after="s/1") == ["s/2", "s/3"]
    assert names(library, pattern="*[02]*") == ["lab/s0.npz", "lab/s2.npz", "s/0", "s/2"]
    assert names(library, pattern="S/*") == []
    with pytest.raises(ValueError, match="pattern"):
        library.list(pattern="*" * 600)


def test_listings_know_what_the_scan_saw(library, root, npz, sorting, upload, scanned):
    npz(root / "a.npz", sorting)
    upload(library, "b", sorting)
    scanned(library)
    (root / "a.npz").unlink()
    second, first = library.list()[0]
    assert (first.unit_count, first.segment_count, first.sampling_frequency) == (3, 2, 30000.0)
    assert (second.unit_count, second.segment_count, second.spike_count) == (3, 2, 6)
    for entry in (first, second):
        assert entry.unit_ids is None
        assert (entry.revision, entry.properties) == ("", ())
    assert library.list()[1] is not None
    assert names(scanned(library)) == ["b"]


def test_a_hostile_pattern_ends(library, sorting, upload):
    upload(library, "a" * 400, sorting)
    assert names(library, pattern="a*" * 200 + "b") == []


def test_a_root_hides_names_of_the_store(start, root, npz, sorting, upload, scanned):
    library = start(roots=())
    upload(library, "lab/x", sorting)
    upload(library, "labels", sorting)
    library.close()
    npz(root / "a.npz", sorting)
    again = scanned(start())
    assert names(again) == ["lab/a.npz", "labels"]
    with pytest.raises(SortingNotFoundError):
        again.open("lab/x")


def test_the_first_scan_is_in_the_background(start, root, npz, sorting):
    npz(root / "a.npz", sorting)
    library = start()
    library._scanner._thread.join(0)
    assert library.open("lab/a.npz").columns(0)[0].size == 4


def test_real_phy_folders_read_as_expected(start, real_data, scanned):
    expected = json.loads((real_data / "expected.json").read_text())
    library = scanned(start(roots=(Root("real", real_data),)))
    for name in ("phy_wmaze", "ks_bombcell_toy"):
        opened, truth = library.open(f"real/{name}"), expected[name]
        assert opened.facts.sampling_frequency == truth["sampling_frequency_hz"]
        assert opened.unit_ids.tolist() == truth["unit_ids"]
        assert opened.counts(0).tolist() == list(truth["spikes_per_unit"].values())
        samples, _ = opened.columns(0)
        assert (samples[0], samples[-1]) == (truth["first_sample"], truth["last_sample"])


def test_spikes_out_of_order_are_told_by_name(library, root, old):
    np.savez(
        root / "a.npz",
        unit_ids=[1],
        num_segment=[1],
        sampling_frequency=[1.0],
        spike_indexes_seg0=[5, 4],
        spike_labels_seg0=[1, 1],
    )
    old(root / "a.npz")
    with pytest.raises(FormatError, match=r"^lab/a\.npz: .* not in ascending order"):
        library.open("lab/a.npz").columns(0)
