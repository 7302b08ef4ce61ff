"""The trains of all units of one segment, unit after unit in one array."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spikewire.core.bounds import window
from spikewire.core.dtypes import AnyArray, IntArray, read_only


@dataclass(frozen=True, slots=True)
class SegmentTrains:
    """Spike trains laid end to end (compressed sparse rows).

    Attributes
    ----------
    samples : int64, (spikes,), read-only
        The train of the first unit, then that of the second, ...
    offsets : list of int, units + 1
        Train `u` is `samples[offsets[u]:offsets[u + 1]]`.
    """

    samples: IntArray
    offsets: list[int]

    @classmethod
    def from_columns(
        cls, samples: AnyArray, unit_indices: AnyArray, num_units: int
    ) -> SegmentTrains:
        """Sort the two columns of a spike vector's segment by unit, keeping time order."""
        order = np.argsort(narrowest(unit_indices, num_units), kind="stable")
        counts = np.bincount(unit_indices, minlength=num_units)
        return cls._of(np.asarray(samples, dtype=np.int64)[order], counts)

    @classmethod
    def from_trains(cls, trains: Sequence[AnyArray]) -> SegmentTrains:
        """Lay the trains, one a unit, end to end."""
        samples = np.concatenate(trains) if trains else np.empty(0)
        counts = np.array([len(train) for train in trains], dtype=np.int64)
        return cls._of(samples.astype(np.int64, copy=False), counts)

    @classmethod
    def _of(cls, samples: IntArray, counts: IntArray) -> SegmentTrains:
        return cls(read_only(samples), [0, *np.cumsum(counts).tolist()])

    def train(self, unit_index: int) -> IntArray:
        """The samples of one unit, a read-only view."""
        return self.samples[self.offsets[unit_index] : self.offsets[unit_index + 1]]

    def counts(self, start_frame: int | None = None, end_frame: int | None = None) -> IntArray:
        """The number of spikes of each unit in a window."""
        if start_frame is None and end_frame is None:
            offsets = np.array(self.offsets, dtype=np.int64)
            return offsets[1:] - offsets[:-1]
        trains = (self.train(unit) for unit in range(len(self.offsets) - 1))
        sizes = [len(window(train, start_frame, end_frame)) for train in trains]
        return np.array(sizes, dtype=np.int64)


def narrowest(unit_indices: AnyArray, num_units: int) -> AnyArray:
    """The indices in the narrowest unsigned type: numpy sorts 8 and 16 bits by radix."""
    if num_units <= 1 << 8:
        return unit_indices.astype(np.uint8)
    if num_units <= 1 << 16:
        return unit_indices.astype(np.uint16)
    return unit_indices


def merge_trains(trains: Sequence[IntArray]) -> tuple[IntArray, IntArray]:
    """Samples and unit indices of all trains in time order; ties are in unit order."""
    if not trains:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    samples = np.concatenate(trains)
    units = np.repeat(np.arange(len(trains)), [len(train) for train in trains])
    order = np.argsort(samples, kind="stable")
    return samples[order], units[order]
