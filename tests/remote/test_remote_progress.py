"""When a progress bar is drawn, and that it never is in tests, pipes or for a moment."""

from __future__ import annotations

import sys
import types

import pytest

import spikewire
from spikewire.remote import progress
from spikewire.remote.progress import progress_bar


class FakeBar:
    bars: list[FakeBar]

    def __init__(self, **options):
        self.options = options
        self.shown = 0
        self.is_open = True
        FakeBar.bars.append(self)

    def update(self, n):
        self.shown += n

    def close(self):
        self.is_open = False


@pytest.fixture(autouse=True)
def watched(monkeypatch):
    """A terminal, tqdm, and transfers that count as long."""
    FakeBar.bars = []
    monkeypatch.setitem(sys.modules, "tqdm.auto", types.SimpleNamespace(tqdm=FakeBar))
    monkeypatch.setattr(progress, "_LONG_SPIKES", 500)
    monkeypatch.setattr(progress, "_is_watched", lambda: True)
    monkeypatch.delenv("SPIKEWIRE_PROGRESS", raising=False)


def test_a_read_fills_the_bar(fake):
    fake.script.breaks = [3]
    with spikewire.connect(fake.address) as client:
        client.open("a/b").to_spike_vector()
    (bar,) = FakeBar.bars
    assert (bar.options["total"], bar.shown, bar.is_open) == (1000, 1000, False)
    assert bar.options["desc"] == "a/b"
    assert bar.options["delay"] > 0
    assert not bar.options["leave"]


def test_an_upload_fills_the_bar_unless_the_caller_counts(fake):
    counted = []
    with spikewire.connect(fake.address) as client:
        client.upload(fake.script.sorting, "b")
        client.upload(fake.script.sorting, "b", progress=lambda *at: counted.append(at))
    (bar,) = FakeBar.bars
    assert (bar.options["total"], bar.shown, bar.is_open) == (1000, 1000, False)
    assert counted[-1] == (1000, 1000)


def test_a_failed_read_closes_the_bar(fake):
    fake.script.breaks = [3]
    fake.script.revisions = ["r1", "r2"]
    with spikewire.connect(fake.address) as client:
        sorting = client.open("a")
        with pytest.raises(spikewire.SpikewireError):
            sorting.to_spike_vector()
    (bar,) = FakeBar.bars
    assert not bar.is_open


def test_bars_can_be_turned_off(fake, monkeypatch):
    with spikewire.connect(fake.address, progress=False) as client:
        client.open("a").to_spike_vector()
    monkeypatch.setenv("SPIKEWIRE_PROGRESS", "0")
    with spikewire.connect(fake.address) as client:
        client.open("a").to_spike_vector()
    assert FakeBar.bars == []


def test_short_transfers_have_no_bar():
    progress_bar(499, "a", True).update(499)
    assert FakeBar.bars == []


def test_nobody_watches_a_pipe(monkeypatch):
    monkeypatch.undo()
    assert not progress._is_watched()
    monkeypatch.setattr(sys, "stderr", types.SimpleNamespace(isatty=lambda: True))
    assert progress._is_watched()
    monkeypatch.setattr(sys, "stderr", None)
    assert not progress._is_watched()
    monkeypatch.setitem(sys.modules, "ipykernel", types.ModuleType("ipykernel"))
    assert progress._is_watched()


def test_without_tqdm_there_is_no_bar(monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    progress_bar(1000, "a", True).close()


def test_tqdm_takes_what_it_is_given(monkeypatch):
    monkeypatch.delitem(sys.modules, "tqdm.auto")
    pytest.importorskip("tqdm.auto")
    bar = progress_bar(1000, "a", True)
    assert (bar.total, bar.n) == (1000, 0)
    bar.update(1000)
    bar.close()
