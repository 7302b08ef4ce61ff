"""Sortings that are awkward on purpose."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from spikewire.core.dtypes import SPIKE_DTYPE, AnyArray, IntArray
from spikewire.core.numpy_sorting import NumpySorting

Segment = Sequence[tuple[int, int]]

#: Windows that reads are tried with; None is open.
WINDOWS: tuple[tuple[Any, Any], ...] = (
    (None, None),
    (0, None),
    (None, 30),
    (7, 31),
    (7, 7),
    (31, 7),
    (-10, 8),
    (None, 0),
    (6.5, 29.5),
    (2**31, 2**62),
    (2**70, None),
)


def _sorting(unit_ids: Sequence[Any] | AnyArray, *segments: Segment) -> NumpySorting:
    """A sorting of (sample, unit index) pairs, one list a segment, in this very order."""
    rows = [
        (sample, unit, index) for index, spikes in enumerate(segments) for sample, unit in spikes
    ]
    return NumpySorting(np.array(rows, dtype=SPIKE_DTYPE), 30000.0, unit_ids, len(segments))


def _integers() -> NumpySorting:
    """Ties out of unit order, two spikes of a unit at once, a silent unit and segment."""
    late = 2**31 + 5
    first = [(0, 2), (7, 1), (7, 0), (7, 0), (30, 2), (30, 0), (500, 1), (late, 1), (late, 0)]
    last = [(3, 1), (3, 0), (90, 0), (2**40, 2)]
    return _sorting([7, 2, 300, 5], first, [], last)


def _text() -> NumpySorting:
    """Text ids beyond ASCII; the first and the last segment are empty."""
    return _sorting(["a", "unité", "μ7"], [], [(1, 2), (1, 0), (1, 1), (12, 1), (40, 0)], [])


def _negative() -> NumpySorting:
    """Negative and very large samples, in one segment."""
    samples = [(-(2**33), 1), (-5, 0), (-5, 1), (0, 0), (2**53, 1), (2**53, 0)]
    return _sorting(np.array([1, 40000], dtype=np.uint16), samples)


def _silent() -> NumpySorting:
    """Units without spikes."""
    return _sorting([1, 2], [], [])


def _no_units() -> NumpySorting:
    """A segment without units."""
    return _sorting([], [])


def _many_units() -> NumpySorting:
    """More units than a byte counts, and more spikes than one can list."""
    rng = np.random.default_rng(5)
    samples = np.sort(rng.integers(0, 20_000, 4000)).tolist()
    units = rng.integers(0, 300, 4000).tolist()
    return _sorting(np.arange(300) * 3, list(zip(samples, units, strict=True)))


#: By name, functions that make a sorting.
TRUTHS: dict[str, Callable[[], NumpySorting]] = {
    "integers": _integers,
    "text": _text,
    "negative": _negative,
    "silent": _silent,
    "no_units": _no_units,
    "many_units": _many_units,
}


def make_truth(name: str) -> NumpySorting:
    """The awkward sorting of a name, with some properties and annotations."""
    sorting = TRUTHS[name]()
    count = sorting.get_num_units()
    sorting.set_property("depth_um", np.linspace(-1, 1, count) * np.float32(1e3))
    sorting.set_property("label", [f"{'μ' * (i % 3)}{i}" for i in range(count)])
    sorting.set_property("kept", np.arange(count) % 2 == 0)
    sorting.set_property("position", np.arange(2.0 * count).reshape(count, 2))
    sorting.annotate(rat="Ωmega", day=3, tags=["a", None, {"b": 1.5}])
    return sorting


def train_of(truth: NumpySorting, unit_id: Any, segment_index: int) -> IntArray:
    """A train, picked out of the spike vector: the plainest way there is."""
    spikes = truth.to_spike_vector()
    unit_index = truth.unit_ids.tolist().index(unit_id)
    mine = (spikes["unit_index"] == unit_index) & (spikes["segment_index"] == segment_index)
    train: IntArray = spikes["sample_index"][mine]
    return train


def trains_of(truth: NumpySorting) -> Iterator[tuple[Any, int, IntArray]]:
    """Every train, with its unit id and segment index."""
    for unit_id in truth.unit_ids.tolist():
        for segment_index in range(truth.get_num_segments()):
            yield unit_id, segment_index, train_of(truth, unit_id, segment_index)


def inside(samples: AnyArray, start: float | None, end: float | None) -> AnyArray:
    """For each sample whether it lies in [start, end), compared as Python numbers, bool."""
    return np.array(
        [
            (start is None or sample >= start) and (end is None or sample < end)
            for sample in samples.tolist()
        ],
        dtype=bool,
    )
