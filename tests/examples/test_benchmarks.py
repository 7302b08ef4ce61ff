from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


def test_the_benchmark_runs(tree: Path) -> None:
    pytest.importorskip("spikeinterface", reason="SpikeInterface, which it compares, is absent")
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--spikes=20000", "--units=20", "--rounds=1"],
        cwd=tree,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "open + trains, remotely, is " in done.stdout
