"""The tutorial of 2021 runs line by line, here and against a server, and prints what it printed.

The output is that of the tutorial but for these differences:

- random numbers: the tutorial had no seed, so the expected ones are worked out from ours;
- the path of my_sorting.npz;
- to_dict() says the version of today's dialect and has the key "spikewire" more;
- save(folder=...) writes today's format, so the folder has other files in it, and
  what reads them is a NumpyFolderSorting;
- remotely, a sorting of the server is a RemoteSorting, and so is the selection that
  the server makes; its dump names the server, the sorting and its revision.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
SEED = 2021

OUTPUT = """\
{numpy}: 4 units - 2 segments - 30.0kHz
Unit ids = [1 2 3 4]
Num. events for unit 1seg0 = {events}
Num. events for first second of unit 1 seg1 = {events_of_first_second}
{npz}: 4 units - 2 segments - 30.0kHz
  {path}
{rates}
{selection}: 2 units - 2 segments - 30.0kHz
{rates_of_selection}
<dump>
{npz}: 4 units - 2 segments - 30.0kHz
  {path}
{npz}: 4 units - 2 segments - 30.0kHz
  {path}
<listing>
NumpyFolderSorting: 4 units - 2 segments - 30.0kHz
"""
DUMP = {
    "annotations": {},
    "class": "spikeinterface.core.npzsortingextractor.NpzSortingExtractor",
    "dumpable": True,
    "module": "spikeinterface",
    "properties": {},
    "relative_paths": False,
}
LISTING = {
    "numpysorting_info.json",
    "properties",
    "provenance.json",
    "si_folder.json",
    "spikes.npy",
}


def numbers() -> dict[str, Any]:
    """What the tutorial's random numbers come to."""
    random = np.random.RandomState(SEED)
    random.uniform(0, 600_000, 1000)
    labels0 = random.randint(1, 5, size=1000)
    times1 = np.sort(random.uniform(0, 600_000, 1000)).astype(int)
    labels1 = random.randint(1, 5, size=1000)
    rates = np.bincount(labels0)[1:] / 20
    return {
        "events": np.count_nonzero(labels0 == 1),
        "events_of_first_second": np.count_nonzero((labels1 == 1) & (times1 < 30_000)),
        "rates": rates,
        "rates_of_selection": rates[[0, 3]],
    }


def run(tutorial: Path, *arguments: str, folder: Path) -> tuple[str, dict[str, Any], set[str]]:
    """Return what the tutorial prints, its dump and its listing taken out."""
    program = (
        "import numpy, runpy, sys; "
        f"numpy.random.seed({SEED}); "
        "sys.argv = sys.argv[1:]; "
        "runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    command = [sys.executable, "-W", "error", "-c", program, tutorial, *arguments]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, env=os.environ | {"COLUMNS": "80"}
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    (dump,) = re.findall(r"^\{.*?\}$", done.stdout, re.MULTILINE | re.DOTALL)
    (listing,) = re.findall(r"^\['.*?\]$", done.stdout, re.MULTILINE | re.DOTALL)
    output = done.stdout.replace(dump, "<dump>").replace(listing, "<listing>")
    return output, ast.literal_eval(dump), set(ast.literal_eval(listing))


def test_the_local_tutorial(tmp_path: Path) -> None:
    output, dump, listing = run(EXAMPLES / "tutorial_local.py", folder=tmp_path)
    path = tmp_path / "my_sorting.npz"
    assert output == OUTPUT.format(
        numpy="NumpySorting",
        npz="NpzSortingExtractor",
        selection="UnitsSelectionSorting",
        path=f"file_path: {path}",
        **numbers(),
    )
    assert dump.pop("version") == "0.105.3"
    assert dump.pop("spikewire")
    assert dump == DUMP | {"kwargs": {"file_path": str(path)}}
    assert listing >= LISTING


def test_the_remote_tutorial(tmp_path: Path, new_server: Callable[..., Any]) -> None:
    root = tmp_path / "root"
    root.mkdir()
    address = new_server(f"tutorial={root}").address
    output, dump, listing = run(EXAMPLES / "tutorial_remote.py", address, folder=root)
    assert output == OUTPUT.format(
        numpy="RemoteSorting",
        npz="RemoteSorting",
        selection="RemoteSorting",
        path="",
        **numbers(),
    )
    assert dump
    assert listing >= LISTING


@pytest.mark.parametrize("tutorial", ["tutorial_local.py", "tutorial_remote.py"])
@pytest.mark.parametrize("name", ["NumpySorting.from_times_labels", "load_extractor"])
def test_every_filter_of_the_tutorial_is_needed(
    tutorial: str, name: str, tmp_path: Path, new_server: Callable[..., Any]
) -> None:
    lines = (EXAMPLES / tutorial).read_text("utf-8").splitlines()
    others = [
        line for line in lines if not line.startswith(f'warnings.filterwarnings("ignore", "{name}')
    ]
    assert len(others) == len(lines) - 1
    unfiltered = tmp_path / tutorial
    unfiltered.write_text("\n".join(others), "utf-8")
    root = tmp_path / "root"
    root.mkdir()
    arguments = [new_server(f"tutorial={root}").address] if "remote" in tutorial else []
    done = subprocess.run(
        [sys.executable, "-W", "error", unfiltered, *arguments],
        cwd=root,
        capture_output=True,
        text=True,
    )
    assert done.returncode
    assert name in done.stderr.splitlines()[-1]
