"""The contract of sortings, kept by those of core."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import spikewire as sw
from spikewire.core.dtypes import AnyArray, IntArray, UnitId
from spikewire.core.trains import SegmentTrains
from spikewire.testing import SortingContract


class TestNumpySorting(SortingContract):
    keeps_metadata = True

    def make_sorting(self, truth: sw.NumpySorting, folder: Path) -> sw.BaseSorting:
        return sw.NumpySorting.from_sorting(truth, with_metadata=True)


class TestClone(SortingContract):
    keeps_metadata = True

    def make_sorting(self, truth: sw.NumpySorting, folder: Path) -> sw.BaseSorting:
        return truth.clone()


class TestSharedMemorySorting(SortingContract):
    truth_names = ("integers", "text", "negative", "many_units")
    keeps_metadata = True

    def make_sorting(self, truth: sw.NumpySorting, folder: Path) -> sw.BaseSorting:
        return sw.SharedMemorySorting.from_sorting(truth, with_metadata=True)


class TestSelection(SortingContract):
    """The selection undoes what was done to the parent's order and ids."""

    keeps_metadata = True

    def make_sorting(self, truth: sw.NumpySorting, folder: Path) -> sw.BaseSorting:
        parent = sw.UnitsSelectionSorting(
            truth, truth.unit_ids[::-1], [f"parent {i}" for i in range(truth.get_num_units())]
        )
        return sw.UnitsSelectionSorting(parent, parent.unit_ids[::-1], truth.unit_ids)


class TestWholeSelection(SortingContract):
    keeps_metadata = True

    def make_sorting(self, truth: sw.NumpySorting, folder: Path) -> sw.BaseSorting:
        return sw.UnitsSelectionSorting(truth)


class TestSelectionFromAggregation(SortingContract):
    """Units of two sortings, interleaved."""

    keeps_metadata = True

    def make_sorting(self, truth: sw.NumpySorting, folder: Path) -> sw.BaseSorting:
        halves = [truth.select_units(truth.unit_ids[first::2]) for first in (0, 1)]
        return sw.aggregate_units(halves).select_units(truth.unit_ids)

    keeps_tie_order = False


class TestAppended(SortingContract):
    keeps_metadata = True

    def make_sorting(self, truth: sw.NumpySorting, folder: Path) -> sw.BaseSorting:
        segments = [
            sw.select_segment_sorting(truth, index) for index in range(truth.get_num_segments())
        ]
        return sw.append_sortings(segments)


class TestFrameSlice(SortingContract):
    """The middle of a longer sorting."""

    truth_names = ("many_units",)

    def make_sorting(self, truth: sw.NumpySorting, folder: Path) -> sw.BaseSorting:
        spikes = np.array(truth.to_spike_vector())
        spikes["sample_index"] += 1000
        end = int(spikes["sample_index"][-1]) + 1
        around = np.array([(999, 0, 0), *spikes.tolist(), (end, 0, 0)], dtype=spikes.dtype)
        parent = sw.NumpySorting(around, truth.sampling_frequency, truth.unit_ids)
        return parent.frame_slice(1000, end)


class TestConcatenated(SortingContract):
    truth_names = ("no_units", "many_units")

    def make_sorting(self, truth: sw.NumpySorting, folder: Path) -> sw.BaseSorting:
        middle = 10_000
        spikes = np.array(truth.to_spike_vector())
        late = spikes["sample_index"] >= middle
        parts = [spikes[~late], spikes[late]]
        parts[1]["sample_index"] -= middle
        sortings = [sw.NumpySorting(part, 30000.0, truth.unit_ids) for part in parts]
        return sw.concatenate_sortings(sortings, total_samples_list=[middle, middle])


class TrainsSegment(sw.BaseSortingSegment):
    """The least that a format can implement: one train at a time."""

    def __init__(self, trains: SegmentTrains, unit_ids: AnyArray) -> None:
        super().__init__()
        self._of = {unit: trains.train(i) for i, unit in enumerate(unit_ids.tolist())}

    def get_unit_spike_train(
        self, unit_id: UnitId, start_frame: int | None = None, end_frame: int | None = None
    ) -> IntArray:
        train = self._of[unit_id]
        start = -math.inf if start_frame is None else start_frame
        end = math.inf if end_frame is None else end_frame
        return train[(train >= start) & (train < end)]


class ColumnsSegment(sw.BaseSortingSegment):
    """The least that a format can implement: spikes in time order."""

    def __init__(self, samples: IntArray, units: IntArray) -> None:
        super().__init__()
        self._columns = samples, units

    def get_spike_columns(
        self, start_frame: int | None = None, end_frame: int | None = None
    ) -> tuple[IntArray, IntArray]:
        samples, units = self._columns
        start = -math.inf if start_frame is None else start_frame
        end = math.inf if end_frame is None else end_frame
        inside = (samples >= start) & (samples < end)
        return samples[inside], units[inside]


class MinimalSorting(sw.BaseSorting):
    def __init__(
        self,
        sampling_frequency: float,
        unit_ids: Sequence[UnitId] | AnyArray,
        columns: list[tuple[IntArray, IntArray]],
        by_unit: bool,
    ) -> None:
        super().__init__(sampling_frequency, unit_ids)
        for samples, units in columns:
            if by_unit:
                trains = SegmentTrains.from_columns(samples, units, self.get_num_units())
                self.add_sorting_segment(TrainsSegment(trains, self.unit_ids))
            else:
                self.add_sorting_segment(ColumnsSegment(samples, units))
        self._kwargs = {
            "sampling_frequency": sampling_frequency,
            "unit_ids": unit_ids,
            "columns": columns,
            "by_unit": by_unit,
        }
        self._serializability = {"memory": True, "json": False, "pickle": False}


def _minimal(truth: sw.NumpySorting, by_unit: bool) -> sw.BaseSorting:
    columns = [truth.to_spike_columns(index) for index in range(truth.get_num_segments())]
    return MinimalSorting(truth.sampling_frequency, truth.unit_ids, columns, by_unit)


class TestTrainsAlone(SortingContract):
    keeps_tie_order = False

    def make_sorting(self, truth: sw.NumpySorting, folder: Path) -> sw.BaseSorting:
        return _minimal(truth, by_unit=True)


class TestColumnsAlone(SortingContract):
    def make_sorting(self, truth: sw.NumpySorting, folder: Path) -> sw.BaseSorting:
        return _minimal(truth, by_unit=False)
