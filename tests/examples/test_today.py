"""The examples in today's dialect run without a warning and print what their numbers come to."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

EXAMPLES = Path(__file__).parents[2] / "examples"

OUTPUT = """\
my sorting (NumpySorting): 4 units - 2 segments - 30.0kHz
Unit ids = [1 2 3 4]
Spikes a unit = {counts} in all 2000
First second of unit 1, segment 1 = {in_first_second}
Last spike of unit 1, segment 1 = {last} s
First second of units 2 and 4, segment 0 = {{2: {of_unit_2}, 4: {of_unit_4}}}
Spike vector = 2000 ('sample_index', 'unit_index', 'segment_index')
['a' 'b'] {rates}
Second second of segment 0 = {in_window}
my sorting (UnitsSelectionSorting): 2 units - 2 segments - 30.0kHz
"""


def numbers() -> dict[str, Any]:
    """What the examples' random numbers come to, without any sorting."""
    random = np.random.default_rng(2026)
    samples = [np.sort(random.integers(0, 600_000, 1000)) for _ in range(2)]
    labels = [random.integers(1, 5, 1000) for _ in range(2)]
    counts = np.bincount(np.concatenate(labels))[1:]
    early = labels[0][samples[0] < 30_000]
    of_unit_1 = samples[1][labels[1] == 1]
    return {
        "counts": counts,
        "in_first_second": np.count_nonzero(of_unit_1 < 30_000),
        "last": round(of_unit_1[-1] / 30_000, 3),
        "of_unit_2": np.count_nonzero(early == 2),
        "of_unit_4": np.count_nonzero(early == 4),
        "rates": counts[[0, 2]] / 40,
        "in_window": np.count_nonzero((samples[0] >= 30_000) & (samples[0] < 60_000)),
    }


def run(example: str, *arguments: str, folder: Path) -> str:
    command = [sys.executable, "-W", "error", EXAMPLES / example, *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_locally(tmp_path: Path) -> None:
    assert run("today_local.py", folder=tmp_path) == OUTPUT.format(**numbers())
    assert {path.name for path in tmp_path.iterdir()} == {"my_sorting", "my_selection.json"}


def test_remotely(tmp_path: Path, new_server: Callable[..., Any]) -> None:
    address = new_server().address
    printed = run("today_remote.py", address, folder=tmp_path)
    assert printed == OUTPUT.format(**numbers())
    assert {"my_remote", "my_selection.json"} <= {path.name for path in tmp_path.iterdir()}


def test_both_make_the_same_calls() -> None:
    """The remote twin has every line of the local one, but where the sorting is kept."""
    local, remote = (
        [line for line in (EXAMPLES / name).read_text("utf-8").splitlines() if "sorting" in line]
        for name in ("today_local.py", "today_remote.py")
    )
    code = [line for line in local if " = " in line or line.startswith(("print", "sorting."))]
    kept = {
        'sorting.save(folder="my_sorting")',
        'sorting = spikewire.load("my_sorting")',
        "good = sorting.select_units([1, 3])",
    }
    assert set(code) - set(remote) == kept
