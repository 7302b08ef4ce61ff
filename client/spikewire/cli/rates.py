"""How fast units fire: spikes over the last seconds of the recording's own clock."""

from __future__ import annotations

import numpy as np

from spikewire.core.dtypes import FloatArray, IntArray

_BINS = 10


class Rates:
    """Counts spikes in the bins of a window that moves on with the latest sample.

    The clock is that of the samples, so the rates of a replay at any speed, or of a
    backlog that comes all at once, are those of the recording.

    Parameters
    ----------
    sampling_frequency : float
        Samples per second, in Hz.
    unit_count : int
        How many units there are.
    window_seconds : float
        How long the window is.
    """

    def __init__(
        self, sampling_frequency: float, unit_count: int, window_seconds: float = 5.0
    ) -> None:
        self._bin_seconds = window_seconds / _BINS
        self._bin_samples = max(round(self._bin_seconds * sampling_frequency), 1)
        self._segment_index = -1
        # One bin more than the window has: the last one is not full yet.
        self._counts = np.zeros((_BINS + 1, unit_count), np.int64)
        self._first_bin = self._last_bin = 0

    def place_units(self, positions: IntArray, unit_count: int) -> None:
        """Take note that there are more units now.

        Parameters
        ----------
        positions : ndarray of int64, shape (units before,)
            Where those that were there are among all.
        unit_count : int
            How many there are.
        """
        counts = np.zeros((len(self._counts), unit_count), np.int64)
        counts[:, positions] = self._counts
        self._counts = counts

    def add(self, segment_index: int, sample_index: IntArray, unit_index: IntArray) -> None:
        """Count spikes.

        Parameters
        ----------
        segment_index : int
            The segment of all; a later one begins anew.
        sample_index, unit_index : ndarray of int64, shape (spikes,)
            At least one, in any order; those that are older than the window are left out.
        """
        if segment_index < self._segment_index:
            return
        bins = sample_index // self._bin_samples
        if segment_index > self._segment_index:
            self._segment_index = segment_index
            self._counts[:] = 0
            self._first_bin = self._last_bin = int(bins.min())
        self._move_to(int(bins.max()))
        recent = bins > self._last_bin - len(self._counts)
        np.add.at(self._counts, (bins[recent] % len(self._counts), unit_index[recent]), 1)

    def rates(self) -> FloatArray:
        """Return the spikes per second of each unit, in Hz, (units,)."""
        full = min(self._last_bin - self._first_bin, _BINS)
        if not full:
            return np.zeros(self._counts.shape[1])
        others = np.arange(len(self._counts)) != self._last_bin % len(self._counts)
        spikes: FloatArray = self._counts[others].sum(axis=0) / (full * self._bin_seconds)
        return spikes

    def _move_to(self, last_bin: int) -> None:
        if last_bin > self._last_bin:
            new = range(max(self._last_bin + 1, last_bin - _BINS), last_bin + 1)
            self._counts[np.array(new) % len(self._counts)] = 0
            self._last_bin = last_bin
