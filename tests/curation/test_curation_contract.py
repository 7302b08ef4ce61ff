"""The contract of sortings, kept by the views of curation."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import spikewire as sw
from spikewire import curation
from spikewire.testing import SortingContract


class TestMerged(SortingContract):
    """Units that were cut in two and are merged again."""

    truth_names = ("integers", "negative", "many_units")
    keeps_tie_order = False

    def make_sorting(self, truth: sw.NumpySorting, folder: Path) -> sw.BaseSorting:
        unit = truth.unit_ids[0]
        count = truth.count_num_spikes_per_unit()[unit]
        parts = [np.arange(count)[::2], np.arange(count)[1::2]]
        new = int(truth.unit_ids.max()) + 1
        halves = sw.apply_splits_to_sorting(truth, {unit: parts}, [[new, new + 1]])
        merged = curation.MergeUnitsSorting(halves, [[new, new + 1]], [unit], delta_time_ms=None)
        return merged.select_units(truth.unit_ids)


class TestSplit(SortingContract):
    """Two units that were merged and are split again."""

    truth_names = ("integers", "negative", "many_units")
    keeps_tie_order = False

    def make_sorting(self, truth: sw.NumpySorting, folder: Path) -> sw.BaseSorting:
        pair = truth.unit_ids[:2].tolist()
        merged = sw.apply_merges_to_sorting(truth, [pair], [pair[0]])
        numbers = []
        for index in range(truth.get_num_segments()):
            _, units = truth.to_spike_columns(index)
            numbers.append(units[units < 2])
        split = curation.SplitUnitSorting(merged, pair[0], numbers, pair)
        return split.select_units(truth.unit_ids)


class TestCleaned(SortingContract):
    """Nothing is close enough to be left out."""

    truth_names = ("text", "silent", "no_units")
    keeps_tie_order = False
    keeps_metadata = True

    def make_sorting(self, truth: sw.NumpySorting, folder: Path) -> sw.BaseSorting:
        return curation.remove_duplicated_spikes(truth, censored_period_ms=0.1)


class Recording:
    """As much of a recording as is asked."""

    def __init__(self, lengths: list[int]) -> None:
        self._lengths = lengths

    def get_num_segments(self) -> int:
        return len(self._lengths)

    def get_num_samples(self, segment_index: int) -> int:
        return self._lengths[segment_index]


class TestWithoutExcess(SortingContract):
    """A longer sorting, cut to the truth."""

    truth_names = ("many_units",)

    def make_sorting(self, truth: sw.NumpySorting, folder: Path) -> sw.BaseSorting:
        spikes = truth.to_spike_vector()
        around = np.array([(-3, 0, 0), *spikes.tolist(), (20_000, 1, 0)], dtype=spikes.dtype)
        longer = sw.NumpySorting(around, truth.sampling_frequency, truth.unit_ids)
        return curation.remove_excess_spikes(longer, Recording([20_000]))  # type: ignore[arg-type]
