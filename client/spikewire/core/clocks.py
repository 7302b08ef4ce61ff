"""Samples to seconds by sync points: what a rig's clock said against a common one."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable
from typing import Any

import numpy as np

from spikewire.core.dtypes import AnyArray, FloatArray, IntArray, read_only
from spikewire.core.errors import InvalidValueError

MAX_SYNC_POINTS = 100_000
"""In all segments of one recording: one a second for more than a day."""
_MAX_VALUE = 2.0**53  # samples, and seconds; whole numbers up to it are exact as floats


def check_sync_point(sample: int, seconds: float, last: tuple[int, float] | None) -> None:
    """Make sure that a sync point can follow the one before it in its segment.

    Raises
    ------
    InvalidValueError
        If one of its numbers is out of range, or does not ascend.
    """
    if abs(sample) > _MAX_VALUE or not abs(seconds) <= _MAX_VALUE:
        raise InvalidValueError(
            f"the sync point of sample {sample} at {seconds} s: both must lie within +-2**53"
        )
    if last is not None and not (
        sample > last[0] and (seconds - last[1]) / (sample - last[0]) >= sys.float_info.min
    ):
        raise InvalidValueError(
            f"the sync point of sample {sample} at {seconds} s after sample {last[0]} at "
            f"{last[1]} s: samples and times must ascend"
        )


class Clock:
    """A mapping between samples and seconds: linear between sync points, monotone.

    Before the first point and after the last one it goes on with the slope next to it;
    around a single point with the nominal sampling frequency.

    Parameters
    ----------
    samples : int64, (points,)
        Ascending; at least one.
    seconds : float64, (points,)
        The times at which these were taken, ascending.
    sampling_frequency : float
        Nominal samples per second, in Hz.

    Raises
    ------
    InvalidValueError
        If there is no point, or samples or times do not ascend.
    """

    def __init__(self, samples: Any, seconds: Any, sampling_frequency: float) -> None:
        self.samples: IntArray = read_only(np.array(samples, dtype=np.int64).reshape(-1))
        self.seconds: FloatArray = read_only(np.array(seconds, dtype=np.float64).reshape(-1))
        self.sampling_frequency = float(sampling_frequency)
        if len(self.samples) != len(self.seconds) or len(self.samples) == 0:
            raise InvalidValueError(
                f"{len(self.samples)} samples and {len(self.seconds)} times make no sync points"
            )
        self._places = self.samples.astype(np.float64)
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            slopes = np.diff(self.seconds) / np.diff(self._places)
        if not (
            (np.abs(self._places) <= _MAX_VALUE).all()
            and (np.abs(self.seconds) <= _MAX_VALUE).all()
            and (np.diff(self._places) > 0).all()
            and (slopes >= sys.float_info.min).all()
        ):
            raise InvalidValueError("the samples and the times of sync points must ascend")
        # Samples per second behind each point; the last one goes on as the one before it.
        rates = 1 / slopes if len(slopes) else np.array([self.sampling_frequency])
        self._rates = np.append(rates, rates[-1]) if len(slopes) else rates
        self._second_bounds = np.append(self.seconds[1:], math.inf)
        self._place_bounds = np.append(self._places[1:], math.inf)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Clock)
            and self.sampling_frequency == other.sampling_frequency
            and np.array_equal(self.samples, other.samples)
            and np.array_equal(self.seconds, other.seconds)
        )

    def __hash__(self) -> int:
        return hash((len(self.samples), int(self.samples[0]), float(self.seconds[0])))

    def __repr__(self) -> str:
        return f"<Clock: {len(self.samples)} sync points>"

    def times_at(self, samples: Any) -> Any:
        """Return the seconds of a sample, or of an array of samples."""
        places = np.asarray(samples, dtype=np.float64)
        piece = np.maximum(np.searchsorted(self._places, places, side="right") - 1, 0)
        seconds = self.seconds[piece] + (places - self._places[piece]) / self._rates[piece]
        return np.minimum(seconds, self._second_bounds[piece])[()]  # rounding must not overtake

    def samples_at(self, seconds: Any) -> Any:
        """Return where among the samples a time, or an array of times, lies: not rounded."""
        times = np.asarray(seconds, dtype=np.float64)
        piece = np.maximum(np.searchsorted(self.seconds, times, side="right") - 1, 0)
        places = self._places[piece] + (times - self.seconds[piece]) * self._rates[piece]
        return np.minimum(places, self._place_bounds[piece])[()]

    def moved(self, origin: int) -> Clock:
        """Return the clock of samples that are counted from `origin`."""
        return Clock(self.samples - origin, self.seconds, self.sampling_frequency)

    def shifted(self, seconds: float) -> Clock:
        """Return a clock that is ahead by so many seconds."""
        return Clock(self.samples, self.seconds + seconds, self.sampling_frequency)


class UnitClocks:
    """The clocks that the units of a segment count by: one, or one of several for each unit.

    Parameters
    ----------
    clocks : iterable of Clock
        At least one.
    indices : int64, (units,), optional
        For each unit the position of its clock; by default all have the first.

    Raises
    ------
    InvalidValueError
        If there is no clock, or an index of none.
    """

    def __init__(self, clocks: Iterable[Clock], indices: Any = None) -> None:
        self.clocks = tuple(clocks)
        self.indices: IntArray | None = (
            None if indices is None else read_only(np.array(indices, dtype=np.int64))
        )
        if not self.clocks:
            raise InvalidValueError("units without any clock")
        if self.indices is not None and len(self.indices):
            lowest, highest = int(self.indices.min()), int(self.indices.max())
            if not 0 <= lowest <= highest < len(self.clocks):
                raise InvalidValueError(f"a clock {highest}, where there are {len(self.clocks)}")

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, UnitClocks)
            and self.clocks == other.clocks
            and np.array_equal(_or_empty(self.indices), _or_empty(other.indices))
        )

    def __hash__(self) -> int:
        return hash(self.clocks)

    @property
    def first(self) -> Clock:
        """The clock of frames that are of no unit."""
        return self.clocks[0]

    @property
    def t_start(self) -> float:
        """The time of sample 0 by the first clock, in seconds."""
        return float(self.first.times_at(0))

    def of(self, unit_index: int) -> Clock:
        """Return the clock of a unit."""
        return self.first if self.indices is None else self.clocks[self.indices[unit_index]]

    def moved(self, origin: int) -> UnitClocks:
        """Return the clocks of samples that are counted from `origin`."""
        if not origin:
            return self
        return UnitClocks((clock.moved(origin) for clock in self.clocks), self.indices)

    def shifted(self, seconds: float) -> UnitClocks:
        """Return clocks that are ahead by so many seconds."""
        return UnitClocks((clock.shifted(seconds) for clock in self.clocks), self.indices)

    def of_units(self, unit_indices: AnyArray | None) -> UnitClocks:
        """Return the clocks of some units; None stands for all."""
        if self.indices is None or unit_indices is None:
            return self
        used, indices = np.unique(self.indices[unit_indices], return_inverse=True)
        if not len(used):
            return UnitClocks(self.clocks[:1])
        clocks = [self.clocks[index] for index in used.tolist()]
        return UnitClocks(clocks, indices if len(used) > 1 else None)


def _or_empty(indices: IntArray | None) -> IntArray:
    return np.empty(0, np.int64) if indices is None else indices
