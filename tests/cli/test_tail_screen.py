"""What the terminal shows, of one rig and of several whose units move."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from spikewire.cli.tail_screen import TailScreen

RATE = 1000.0


@pytest.fixture
def rigs(client: Any, name: str, tmp_path: Path) -> Iterator[list[Any]]:
    """Two rigs of a unit each, shown as one under `name`."""
    writers = [
        client.acquire(f"{name}/{rig}", RATE, [f"{rig}a"], spool=tmp_path / f"spool{rig}")
        for rig in range(2)
    ]
    client.aggregate(name, [f"{name}/0", f"{name}/1"])
    yield writers
    for writer in writers:
        writer.close()


def rows_of(screen: TailScreen, height: int = 40) -> dict[str, tuple[int, float]]:
    """Return the spikes and the rate that are shown of each unit."""
    console = Console(file=io.StringIO(), width=120, height=height)
    console.print(screen)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    lines = re.findall(r"^(\S+) +([\d,]+) +([\d.]+) +", text, re.MULTILINE)
    return {unit: (int(count.replace(",", "")), float(rate)) for unit, count, rate in lines}


def test_rigs_shown_as_one_keep_their_own_clocks_and_counts(
    client: Any, name: str, rigs: list[Any]
) -> None:
    follower = client.follow(name)
    screen = TailScreen(name, RATE, follower.unit_ids)
    late = np.arange(1_000_000, 1_010_001, 100)
    rigs[0].append(late, ["0a"] * len(late))
    screen.take(next(follower), follower.unit_ids)
    assert rows_of(screen) == {"0a": (101, 10.0), "1a": (0, 0.0)}

    early = np.arange(0, 10_001, 50)
    rigs[1].append(early, ["1a"] * len(early))
    screen.take(next(follower), follower.unit_ids)
    rigs[0].add_units(["0b"])
    rigs[0].append([1_010_001], ["0b"])
    screen.take(next(follower), follower.unit_ids)
    assert rows_of(screen) == {"0a": (101, 10.0), "0b": (1, 0.0), "1a": (201, 20.0)}


def test_units_that_get_other_ids_begin_anew(client: Any, name: str, rigs: list[Any]) -> None:
    follower = client.follow(name)
    screen = TailScreen(name, RATE, follower.unit_ids)
    rigs[0].append([1], ["0a"])
    screen.take(next(follower), follower.unit_ids)
    rigs[0].add_units(["1a"])  # as the other rig has
    rigs[0].append([2], ["1a"])
    screen.take(next(follower), follower.unit_ids)
    assert {unit: count for unit, (count, _) in rows_of(screen).items()} == {"0": 0, "1": 1, "2": 0}


def test_only_units_that_are_wanted_and_fit_are_shown(
    client: Any, name: str, tmp_path: Path
) -> None:
    unit_ids = np.arange(50)
    with client.acquire(name, RATE, unit_ids, spool=tmp_path / "spool") as writer:
        writer.append(np.arange(50), unit_ids)
    (block,) = client.follow(name)
    screen = TailScreen(name, RATE, unit_ids)
    screen.take(block, unit_ids)
    assert list(rows_of(screen, height=14)) == [str(unit) for unit in range(10)]
    screen = TailScreen(name, RATE, unit_ids, np.array([30, 7]))
    screen.take(block, unit_ids)
    assert list(rows_of(screen)) == ["30", "7"]


def test_nothing_yet_is_said(name: str) -> None:
    console = Console(file=io.StringIO(), width=120)
    console.print(TailScreen(name, RATE, np.array([1])))
    assert f"{name}: no spikes yet" in console.file.getvalue()  # type: ignore[attr-defined]
