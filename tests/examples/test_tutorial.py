"""The tutorial of 2021 runs line by line, here and against a server, and prints what it printed.

The output is that of the tutorial but for these differences:

- random numbers: the tutorial had no seed, so the expected ones are worked out from ours;
- the path of my_sorting.npz, which is printed below each sorting that is read from it;
- to_dict() says the version of today's dialect and has the key "spikewire" more;
- save(folder=...) writes today's format, so the folder has other files in it, and
  what reads them is a NumpyFolderSorting;
- remotely, a sorting of the server is a RemoteSorting, the selection that the server
  makes too, with its address below; a dump names server, sorting and revision.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

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
{rates}
{selection}: 2 units - 2 segments - 30.0kHz
{rates_of_selection}
<dump>
{npz}: 4 units - 2 segments - 30.0kHz
{npz}: 4 units - 2 segments - 30.0kHz
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


class Printed(NamedTuple):
    """What a tutorial printed."""

    text: str
    places: list[str]
    """The second lines of sortings: where they are."""
    dump: dict[str, Any]
    listing: set[str]


def run(tutorial: Path, *arguments: str, folder: Path) -> Printed:
    program = (
        "import numpy, runpy, sys; "
        f"numpy.random.seed({SEED}); "
        "sys.argv = sys.argv[1:]; "
        "runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    command = [sys.executable, "-W", "error", "-c", program, tutorial, *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    text = done.stdout
    (dump,) = re.findall(r"^\{.*?\}$", text, re.MULTILINE | re.DOTALL)
    (listing,) = re.findall(r"^\['.*?\]$", text, re.MULTILINE | re.DOTALL)
    text = text.replace(dump, "<dump>").replace(listing, "<listing>")
    places = re.findall(r"^  (.*)\n", text, re.MULTILINE)
    text = re.sub(r"^  .*\n", "", text, flags=re.MULTILINE)
    return Printed(text, places, ast.literal_eval(dump), set(ast.literal_eval(listing)))


def test_the_local_tutorial(tmp_path: Path) -> None:
    printed = run(EXAMPLES / "tutorial_local.py", folder=tmp_path)
    assert printed.text == OUTPUT.format(
        numpy="NumpySorting",
        npz="NpzSortingExtractor",
        selection="UnitsSelectionSorting",
        **numbers(),
    )
    path = str(tmp_path / "my_sorting.npz")
    assert printed.places == [f"file_path: {path}"] * 3
    assert printed.dump.pop("version") == "0.105.3"
    assert printed.dump.pop("spikewire")
    assert printed.dump == DUMP | {"kwargs": {"file_path": path}}
    assert printed.listing >= LISTING


def test_the_remote_tutorial(tmp_path: Path, new_server: Callable[..., Any]) -> None:
    root = tmp_path / "root"
    root.mkdir()
    address = new_server(f"tutorial={root}").address
    printed = run(EXAMPLES / "tutorial_remote.py", address, folder=root)
    assert printed.text == OUTPUT.format(
        numpy="RemoteSorting", npz="RemoteSorting", selection="RemoteSorting", **numbers()
    )
    npz = "tutorial/my_sorting.npz"
    names = ["uploads/my_sorting", npz, "views/units_1_and_4", npz, npz]
    assert printed.places == [f"spikewire://{address}/{name}" for name in names]
    kwargs = printed.dump.pop("kwargs")
    assert kwargs.pop("revision")
    assert kwargs == {"target": address, "name": npz}
    assert printed.dump.pop("version") == "0.105.3"
    assert printed.dump.pop("spikewire")
    remote = {"class": "spikewire.bridges.spikeinterface.RemoteSorting", "module": "spikewire"}
    assert printed.dump == DUMP | remote
    assert printed.listing >= LISTING


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
        check=False,
    )
    assert done.returncode
    assert name in done.stderr.splitlines()[-1]
