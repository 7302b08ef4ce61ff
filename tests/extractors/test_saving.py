from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from spikewire.core.backups import backup_path
from spikewire.core.errors import (
    InvalidNameError,
    SortingExistsError,
    SortingFileNotFoundError,
    SortingNotFoundError,
)
from spikewire.core.loading import load
from spikewire.extractors import saving
from spikewire.extractors.exchange import exchange
from spikewire.extractors.folder_metadata import existing_folder
from spikewire.extractors.saving import (
    check_file_names,
    is_leftover,
    new_file,
    new_folder,
)


def test_a_folder_appears_when_it_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "new" / "deep" / "folder"
    with new_folder(target) as folder:
        (folder / "a").write_text("1")
        assert not target.exists()
        assert is_leftover(folder)
    assert (target / "a").read_text() == "1"
    assert os.listdir(target.parent) == ["folder"]


def test_a_failed_save_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), new_folder(tmp_path / "new" / "folder") as folder:  # noqa: PT012
        (folder / "a").write_text("1")
        raise RuntimeError
    with pytest.raises(RuntimeError), new_file(tmp_path / "new" / "file") as file:  # noqa: PT012
        file.write_text("1")
        raise RuntimeError
    assert os.listdir(tmp_path) == []


def test_what_exists_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(SortingExistsError, match="overwrite=True"), new_folder(tmp_path / "folder"):
        pytest.fail("nothing may be written")
    with pytest.raises(FileExistsError), new_file(tmp_path / "folder"):
        pytest.fail("nothing may be written")


def test_what_appears_meanwhile_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SortingExistsError), new_folder(tmp_path / "folder") as folder:  # noqa: PT012
        (tmp_path / "folder").mkdir()
        (folder / "a").write_text("1")
    assert os.listdir(tmp_path) == ["folder"]


@pytest.fixture
def no_exchange(monkeypatch: pytest.MonkeyPatch) -> None:
    """A system that cannot swap two folders in one step."""
    monkeypatch.setattr("spikewire.extractors.saving.exchange", lambda one, other: False)


@pytest.mark.parametrize("failing", [False, True])
@pytest.mark.parametrize("exchanging", [False, True])
def test_the_old_folder_survives_until_the_new_one_is_whole(
    tmp_path: Path, failing: bool, exchanging: bool, request: pytest.FixtureRequest
) -> None:
    if not exchanging:
        request.getfixturevalue("no_exchange")
    target = tmp_path / "folder"
    target.mkdir()
    (target / "old").write_text("old")
    try:
        with new_folder(target, overwrite=True) as folder:
            (folder / "new").write_text("new")
            assert (target / "old").read_text() == "old"
            if failing:
                raise RuntimeError
    except RuntimeError:
        pass
    assert os.listdir(tmp_path) == ["folder"]
    assert os.listdir(target) == (["old"] if failing else ["new"])


def test_a_crash_between_the_renames_leaves_a_named_backup(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spikewire.extractors.saving.exchange", lambda one, other: False)
    target = tmp_path / "folder"
    target.mkdir()
    (target / "old").write_text("old")
    rename = os.replace
    renames = 0

    class Crash(BaseException):
        pass

    def crash_at_the_second(source: Path, destination: Path) -> None:
        nonlocal renames
        renames += 1
        if renames > 1:
            raise Crash
        rename(source, destination)

    monkeypatch.setattr("spikewire.extractors.saving.os.replace", crash_at_the_second)
    with pytest.raises(Crash), new_folder(target, overwrite=True) as folder:
        (folder / "new").write_text("new")
    monkeypatch.undo()
    assert os.listdir(backup_path(target)) == ["old"]
    assert is_leftover(backup_path(target))
    with pytest.raises(SortingFileNotFoundError, match="spikewire-backup"):
        existing_folder(target)
    with pytest.raises(SortingNotFoundError, match="spikewire-backup"):
        load(target)
    with new_folder(target, overwrite=True) as folder:
        (folder / "new").write_text("new")
    assert os.listdir(tmp_path) == ["folder"]


@pytest.mark.usefixtures("no_exchange")
def test_a_failed_second_rename_is_undone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "folder"
    target.mkdir()
    (target / "old").write_text("old")
    rename = os.replace

    def refuse_the_new_one(source: Path, destination: Path) -> None:
        if "partial" in str(source):
            raise PermissionError(source)
        rename(source, destination)

    monkeypatch.setattr("spikewire.extractors.saving.os.replace", refuse_the_new_one)
    with pytest.raises(PermissionError), new_folder(target, overwrite=True):
        pass
    assert os.listdir(target) == ["old"]
    assert os.listdir(tmp_path) == ["folder"]


def test_files_are_replaced(tmp_path: Path) -> None:
    target = tmp_path / "file"
    target.write_text("old")
    with new_file(target, overwrite=True) as file:
        file.write_text("new")
    assert target.read_text() == "new"
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize(
    "key",
    [
        "",
        "../x",
        "a/b",
        "a\\b",
        "C:x",
        "a\nb",
        "a\0",
        "x.",
        "x ",
        " x",
        ".x",
        "..",
        "NUL",
        "con.text",
        "con .text",
        "Com1",
        "a*",
        "x" * 300,
        "é" * 130,
        "\ud800",
    ],
)
def test_keys_that_are_no_file_names(key: str) -> None:
    with pytest.raises(InvalidNameError, match="cannot become a file name"):
        check_file_names(["fine", key])


@pytest.mark.parametrize(
    ("one", "other"), [("snr", "SNR"), ("ä", "a\u0308"), ("straße", "STRASSE")]
)
def test_keys_that_are_one_file_on_some_systems(one: str, other: str) -> None:
    with pytest.raises(InvalidNameError, match="differ by case"):
        check_file_names([one, other])


def test_keys_that_are_file_names() -> None:
    check_file_names(["snr", "max Δ amplitude (µV)", "a.b", "console", "x-1", "com10"])


@pytest.mark.skipif(sys.platform not in ("linux", "darwin"), reason="no such call there")
def test_two_folders_change_places_in_one_step(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).write_text(name)
    if not exchange(tmp_path / "a", tmp_path / "b"):
        pytest.skip("the file system cannot")
    assert os.listdir(tmp_path / "a") == ["b"]
    assert os.listdir(tmp_path / "b") == ["a"]
    assert not exchange(tmp_path / "a", tmp_path / "absent")
    assert os.listdir(tmp_path / "a") == ["b"]


def test_every_file_is_on_disk_before_the_folder_appears(tmp_path, monkeypatch):
    synced = []

    def sync(path):
        assert not (tmp_path / "new").exists() or path == tmp_path
        synced.append(path.name)

    monkeypatch.setattr(saving, "_sync", sync)
    with new_folder(tmp_path / "new") as folder:
        (folder / "inner").mkdir()
        for name in ("a", "inner/b"):
            (folder / name).write_text("x")
    assert {"a", "b", "inner"} <= set(synced)
