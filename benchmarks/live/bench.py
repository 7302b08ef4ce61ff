"""What the suites of a run share."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.live.batches import Int64Array
from benchmarks.live.sides import side_of
from benchmarks.report import Report


@dataclass(frozen=True)
class LiveBench:
    """A run.

    Parameters
    ----------
    report : Report
    folder : Path
        On the disk that is measured, for the stores of all sides.
    rounds : int
        How often each side is measured.
    seconds : float
        How long a round takes.
    rigs : tuple of int
        How many there are at a time.
    followers : int
        The most that follow one rig.
    bulk_spikes : int
        Size of the sorting that is read beside live ones.
    sides : tuple of str
        Modules of `benchmarks.live.sides` that can be measured here.
    """

    report: Report
    folder: Path
    rounds: int
    seconds: float
    rigs: tuple[int, ...]
    followers: int
    bulk_spikes: int
    sides: tuple[str, ...]

    def name_of(self, side: str) -> str:
        """Return what a side is called in tables."""
        name: str = side_of(side).NAME
        return name


def quantile(rounds: Iterable[Int64Array], percent: float) -> float:
    """Return the median, over the rounds, of a percentile of each."""
    return statistics.median(float(np.percentile(values, percent)) for values in rounds)


def rigs_text(count: int) -> str:
    return "1 rig" if count == 1 else f"{count} rigs"
