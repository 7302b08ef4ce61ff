"""`import spikewire` costs numpy and nothing else: grpc comes with the first connect()."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = {"click", "google", "grpc", "h5py", "numcodecs", "rich", "spikeinterface", "zstandard"}


def loaded_by(statement: str) -> set[str]:
    report = f"{statement}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", report], capture_output=True, text=True, check=True)
    return {module.split(".")[0] for module in json.loads(run.stdout)}


@pytest.mark.parametrize(
    "statement",
    [
        "import spikewire",
        "import spikewire.extractors",
        "import spikewire; spikewire.NumpySorting; spikewire.load; dir(spikewire)",
    ],
)
def test_the_domain_loads_no_wire(statement: str) -> None:
    # What numpy itself loads is not ours to budget.
    assert not (loaded_by(statement) - loaded_by("import numpy")) & HEAVY


def test_connect_is_what_loads_grpc() -> None:
    assert "grpc" in loaded_by("import spikewire; spikewire.connect")
