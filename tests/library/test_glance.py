"""A glance: whatever changes a sorting is seen, however much it looks the same."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from spikewire import generate_sorting
from spikewire.extractors.formats import recognise
from spikewire_server.library import glance as module
from spikewire_server.library.glance import Glance
from spikewire_server.library.roots import Found
from spikewire_server.library.sources import RootSource
from spikewire_server.setting_values import Root


def write_in_place(path: Path) -> None:
    """Change a byte, and set the times back, until the system's clock has ticked."""
    before = path.stat()
    while path.stat().st_ctime_ns == before.st_ctime_ns:
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        with path.open("r+b") as file:
            file.write(data)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_mtime_ns == before.st_mtime_ns


def replace(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(path.read_bytes())
    os.replace(other, path)


CHANGES = {
    "a byte is changed and the times are set back": lambda f: write_in_place(f / "spikes.npy"),
    "another file takes its place": lambda f: replace(f / "spikes.npy"),
    "a file is gone": lambda f: (f / "spikes.npy").unlink(),
    "a missing file appears": lambda f: (f / "labels.tsv").write_text("id\n"),
    "a property is added": lambda f: (f / "properties" / "quality.npy").write_bytes(b""),
    "a folder appears": lambda f: (f / "more").mkdir(),
    "what a link leads to is changed": lambda f: write_in_place(f.parent / "elsewhere" / "a.npy"),
    "a file appears where a link leads": lambda f: (f.parent / "elsewhere" / "b.npy").touch(),
}


@pytest.fixture
def folder(tmp_path) -> Path:
    folder = tmp_path / "sorting"
    (folder / "properties").mkdir(parents=True)
    (folder / "spikes.npy").write_bytes(bytes(100))
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "a.npy").write_bytes(bytes(100))
    (folder / "linked").symlink_to(tmp_path / "elsewhere")
    return folder


def files(folder: Path) -> list[Path]:
    return [folder / "spikes.npy", folder / "labels.tsv", folder / "linked" / "a.npy"]


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_every_change_is_seen(folder, monkeypatch, change):
    monkeypatch.setattr(module, "_SETTLED_NS", -(10**12))
    glance = Glance.at(folder, files(folder))
    assert glance is not None
    assert glance.holds()
    change(folder)
    assert not glance.holds()


def test_what_changed_a_moment_ago_is_looked_at_again(folder):
    assert Glance.at(folder, files(folder)) is None


def test_many_folders_are_looked_at_again(folder, monkeypatch):
    monkeypatch.setattr(module, "_SETTLED_NS", -(10**12))
    for number in range(40):
        (folder / str(number)).mkdir()
    assert Glance.at(folder, files(folder)) is None


def test_a_source_opens_no_file_while_the_glance_holds(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_SETTLED_NS", -(10**12))
    generate_sorting().save(folder=tmp_path / "lab" / "a")
    path = tmp_path / "lab" / "a"
    source = RootSource(Found("lab/a", path, recognise(path), Root("lab", tmp_path / "lab")), None)
    first = source.look()
    with monkeypatch.context() as patched:
        patched.setattr("spikewire_server.library.sources.stamp_files", None)
        assert source.look() == first
    write_in_place(path / "spikes.npy")
    (path / "si_folder.json").touch()
    assert source.look().spikes != first.spikes
