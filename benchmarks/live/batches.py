"""What rigs send: batches of 20 ms, and what all that was sent amounts to."""

from __future__ import annotations

import threading
import time
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.data import WrongTransferError

UNITS = 500
RATE = 50
"""Batches a second of a rig."""
FRAMES = 600
"""Samples of a batch's stretch of time, 20 ms at 30 kHz."""
SPIKES = 60
"""Spikes of a batch: 500 units of 6 Hz."""
_PATTERNS = 64

Int64Array = NDArray[np.int64]


class Batch(NamedTuple):
    """Spikes that a rig sends at once."""

    samples: Int64Array
    units: Int64Array
    """Unit indices, which are the unit ids as well."""

    def as_bytes(self) -> bytes:
        """Return it as those send it who have no format of their own."""
        return self.samples.tobytes() + self.units.astype(np.int32).tobytes()


def from_bytes(data: bytes) -> Batch:
    """Return the batch that `Batch.as_bytes` made."""
    count = len(data) // 12
    return Batch(
        np.frombuffer(data, np.int64, count),
        np.frombuffer(data, np.int32, count, 8 * count).astype(np.int64),
    )


class Batches:
    """The endless batches of a rig.

    Parameters
    ----------
    spikes : int
        Of a batch.
    """

    def __init__(self, spikes: int = SPIKES) -> None:
        random = np.random.default_rng(0)
        self.spikes = spikes
        self._samples = np.sort(random.integers(0, FRAMES, (_PATTERNS, spikes)), axis=1)
        self._units = random.integers(0, UNITS, (_PATTERNS, spikes))

    def __getitem__(self, number: int) -> Batch:
        """Return one of them, the first is 0."""
        row = number % _PATTERNS
        return Batch(self._samples[row] + number * FRAMES, self._units[row])

    def sums_of(self, count: int) -> tuple[int, int, int]:
        """Return spikes, sum of samples and sum of unit indices of the first batches."""
        repeats = np.bincount(np.arange(count) % _PATTERNS, minlength=_PATTERNS)
        shifts = FRAMES * self.spikes * count * (count - 1) // 2
        samples = int(repeats @ self._samples.sum(axis=1)) + shifts
        return count * self.spikes, samples, int(repeats @ self._units.sum(axis=1))


class Ledger:
    """What one follower has got, and when; told by any one thread.

    Parameters
    ----------
    spikes : int
        Of a batch.
    """

    def __init__(self, spikes: int) -> None:
        self._spikes = spikes
        self._changed = threading.Condition()
        self._sums = (0, 0, 0)
        self._arrivals: list[tuple[int, int]] = []

    def take(self, samples: Int64Array, units: NDArray[np.integer]) -> None:
        """Take note of spikes that are here now, as arrays."""
        now = time.perf_counter_ns()
        spikes, sample_sum, unit_sum = self._sums
        spikes += len(samples)
        with self._changed:
            self._sums = spikes, sample_sum + int(samples.sum()), unit_sum + int(units.sum())
            self._arrivals.append((now, spikes // self._spikes))
            self._changed.notify_all()

    def collect(self, first: int, stop: int, deadline: float) -> Int64Array:
        """Return when the batches `first` to `stop`, exclusive, were here, in nanoseconds.

        Raises
        ------
        WrongTransferError
            They are not here at the deadline, a `time.monotonic`, or are not what was sent.
        """
        with self._changed:
            while not self._arrivals or self._arrivals[-1][1] < stop:
                if not self._changed.wait(deadline - time.monotonic()):
                    here = self._arrivals[-1][1] if self._arrivals else 0
                    raise WrongTransferError(f"{here} of {stop} batches arrived")
            arrivals, self._arrivals = self._arrivals, self._arrivals[-1:]
            sums = self._sums
        if sums != Batches(self._spikes).sums_of(stop):
            raise WrongTransferError(f"{sums} came where {stop} batches were sent")
        times, counts = np.array(arrivals, np.int64).T
        return times[np.searchsorted(counts, np.arange(first, stop), side="right")]
