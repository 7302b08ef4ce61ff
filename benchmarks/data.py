"""The data that is measured with: made up, of any size, never whole in memory."""

from __future__ import annotations

import json
import os
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spikewire import NumpySorting
from spikewire.core.dtypes import SPIKE_DTYPE

UNITS = 500
MEAN_RATE = 6.0
"""Hz of a unit, on average; the rates of units are log-normal."""
REFRACTORY = 60
"""Samples between two spikes of a unit, 2 ms."""
SAMPLING_FREQUENCY = 30_000.0
_BLOCK_FRAMES = int(600 * SAMPLING_FREQUENCY)  # about 1.8 M spikes

Int64Array = NDArray[np.int64]


class WrongTransferError(Exception):
    """What arrived is not what was sent, so its time does not count."""


@dataclass(frozen=True)
class Truth:
    """What every transfer of a sorting must amount to.

    Sums wrap at 64 bits. First and last samples are those of each unit.
    """

    count: int
    sample_sum: int
    unit_sum: int
    first: tuple[int, int]
    last: tuple[int, int]
    unit_counts: Sequence[int]
    unit_firsts: Sequence[int]
    unit_lasts: Sequence[int]

    def check_columns(self, columns: tuple[Int64Array, NDArray[np.integer]]) -> None:
        """Check samples and unit indices in the order of the spike vector."""
        samples, units = columns
        self._same("dtypes", (samples.dtype, units.dtype), (np.int64, np.int64))
        self._same("counts", (len(samples), len(units)), (self.count, self.count))
        self._same("sum of samples", int(samples.sum()), self.sample_sum)
        self._same("sum of units", int(units.sum()), self.unit_sum)
        self._same("first spike", (samples[0], units[0]), self.first)
        self._same("last spike", (samples[-1], units[-1]), self.last)

    def check_vector(self, spikes: NDArray[np.void]) -> None:
        """Check a structured spike vector."""
        self.check_columns((spikes["sample_index"], spikes["unit_index"]))

    def check_trains(self, trains: Sequence[Int64Array]) -> None:
        """Check the trains of all units, in order."""
        self._same("counts", [len(train) for train in trains], self.unit_counts)
        total = sum(int(train.sum()) for train in trains)
        self._same("sum of samples", total, self.sample_sum)
        full = [train for train in trains if len(train)]
        self._same("first spikes", [int(train[0]) for train in full], self._of_full("firsts"))
        self._same("last spikes", [int(train[-1]) for train in full], self._of_full("lasts"))

    def check_sorted(self, samples: Int64Array) -> None:
        """Check the samples of all units in one column, unit by unit."""
        self.check_trains(np.split(samples, np.cumsum(self.unit_counts)[:-1]))

    def _of_full(self, which: str) -> list[int]:
        values = self.unit_firsts if which == "firsts" else self.unit_lasts
        return [value for value, n in zip(values, self.unit_counts, strict=True) if n]

    def _same(self, what: str, got: object, expected: object) -> None:
        if got != expected:
            raise WrongTransferError(f"{what}: {got!r} came where {expected!r} was sent")


def made_up(folder: Path, spike_count: int) -> Truth:
    """Write a sorting as a numpy folder, unless it is there; return what it amounts to."""
    facts = folder.with_name(f"{folder.name}.json")
    if facts.exists():
        stored = json.loads(facts.read_text())
        return Truth(**stored | {key: tuple(stored[key]) for key in ("first", "last")})
    empty = np.empty(0, dtype=np.int64)
    ids = np.arange(UNITS)
    NumpySorting.from_samples_and_labels([empty], [empty], SAMPLING_FREQUENCY, ids).save(
        folder=folder
    )
    truth = _write_spikes(folder / "spikes.npy", spike_count)
    facts.write_text(json.dumps(asdict(truth)))
    if hasattr(os, "sync"):
        os.sync()  # lest the disk is still busy with it while something is measured
    return truth


def read_columns(folder: Path) -> tuple[Int64Array, NDArray[np.int32]]:
    """Return samples and unit indices of a numpy folder, as peers serve them."""
    spikes = np.load(folder / "spikes.npy", mmap_mode="r")
    return (
        np.ascontiguousarray(spikes["sample_index"]),
        spikes["unit_index"].astype(np.int32),
    )


def read_window(folder: Path, start: int, stop: int) -> tuple[Int64Array, Int64Array]:
    """Return samples and unit indices in a half-open window, without reading the rest."""
    spikes = np.load(folder / "spikes.npy", mmap_mode="r")
    first, last = (bisect_left(spikes["sample_index"], frame) for frame in (start, stop))
    window = spikes[first:last]
    return np.array(window["sample_index"]), np.array(window["unit_index"])


def sorted_by_unit(samples: Int64Array, units: NDArray[np.int32]) -> Int64Array:
    """Return the samples unit by unit."""
    return samples[np.argsort(units.astype(np.uint16), kind="stable")]


def _write_spikes(path: Path, spike_count: int) -> Truth:
    counts = np.zeros(UNITS, dtype=np.int64)
    firsts = np.zeros(UNITS, dtype=np.int64)
    lasts = np.zeros(UNITS, dtype=np.int64)
    sample_sum = unit_sum = written = 0
    header = {"descr": SPIKE_DTYPE.descr, "fortran_order": False, "shape": (spike_count,)}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for samples, units in _blocks():
            samples = samples[: spike_count - written]
            units = units[: len(samples)]
            block = np.zeros(len(samples), dtype=SPIKE_DTYPE)
            block["sample_index"], block["unit_index"] = samples, units
            file.write(block.data)
            if not written:
                first = (int(samples[0]), int(units[0]))
            # Of the values that are put at one place the last one stays.
            lasts[units] = samples
            if not counts.all():
                unseen = counts == 0
                here = np.zeros(UNITS, dtype=np.int64)
                here[units[::-1]] = samples[::-1]
                firsts[unseen] = here[unseen]
            counts += np.bincount(units, minlength=UNITS)
            sample_sum += int(samples.sum())
            unit_sum += int(units.sum())
            written += len(samples)
            if written == spike_count:
                break
    return Truth(
        count=spike_count,
        sample_sum=sample_sum,
        unit_sum=unit_sum,
        first=first,
        last=(int(samples[-1]), int(units[-1])),
        unit_counts=counts.tolist(),
        unit_firsts=firsts.tolist(),
        unit_lasts=lasts.tolist(),
    )


def _blocks() -> Iterator[tuple[Int64Array, Int64Array]]:
    """Yield the spikes of one stretch of time after the other, without end."""
    random = np.random.default_rng(0)
    rates = random.lognormal(size=UNITS)
    rates *= MEAN_RATE / rates.mean() / SAMPLING_FREQUENCY
    pauses = 1 / rates - REFRACTORY
    upcoming = random.exponential(1 / rates)  # the next spike of each unit
    end = 0
    while True:
        end += _BLOCK_FRAMES
        pieces = []
        while len(active := np.flatnonzero(upcoming < end)):
            expected = rates[active] * (end - upcoming[active])
            draws = (expected + 4 * np.sqrt(expected) + 5).astype(np.int64)
            starts = np.cumsum(draws) - draws
            steps = REFRACTORY + random.exponential(np.repeat(pauses[active], draws))
            steps[starts] = 0
            times = np.cumsum(steps)
            times += np.repeat(upcoming[active] - times[starts], draws)
            units = np.repeat(active, draws)
            last = starts + draws - 1
            # A unit's last draw, or its first beyond the end, is where it goes on.
            beyond = np.minimum.reduceat(np.where(times < end, np.inf, times), starts)
            upcoming[active] = np.minimum(beyond, times[last])
            keep = times < upcoming[units]
            pieces.append((times[keep].astype(np.int64) << 16) | units[keep])
        packed = np.sort(np.concatenate(pieces))
        yield packed >> 16, packed & 0xFFFF
