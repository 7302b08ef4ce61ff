from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import spikewire
from spikewire import NumpySorting


@pytest.fixture
def sorting() -> NumpySorting:
    samples, labels = np.array([0, 30, 31, 59_999]), np.array([7, 7, 9, 7])
    sorting = NumpySorting.from_samples_and_labels([samples], [labels], 30_000.0)
    sorting.set_property("quality", ["good", "[/mua]"])
    sorting.annotate(note="a\x1b[31mred\x07 note")
    return sorting


@pytest.fixture
def folder(sorting: NumpySorting, tmp_path: Path) -> Path:
    sorting.save(folder=tmp_path / "saved")
    return tmp_path / "saved"


def command(*words: object, status: int = 0) -> str:
    """Run the command; return what it prints, or what it complains about."""
    done = subprocess.run(
        [sys.executable, "-m", "spikewire.cli", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status, done.stderr
    return done.stderr if status else done.stdout


def test_help_has_examples() -> None:
    text = command("--help")
    assert "spikewire upload sessions/probe0 lab-server/rat7/probe0" in text


def test_show_has_units_spikes_and_properties(folder: Path) -> None:
    text = command("show", folder)
    assert "NumpyFolderSorting: 2 units - 1 segments - 30.0kHz" in text
    assert re.search(r"^7 +3 +good *$", text, re.MULTILINE)
    assert re.search(r"^9 +1 +\[/mua\] *$", text, re.MULTILINE), "markup is text"
    assert "4 spikes" in text


def test_what_data_says_does_not_steer_the_terminal(folder: Path) -> None:
    text = command("show", folder)
    assert "note: a\ufffd[31mred\ufffd note" in text
    assert "\x1b" not in text


def test_raster_draws_a_line_a_unit(folder: Path) -> None:
    first, second, axis = command("raster", folder).splitlines()
    assert first[0], second[0] == "79"
    assert axis.split() == ["0.0", "s", "2.0", "s"]
    assert "and 1 more units" in command("raster", folder, "--units", 1)


def test_upload_list_show_save(
    folder: Path, sorting: NumpySorting, tmp_path: Path, new_server: Callable[..., Any]
) -> None:
    address = new_server().address
    assert "RemoteSorting" in command("upload", folder, f"{address}/rat7/probe 0?")
    spikewire.connect(address).upload(sorting, "rat8/probe1")

    listing = command("list", address)
    assert re.search(r"^rat7/probe 0\? +2 +1 +4 +30,000 ", listing, re.MULTILINE)
    assert "rat8/probe1" in listing
    assert "rat7" not in command("list", f"{address}/rat8")

    assert "4 spikes" in command("show", f"{address}/rat7/probe 0?")
    command("save", f"{address}/rat7/probe 0?", tmp_path / "copy")
    copy = spikewire.load(tmp_path / "copy")
    np.testing.assert_array_equal(copy.to_spike_vector(), sorting.to_spike_vector())
    assert copy.get_property("quality").tolist() == ["good", "[/mua]"]
    again = ("save", f"{address}/rat8/probe1", tmp_path / "copy")
    assert "exists already; --overwrite replaces it" in command(*again, status=1)
    command(*again, "--overwrite")


def test_upload_replaces_and_delete_removes_only_when_told(
    folder: Path, sorting: NumpySorting, tmp_path: Path, new_server: Callable[..., Any]
) -> None:
    target = f"{new_server().address}/rat7/probe0"
    command("upload", folder, target, "--overwrite")
    sorting.select_units([9]).save(folder=tmp_path / "other")
    refused = command("upload", tmp_path / "other", target, status=1)
    assert "rat7/probe0 is another sorting" in refused
    assert "--overwrite replaces it" in refused
    assert "4 spikes" in command("show", target)
    command("upload", tmp_path / "other", target, "--overwrite")
    assert "1 spikes" in command("show", target)

    assert "Delete rat7/probe0" in command("delete", target, status=1), "nobody has said yes"
    assert "1 spikes" in command("show", target)
    command("delete", target, "--yes")
    assert "no sorting is called 'rat7/probe0'" in command("show", target, status=1)


def test_an_empty_listing_says_so(run: Callable[..., Any], new_server: Callable[..., Any]) -> None:
    address = new_server().address
    assert run("list", address).stderr == f"{address} has no sortings\n"
    assert "whose names begin with 'rat9'" in run("list", f"{address}/rat9").stderr


def test_a_missing_rate_is_asked_for_by_its_option(tmp_path: Path) -> None:
    (tmp_path / "TT01_1.t").write_bytes(b"%%BEGINHEADER\n%%ENDHEADER\n" + bytes(8))
    assert "give --sampling-frequency HZ" in command("show", tmp_path, status=1)
    assert "1 spikes" in command("show", tmp_path, "--sampling-frequency", 10_000)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["show", "nowhere"], "there is no file or folder 'nowhere'"),
        (["raster", "{folder}", "--segment", "3"], "no segment 3"),
        (["upload", "{folder}", "no-name"], "'no-name' is not HOST[:PORT]/NAME"),
        (["show", "localhost:1/name"], "localhost:1"),
        (["show", "{folder}/properties"], "holds no si_folder.json or cached.json"),
    ],
)
def test_mistakes_are_answered_in_a_line(words: list[str], complaint: str, folder: Path) -> None:
    text = command(*(word.format(folder=folder) for word in words), status=1)
    assert complaint in text
    assert "Traceback" not in text


@pytest.mark.parametrize("words", [["--units", "-2"], ["--units", "0"], ["--segment", "-1"]])
def test_a_raster_of_less_than_nothing_is_refused(words: list[str], folder: Path) -> None:
    assert "Invalid value" in command("raster", folder, *words, status=2)
