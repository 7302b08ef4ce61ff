from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

PEERS = ("aiohttp", "fsspec", "pyarrow", "spikeinterface", "tiled", "zarr")
ROW = {"name", "ours", "peer", "peer_name", "ratio", "target", "met", "n"}


@pytest.fixture
def data(tree: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module that makes up what is measured with."""
    monkeypatch.syspath_prepend(tree)
    from benchmarks import data

    return data


@pytest.mark.timeout(300)
def test_the_benchmarks_run(tree: Path, tmp_path: Path) -> None:
    absent = [peer for peer in PEERS if find_spec(peer) is None]
    if absent:
        pytest.skip(f"peers are absent: {', '.join(absent)} (dependency group bench)")
    arguments = ["--spikes=20000", "--rounds=1", f"--results={tmp_path}"]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments],
        cwd=tree,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    rows = json.loads((tmp_path / "reads.json").read_text())
    assert rows
    for row in rows:
        assert row.keys() == ROW
        assert row["ratio"] == pytest.approx(row["ours"] / (row["peer"] or 1))
        assert (row["target"] is None) == (row["met"] is None)
        assert row["n"] >= 1
    run = json.loads((tmp_path / "reads.run.json").read_text())
    assert run["command"] == "python -m benchmarks --spikes 20000 --rounds 1"
    assert run["machine"]["cores"]


def test_the_page_has_the_results(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tree)
    from benchmarks import page

    text = (tree / "docs" / "benchmarks.md").read_text("utf-8")
    assert page.filled(text, page.results()) == text


def test_made_up_units_are_refractory(data: Any, tmp_path: Path) -> None:
    truth = data.made_up(tmp_path / "sorting", 2_500_000)  # more than one block
    samples, units = data.read_columns(tmp_path / "sorting")
    order = np.lexsort((samples, units))
    gaps = np.diff(samples[order])[np.diff(units[order]) == 0]
    assert gaps.min() >= data.REFRACTORY
    rate = truth.count / data.UNITS / (samples[-1] / data.SAMPLING_FREQUENCY)
    assert rate == pytest.approx(data.MEAN_RATE, rel=0.02)


def test_what_is_made_up_amounts_to_its_truth(data: Any, tmp_path: Path) -> None:
    truth = data.made_up(tmp_path / "sorting", 2_500_000)
    samples, units = data.read_columns(tmp_path / "sorting")
    truth.check_columns((samples, units.astype(np.int64)))
    truth.check_sorted(data.sorted_by_unit(samples, units))
    assert data.made_up(tmp_path / "sorting", 2_500_000) == truth


@pytest.mark.parametrize(
    "spoil",
    [
        lambda samples, units: (samples[:-1], units[:-1]),
        lambda samples, units: (samples + (np.arange(len(samples)) == 7), units),
        lambda samples, units: (samples, units[::-1].copy()),
        lambda samples, units: (samples, units.astype(np.int32)),
    ],
    ids=["short", "one sample", "order of units", "dtype"],
)
def test_a_wrong_transfer_does_not_count(
    data: Any, tmp_path: Path, spoil: Callable[..., Any]
) -> None:
    truth = data.made_up(tmp_path / "sorting", 1000)
    samples, units = data.read_columns(tmp_path / "sorting")
    with pytest.raises(data.WrongTransferError):
        truth.check_columns(spoil(samples, units.astype(np.int64)))
