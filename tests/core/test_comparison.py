"""Comparisons and the contract find what is wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import spikewire as sw
from spikewire.core.dtypes import AnyArray, IntArray, UnitId
from spikewire.testing import TRUTHS, make_truth
from spikewire.testing.reading import ReadingContract


def changed(truth: sw.NumpySorting, field: str, place: int, value: int) -> sw.NumpySorting:
    spikes = np.array(truth.to_spike_vector())
    spikes[field][place] = value
    return sw.NumpySorting(spikes, truth.sampling_frequency, truth.unit_ids, 3)


def test_equal_sortings_pass() -> None:
    for name in TRUTHS:
        sw.check_sortings_equal(
            make_truth(name), make_truth(name), check_annotations=True, check_properties=True
        )


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda t: t.rename_units([1, 2, 3, 4]), "unit ids"),
        (lambda t: sw.NumpySorting(t.to_spike_vector(), 25e3, t.unit_ids, 3), "frequencies"),
        (lambda t: sw.NumpySorting(t.to_spike_vector(), 3e4, t.unit_ids, 4), "segments"),
        (lambda t: changed(t, "sample_index", 4, 29), "spikes of segment 0 differ"),
        (lambda t: changed(t, "unit_index", 8, 1), "the first at 8"),
        (
            lambda t: sw.NumpySorting(t.to_spike_vector()[1:], 3e4, t.unit_ids),
            "spikes in segment 0",
        ),
    ],
)
def test_differences_are_named(make: Any, what: str) -> None:
    truth = make_truth("integers")
    with pytest.raises(AssertionError, match=what):
        sw.check_sortings_equal(truth, make(truth))


def test_ties_and_metadata_are_compared_if_asked() -> None:
    truth, other = make_truth("integers"), make_truth("integers")
    spikes = np.array(truth.to_spike_vector())
    spikes[[1, 2]] = spikes[[2, 1]]
    swapped = sw.NumpySorting(spikes, truth.sampling_frequency, truth.unit_ids)
    sw.check_sortings_equal(truth, swapped, check_exact_lexsort=False)
    with pytest.raises(AssertionError, match="2 spikes"):
        sw.check_sortings_equal(truth, swapped)
    other.annotate(day=4)
    other.set_property("kept", [True] * 4)
    sw.check_sortings_equal(truth, other)
    with pytest.raises(AssertionError, match="annotations 'day'"):
        sw.check_sortings_equal(truth, other, check_annotations=True)
    with pytest.raises(AssertionError, match="properties 'kept'"):
        sw.check_sortings_equal(truth, other, check_properties=True)


class Wrong(sw.NumpySorting):
    """A sorting with one thing wrong."""

    def __init__(self, truth: sw.NumpySorting) -> None:
        super().__init__(truth.to_spike_vector(), truth.sampling_frequency, truth.unit_ids, 3)


class EndIsInclusive(Wrong):
    def _get_trains(self, units: Any, segment: int, start: Any, end: Any, *rest: Any) -> Any:
        end = None if end is None else end + 1
        return super()._get_trains(units, segment, start, end, *rest)


class ZeroIsNoBound(Wrong):
    def _get_trains(self, units: Any, segment: int, start: Any, end: Any, *rest: Any) -> Any:
        return super()._get_trains(units, segment, start, end or None, *rest)


class TrainsAreWritable(Wrong):
    def get_unit_spike_train(self, *args: Any, **kwargs: Any) -> AnyArray:
        return super().get_unit_spike_train(*args, **kwargs).copy()


class TrainsAreNarrow(Wrong):
    def get_unit_spike_train(self, *args: Any, **kwargs: Any) -> AnyArray:
        return super().get_unit_spike_train(*args, **kwargs).astype(np.int32)


class TiesAreInUnitOrder(Wrong):
    def to_spike_vector(self, *args: Any, **kwargs: Any) -> Any:
        result = super().to_spike_vector(*args, **kwargs)
        if not isinstance(result, tuple):
            return result
        spikes, slices = result
        order = np.lexsort((spikes["unit_index"], spikes["sample_index"], spikes["segment_index"]))
        spikes = spikes[order]
        spikes.flags.writeable = False
        return spikes, slices


class SilentUnitsAreForgotten(Wrong):
    def count_num_spikes_per_unit(self, outputs: str = "dict", unit_ids: Any = None) -> Any:
        counts = super().count_num_spikes_per_unit(outputs, unit_ids)
        return {u: n for u, n in counts.items() if n} if outputs == "dict" else counts


class UnknownUnitsAreEmpty(Wrong):
    def get_unit_spike_train(self, unit_id: UnitId, *args: Any, **kwargs: Any) -> AnyArray:
        if unit_id not in self.unit_ids.tolist():
            return np.empty(0, dtype=np.int64)
        return super().get_unit_spike_train(unit_id, *args, **kwargs)


class BatchesAreInUnitOrder(Wrong):
    def get_unit_spike_trains(self, unit_ids: Any = None, *args: Any, **kwargs: Any) -> Any:
        return super().get_unit_spike_trains(
            None if unit_ids is None else sorted(unit_ids), *args, **kwargs
        )


class LastFrameIsOfTheLastUnit(Wrong):
    def get_last_spike_frame(self, segment_index: int | None = None) -> int:
        train: IntArray = self.get_unit_spike_train(7, segment_index)
        return int(train[-1]) if len(train) else 0


@pytest.mark.parametrize(
    ("wrong", "test"),
    [
        (EndIsInclusive, "test_windows"),
        (ZeroIsNoBound, "test_many_trains_at_once"),
        (TrainsAreWritable, "test_trains"),
        (TrainsAreNarrow, "test_trains"),
        (TiesAreInUnitOrder, "test_spike_vector"),
        (SilentUnitsAreForgotten, "test_counts"),
        (UnknownUnitsAreEmpty, "test_what_cannot_be_asked"),
        (BatchesAreInUnitOrder, "test_many_trains_at_once"),
        (LastFrameIsOfTheLastUnit, "test_counts"),
    ],
)
def test_the_contract_finds_mistakes(wrong: type[Wrong], test: str) -> None:
    truth = make_truth("integers")
    arguments = [True] if test == "test_trains" else []
    check = getattr(ReadingContract(), test)
    check(Wrong(truth), truth, *arguments)
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        check(wrong(truth), truth, *arguments)
