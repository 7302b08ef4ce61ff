"""`make demo` shows what it should and leaves nothing behind, however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

DEMO = Path(__file__).parents[2] / "examples" / "demo.py"


def start(folder: Path, *arguments: str | Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-u", DEMO, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"TMPDIR": str(folder), "TEMP": str(folder)},
    )


def left_behind(folder: Path) -> list[object]:
    """Files of the demo, and processes that work on them."""
    running = (process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"]))
    return [*folder.iterdir(), *(words for words in running if str(folder) in " ".join(words))]


def test_the_demo_of_a_made_up_sorting(tmp_path: Path) -> None:
    demo = start(tmp_path)
    output, errors = demo.communicate(timeout=100)
    assert demo.returncode == 0, errors
    assert "RemoteSorting" in output
    assert "12 units\n" in output
    assert "\033" not in output, "no colours where there is no terminal"
    assert left_behind(tmp_path) == []


def test_the_demo_of_real_data(tmp_path: Path, real_data: Path) -> None:
    demo = start(tmp_path, real_data / "phy_wmaze")
    output, errors = demo.communicate(timeout=100)
    assert demo.returncode == 0, errors
    assert "25 units\n518,352 spikes\n" in output
    assert left_behind(tmp_path) == []


@pytest.mark.skipif(os.name == "nt", reason="Windows has no signal to stop a process politely")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_a_demo_that_is_stopped_leaves_nothing_behind(
    tmp_path: Path, number: signal.Signals
) -> None:
    demo = start(tmp_path)
    assert demo.stdout
    for line in demo.stdout:
        if "listens on" in line:
            break
    assert left_behind(tmp_path)
    demo.send_signal(number)
    demo.communicate(timeout=60)
    assert demo.returncode == 128 + number
    assert left_behind(tmp_path) == []


def test_data_that_is_not_there_is_named(tmp_path: Path) -> None:
    demo = start(tmp_path, tmp_path / "nowhere")
    _, errors = demo.communicate(timeout=60)
    assert demo.returncode != 0
    assert str(tmp_path / "nowhere") in errors.splitlines()[-1]
