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
    assert page.filled(text) == text
    for title in page.RUNS.values():
        assert text.count(f"<!-- {title}: ") == text.count(f"<!-- end of {title} -->") == 1


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


@pytest.mark.timeout(120)
def test_the_live_benchmarks_run(tree: Path, tmp_path: Path) -> None:
    sizes = ["--rounds=1", "--seconds=0.2", "--rigs", "1", "--followers=3", "--bulk-spikes=20000"]
    places = [f"--results={tmp_path}", f"--data={tmp_path}"]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.live", *sizes, *places],
        cwd=tree,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    rows = json.loads((tmp_path / "live.json").read_text())
    names = " ".join(row["name"] for row in rows)
    for expected in ("ack, SDK, 1 rig, p50", "follower, raw messages", "3 followers", "vectors"):
        assert expected in names
    for row in rows:
        assert row.keys() == ROW
        assert row["ours"] > 0
        assert (row["target"] is None) == (row["met"] is None)
    run = json.loads((tmp_path / "live.run.json").read_text())
    if find_spec("nats") is None:
        assert any(note.startswith("JetStream, sync=always is skipped") for note in run["notes"])
    assert len(list(tmp_path.iterdir())) == 2  # nothing of the stores is left


@pytest.fixture
def ledger(tree: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """What a follower got of batches of 60 spikes, and the batches."""
    monkeypatch.syspath_prepend(tree)
    from benchmarks.live import batches

    return batches.Ledger(60), batches.Batches(60)


def test_arrivals_are_those_of_the_last_spike_of_a_batch(ledger: Any) -> None:
    book, batches = ledger
    for number in range(5):
        samples, units = batches[number]
        book.take(samples[:10], units[:10])
        book.take(samples[10:], units[10:])
    arrivals = book.collect(2, 5, 0.0)
    assert len(arrivals) == 3
    assert (np.diff(arrivals) > 0).all()


def test_followers_that_get_something_else_do_not_count(data: Any, ledger: Any) -> None:
    book, batches = ledger
    samples, units = batches[0]
    book.take(samples, units[::-1] + 1)
    with pytest.raises(data.WrongTransferError, match="where 1 batches were sent"):
        book.collect(0, 1, 0.0)
    with pytest.raises(data.WrongTransferError, match="1 of 2 batches arrived"):
        book.collect(0, 2, 0.0)
