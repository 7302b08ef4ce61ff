"""Sortings that have everything a format can stumble over."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikewire.core.dtypes import SPIKE_DTYPE
from spikewire.core.errors import SpikewireError
from spikewire.core.numpy_sorting import NumpySorting
from spikewire.core.sorting import BaseSorting

TREE = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def samples() -> Path:
    """The folder of files that releases of SpikeInterface wrote."""
    default = TREE / ".." / "shared" / "samples"
    folder = Path(os.environ.get("SPIKEWIRE_TEST_SAMPLES", default)).resolve()
    if not folder.is_dir():
        pytest.skip(f"no samples: {folder} is absent; SPIKEWIRE_TEST_SAMPLES names another folder")
    return folder


def make_sorting(unit_ids: list[int] | list[str] | np.ndarray) -> NumpySorting:
    """Three segments, one of them empty; a silent unit, ties, negative and huge frames."""
    rng = np.random.default_rng(len(unit_ids))
    spikes = np.zeros(1000, dtype=SPIKE_DTYPE)
    spikes["sample_index"] = rng.integers(-5, 3000, size=spikes.size)
    spikes["unit_index"] = rng.integers(0, len(unit_ids) - 1, size=spikes.size)
    spikes["segment_index"][600:] = 2
    spikes[-1] = (2**40, 0, 2)
    order = np.argsort(spikes["segment_index"] * 2.0**42 + spikes["sample_index"], kind="stable")
    sorting = NumpySorting(spikes[order], 30000.0, unit_ids)
    sorting.set_property("quality", ["gööd", "", "mua", "noise"])
    sorting.set_property("snr", np.array([np.nan, -0.0, np.inf, 1.5], dtype=np.float32))
    sorting.set_property("location", rng.normal(size=(len(unit_ids), 2)))
    sorting.set_property("main_channel_id", np.arange(len(unit_ids), dtype=np.int32))
    sorting.annotate(name="probe A", lab="Łódź", nested={"a": [1, None]})
    return sorting


@pytest.fixture(params=["int", "str", "uint16", "bytes"])
def sorting(request: pytest.FixtureRequest) -> NumpySorting:
    ids = {
        "int": [7, -2, 2**60, 5],
        "str": ["a", "β", "long one", ""],
        "uint16": np.array([9, 3, 65535, 0], dtype=np.uint16),
        "bytes": np.array([b"a", b"bc", b"\xff", b"d"]),
    }
    return make_sorting(ids[request.param])


@pytest.fixture
def int_sorting() -> NumpySorting:
    return make_sorting([7, 2, 11, 5])


def assert_same_spikes(one: BaseSorting, other: BaseSorting) -> None:
    """The same units, segments and spike vector, its order included."""
    assert one.unit_ids.dtype == other.unit_ids.dtype
    assert np.array_equal(one.unit_ids, other.unit_ids)
    assert one.sampling_frequency == other.sampling_frequency
    assert one.get_num_segments() == other.get_num_segments()
    assert np.array_equal(one.to_spike_vector(), other.to_spike_vector())


def assert_same_metadata(one: BaseSorting, other: BaseSorting) -> None:
    assert sorted(one.get_property_keys()) == sorted(other.get_property_keys())
    for key in one.get_property_keys():
        values, others = one.get_property(key), other.get_property(key)
        assert values is not None
        assert others is not None
        assert values.dtype == others.dtype, key
        np.testing.assert_array_equal(values, others)
    assert dict(one._annotations) == dict(other._annotations)


def assert_windows(sorting: BaseSorting, truth: BaseSorting) -> None:
    """Windows, counts and last frames, asked of the segments, before anything is cached."""
    for segment, true in zip(sorting.segments, truth.segments, strict=True):
        samples, units = true.get_spike_columns()
        bounds = (
            [None, -10, 0, 1, 700, 1500, 2**50, *samples[[0, -1]].tolist()]
            if len(samples)
            else [None, 0]
        )
        for start in bounds:
            for end in bounds:
                low = -np.inf if start is None else start
                high = np.inf if end is None else end
                inside = (samples >= low) & (samples < high)
                got_samples, got_units = segment.get_spike_columns(start, end)
                assert got_samples.dtype == got_units.dtype == np.int64
                assert np.array_equal(got_samples, samples[inside])
                assert np.array_equal(got_units, units[inside])
                unit = truth.unit_ids[0]
                train = segment.get_unit_spike_train(unit, start, end)
                assert np.array_equal(train, samples[inside & (units == 0)])
        counts = np.bincount(units, minlength=truth.get_num_units())
        assert np.array_equal(segment.count_spikes(), counts)
        last = int(samples[-1]) if len(samples) else None
        assert segment.get_last_spike_frame() == last


@pytest.fixture(scope="session")
def same_spikes() -> Callable[[BaseSorting, BaseSorting], None]:
    return assert_same_spikes


@pytest.fixture(scope="session")
def same_metadata() -> Callable[[BaseSorting, BaseSorting], None]:
    return assert_same_metadata


@pytest.fixture(scope="session")
def same_windows() -> Callable[[BaseSorting, BaseSorting], None]:
    return assert_windows


def assert_expected(sorting: BaseSorting, truth: dict[str, Any]) -> None:
    """What `expected.json` says of a real sorting."""
    assert sorting.unit_ids.tolist() == truth["unit_ids"]
    assert sorting.sampling_frequency == truth["sampling_frequency_hz"]
    counts = sorting.count_num_spikes_per_unit()
    assert {str(unit): int(count) for unit, count in counts.items()} == truth["spikes_per_unit"]
    assert sorting.get_last_spike_frame() == truth["last_sample"]
    vector = sorting.to_spike_vector()
    assert len(vector) == truth["spike_count"]
    assert vector["sample_index"][0] == truth["first_sample"]
    assert vector["sample_index"][-1] == truth["last_sample"]
    assert (np.diff(vector["sample_index"]) >= 0).all()


@pytest.fixture(scope="session")
def as_expected(real_data: Path) -> Callable[[BaseSorting, str], None]:
    """Compare a sorting with the entry of `expected.json` of that name."""
    expected = json.loads((real_data / "expected.json").read_text())
    return lambda sorting, name: assert_expected(sorting, expected[name])


@pytest.fixture
def mono_sorting() -> NumpySorting:
    """One segment, no silent unit."""
    rng = np.random.default_rng(3)
    samples = np.sort(rng.integers(0, 5000, 800))
    labels = rng.choice([4, 9, 30], 800)
    sorting = NumpySorting.from_samples_and_labels([samples], [labels], 25000.0)
    sorting.set_property("quality", ["good", "mua", "a\tb\n\u2028"])
    sorting.set_property("snr", [1.5, np.nan, -2.0])
    return sorting


@pytest.fixture(scope="session")
def read_or_refused() -> Callable[[Path], AbstractContextManager[None]]:
    """Let what a damaged file raises pass if it is our error and names the file."""

    @contextmanager
    def check(path: Path) -> Iterator[None]:
        try:
            yield
        except SpikewireError as error:
            if str(path) not in str(error):
                raise

    return check
