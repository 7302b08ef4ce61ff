"""The same sorting in SpikeInterface and in spikewire, for many awkward sortings."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import spikewire as sw

si = pytest.importorskip("spikeinterface", reason="SpikeInterface, the oracle, is not installed")

FREQUENCY = 30000.0


@dataclass(frozen=True)
class Pair:
    """One sorting, twice."""

    theirs: Any
    ours: Any

    def on_both(self, call: Callable[[Any], Any]) -> tuple[Any, Any]:
        """What the call gives, or the exception that it raises, on theirs and on ours."""
        return outcome(call, self.theirs), outcome(call, self.ours)


def outcome(call: Callable[[Any], Any], sorting: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return call(sorting)
        except Exception as error:  # the point of the comparison
            return error


def _random(
    unit_ids: Any,
    *,
    spikes: int = 300,
    segments: tuple[int, ...] = (0, 1),
    low: int = 0,
    high: int = 2000,
    silent: tuple[int, ...] = (),
    seed: int = 0,
) -> tuple[Any, Any]:
    """A spike vector with many ties, out of unit order, and ids."""
    rng = np.random.default_rng(seed)
    firing = [index for index in range(len(unit_ids)) if index not in silent]
    rows = np.zeros(spikes * len(segments), dtype=sw.minimum_spike_dtype)
    rows["sample_index"] = rng.integers(low, high, len(rows))
    rows["unit_index"] = rng.choice(firing, len(rows))
    rows["segment_index"] = np.repeat(segments, spikes)
    return rows[np.lexsort((rows["sample_index"], rows["segment_index"]))], np.array(unit_ids)


def _given(unit_ids: Any, *rows: tuple[int, int, int]) -> tuple[Any, Any]:
    return np.array(list(rows), dtype=sw.minimum_spike_dtype), np.array(unit_ids)


SHAPES: dict[str, Callable[[], tuple[Any, Any]]] = {
    "ints": lambda: _random([1, 2, 3, 4]),
    "unordered_ints": lambda: _random([30, -2, 7, 0], seed=1),
    "strings": lambda: _random(["b", "a", "unit 10", ""], seed=2),
    "unicode": lambda: _random(["μ", "单元", "é", "🐀"], seed=3),
    "digits": lambda: _random(["1", "2", "10"], seed=4),
    "bytes": lambda: _random([b"x", b"yy"], seed=5),
    "uint8": lambda: _random(np.array([3, 200], dtype=np.uint8), seed=6),
    "uint16": lambda: _random(np.array([3, 40000, 5], dtype=np.uint16), seed=7),
    "int32": lambda: _random(np.array([-7, 5, 2**30], dtype=np.int32), seed=8),
    "uint64": lambda: _random(np.array([2**63 + 3, 5], dtype=np.uint64), seed=9),
    "one_unit": lambda: _random([5], seed=10),
    "one_segment": lambda: _random([4, 2, 9], segments=(0,), seed=11),
    "four_segments": lambda: _random([4, 2], segments=(0, 1, 2, 3), spikes=50, seed=12),
    "empty_first": lambda: _random([4, 2], segments=(1, 2), seed=13),
    "empty_middle": lambda: _random([4, 2], segments=(0, 3), seed=14),
    "silent_units": lambda: _random([4, 2, 6, 8], silent=(0, 3), seed=15),
    "all_tied": lambda: _random([4, 2, 6], high=3, seed=16),
    "all_at_once": lambda: _random([4, 2], high=1, seed=17),
    "beyond_31_bits": lambda: _random([4, 2], low=2**31 - 500, high=2**31 + 500, seed=18),
    "to_53_bits": lambda: _random([4, 2], high=2**53, seed=19),
    "negative": lambda: _random([4, 2], low=-900, high=900, seed=20),
    "very_negative": lambda: _random([4, 2], low=-(2**40), high=-(2**39), seed=21),
    "one_spike": lambda: _given([8, 9], (5, 1, 0)),
    "no_spikes": lambda: _given([8, 9]),
    "no_units": lambda: _given(np.array([], dtype=np.int64)),
    "many_units": lambda: _random(np.arange(300) * 7, spikes=3000, segments=(0,), seed=22),
}


def make_pair(shape: str) -> Pair:
    spikes, unit_ids = SHAPES[shape]()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = si.NumpySorting(spikes.copy(), FREQUENCY, unit_ids.copy())
    return Pair(theirs, sw.NumpySorting(spikes.copy(), FREQUENCY, unit_ids.copy()))


@pytest.fixture(params=sorted(SHAPES))
def pair(request: pytest.FixtureRequest) -> Pair:
    return make_pair(request.param)


@pytest.fixture(autouse=True)
def _quiet_spikeinterface() -> Iterator[None]:
    """SpikeInterface warns of its own changes to come; ours stay errors."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="spikeinterface")
        yield


def difference(theirs: Any, ours: Any) -> str | None:
    """In what two outcomes differ; None if they are the same."""
    if isinstance(theirs, Exception) or isinstance(ours, Exception):
        if not (isinstance(theirs, Exception) and isinstance(ours, Exception)):
            return f"{theirs!r} is not {ours!r}"
        builtin = next(kind for kind in type(theirs).__mro__ if kind.__module__ == "builtins")
        same = isinstance(ours, builtin)
        return None if same else f"{ours!r} is not a {builtin.__name__} ({theirs!r})"
    if hasattr(theirs, "get_unit_spike_train"):
        return difference(_summary(theirs), _summary(ours))
    if type(theirs) is not type(ours):
        return f"{type(theirs).__name__} is not {type(ours).__name__} ({theirs!r}, {ours!r})"
    if isinstance(theirs, np.ndarray):
        if (theirs.dtype, theirs.shape) != (ours.dtype, ours.shape):
            return f"{theirs.dtype} {theirs.shape} is not {ours.dtype} {ours.shape}"
        equal = np.array_equal(theirs, ours, equal_nan=theirs.dtype.kind in "fcmM")
        return None if equal else f"{theirs!r} is not {ours!r}"
    if isinstance(theirs, dict):
        keys = difference(list(theirs), list(ours))
        return keys or _first(difference(theirs[key], ours[key]) for key in theirs)
    if isinstance(theirs, list | tuple):
        if len(theirs) != len(ours):
            return f"{len(theirs)} items are not {len(ours)}"
        return _first(difference(*items) for items in zip(theirs, ours, strict=True))
    same = theirs == ours or (theirs != theirs and ours != ours)
    return None if same else f"{theirs!r} is not {ours!r}"


def _first(differences: Iterator[str | None]) -> str | None:
    return next((found for found in differences if found), None)


def _summary(sorting: Any) -> dict[str, Any]:
    return {
        "class": type(sorting).__name__,
        "ids": sorting.unit_ids,
        "frequency": sorting.sampling_frequency,
        "spikes": sorting.to_spike_vector(),
        "properties": {
            str(key): sorting.get_property(key) for key in sorted(sorting.get_property_keys())
        },
        "annotations": {key: sorting.get_annotation(key) for key in sorting.get_annotation_keys()},
    }


@pytest.fixture
def compare() -> Callable[..., None]:
    """Compare a call on both, which has to come out the same."""

    def check(pair: Pair, call: Callable[[Any], Any], what: Any = None) -> None:
        theirs, ours = pair.on_both(call)
        found = difference(theirs, ours)
        assert found is None, f"{what}: {found}"

    return check


@pytest.fixture
def new_pair() -> Callable[[str], Pair]:
    """Make the pair of a shape."""
    return make_pair
