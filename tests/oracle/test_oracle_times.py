"""Times and recordings: SpikeInterface's recordings registered on its sortings and on ours."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import spikeinterface as si

import spikewire as sw

FREQUENCY = 30000.0


def library(sorting: Any) -> Any:
    return sw if isinstance(sorting, sw.BaseSorting) else si


def recording(kind: str, lengths: tuple[int, ...] = (3000, 2500)) -> Any:
    """Silence, from time 0, from a start time, or with a time for each frame."""
    traces = [np.zeros((length, 1), dtype=np.float32) for length in lengths]
    starts = [10.0 + 5 * i for i in range(len(lengths))] if kind == "started" else None
    made = si.NumpyRecording(traces, FREQUENCY, t_starts=starts)
    if kind == "timed":
        for index, length in enumerate(lengths):
            times = 3.0 + np.arange(length) / FREQUENCY + (np.arange(length) > 1000) * 0.5
            made.set_times(times, segment_index=index, with_warning=False)
    return made


def registered(sorting: Any, kind: str, *, lengths: tuple[int, ...] = (3000, 2500)) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sorting.register_recording(recording(kind, lengths))
    return sorting


CALLS: dict[str, Callable[[Any], Any]] = {
    "has_recording": lambda s: s.has_recording(),
    "has_time_vector": lambda s: s.has_time_vector(1),
    "num_samples": lambda s: [s.get_num_samples(0), s.get_num_samples(1)],
    "num_samples_of_which": lambda s: s.get_num_samples(),
    "total_samples": lambda s: s.get_total_samples(),
    "total_duration": lambda s: s.get_total_duration(),
    "times": lambda s: s.get_times(1),
    "times_window": lambda s: s.get_times(0, 10, 20),
    "start_time": lambda s: [s.get_start_time(0), s.get_start_time(1)],
    "end_time": lambda s: [s.get_end_time(0), s.get_end_time(1)],
    "to_time": lambda s: s.sample_index_to_time(np.array([0, 5, 1700]), 1),
    "to_frame": lambda s: s.time_to_sample_index(s.sample_index_to_time(55, 1), 1),
    "seconds": lambda s: s.get_unit_spike_train(1, 0, return_times=True),
    "seconds_window": lambda s: s.get_unit_spike_train(1, 0, 100, 1500, return_times=True),
    "seconds_to_zero": lambda s: s.get_unit_spike_train(1, 0, 0, 0, return_times=True),
    "in_seconds": lambda s: s.get_unit_spike_train_in_seconds(2, 1, 3.01, 15.04),
    "in_seconds_to_zero": lambda s: s.get_unit_spike_train_in_seconds(2, 1, None, 0.0),
    "of_selection": lambda s: s.select_units([2]).get_unit_spike_train(2, 1, return_times=True),
    "of_numpy": lambda s: s.to_numpy_sorting().get_unit_spike_train(2, 1, return_times=True),
    "of_clone": lambda s: s.clone().has_recording(),
    "sliced": lambda s: (
        library(s)
        .select_segment_sorting(s, 0)
        .frame_slice(100, 900)
        .get_unit_spike_train(2, return_times=True)
    ),
}


@pytest.mark.parametrize("kind", ["plain", "started", "timed"])
@pytest.mark.parametrize("shift", [0.0, 2.5])
@pytest.mark.parametrize("name", sorted(CALLS))
def test_times_of_a_recording(
    kind: str,
    shift: float,
    name: str,
    new_pair: Callable[[str], Any],
    compare: Callable[..., None],
) -> None:
    if shift and name in ("of_selection", "sliced"):
        return  # SpikeInterface forgets the shift
    pair = new_pair("ints")
    for sorting in (pair.theirs, pair.ours):
        registered(sorting, kind)
        if shift:
            sorting.shift_times(shift, 0)
            sorting.shift_times(shift)
    compare(pair, CALLS[name])


SLICES: dict[str, Callable[[Any], Any]] = {
    "middle": lambda s: s.frame_slice(100, 900),
    "open": lambda s: s.frame_slice(100, None),
    "too_far": lambda s: s.frame_slice(100, 3001),
    "after": lambda s: s.frame_slice(3001, None),
    "times_of_slice": lambda s: s.frame_slice(100, 900).get_times(0),
    "start_of_slice": lambda s: s.frame_slice(100, 900).get_start_time(0),
    "end_of_slice": lambda s: s.frame_slice(100, 900).get_end_time(0),
    "seconds_of_slice": lambda s: s.frame_slice(100, 900).get_unit_spike_train(
        2, return_times=True
    ),
    "time_slice": lambda s: s.time_slice(s.get_start_time(0) + 0.01, s.get_start_time(0) + 0.05),
    "split": lambda s: library(s).split_sorting(s, [recording("plain", (1000, 500, 1500))]),
    "split_by_recordings": lambda s: library(s).split_sorting(
        s, [recording("plain", (1000,)), recording("plain", (2000,))]
    ),
    "split_by_concatenated": lambda s: library(s).split_sorting(
        s, si.concatenate_recordings([recording("plain", (1000, 500)), recording("plain", (1500,))])
    ),
    "split_by_own": lambda s: library(s).split_sorting(s),
    "concatenated": lambda s: library(s).concatenate_sortings([s, s]),
    "concatenated_samples": lambda s: library(s).concatenate_sortings([s, s]).get_num_samples(),
    "concatenated_duration": lambda s: library(s).concatenate_sortings([s, s]).get_total_duration(),
    "concatenated_recording": lambda s: library(s).concatenate_sortings([s, s]).has_recording(),
    "concatenated_end": lambda s: library(s).concatenate_sortings([s, s]).get_end_time(),
    "concatenated_times": lambda s: library(s).concatenate_sortings([s, s]).get_times(0, 5, 9),
    "concatenated_seconds": lambda s: (
        library(s).concatenate_sortings([s, s]).get_unit_spike_train(2, return_times=True)
    ),
    "concatenated_twice_told": lambda s: library(s).concatenate_sortings(
        [s, s], total_samples_list=[3000, 3000]
    ),
}


@pytest.mark.parametrize("kind", ["plain", "started", "timed"])
@pytest.mark.parametrize("name", sorted(SLICES))
def test_views_of_a_recorded_segment(
    kind: str, name: str, new_pair: Callable[[str], Any], compare: Callable[..., None]
) -> None:
    pair = _mono(new_pair)
    for sorting in (pair.theirs, pair.ours):
        registered(sorting, kind, lengths=(3000,))
    compare(pair, SLICES[name])


def _mono(new_pair: Callable[[str], Any]) -> Any:
    """One segment without ties."""
    pair = new_pair("one_segment")
    spikes = pair.ours.to_spike_vector()
    kept = spikes[np.unique(spikes["sample_index"], return_index=True)[1]].copy()
    ids = [4, 2, 9]
    return type(pair)(
        si.NumpySorting(kept, FREQUENCY, ids), sw.NumpySorting(kept.copy(), FREQUENCY, ids)
    )


@pytest.mark.parametrize(
    ("lengths", "frequency"), [((3000,), 3e4), ((3000, 3000), 25e3), ((3000, 3000), 30000.05)]
)
def test_recordings_that_do_not_fit(
    lengths: tuple[int, ...],
    frequency: float,
    new_pair: Callable[[str], Any],
    compare: Callable[..., None],
) -> None:
    traces = [np.zeros((length, 1), dtype=np.float32) for length in lengths]
    other = si.NumpyRecording(traces, frequency)
    compare(new_pair("ints"), lambda s: s.register_recording(other))


@pytest.mark.parametrize("shape", ["ints", "negative", "silent_units", "no_spikes"])
def test_spikes_outside_the_recording_warn(shape: str, new_pair: Callable[[str], Any]) -> None:
    pair = new_pair(shape)
    count = pair.ours.get_num_segments()
    for lengths in ((1000,) * count, (2000,) * count):
        told = []
        for sorting in (pair.theirs, pair.ours):
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                sorting.register_recording(recording("plain", lengths))
            told.append(len([w for w in caught if "recording" in str(w.message)]))
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                sorting.register_recording(recording("plain", lengths), check_spike_frames=False)
            assert not caught
        assert told[0] == told[1]


def test_slices_refuse_spikes_outside(
    new_pair: Callable[[str], Any], compare: Callable[..., None]
) -> None:
    pair = _mono(new_pair)
    for sorting in (pair.theirs, pair.ours):
        registered(sorting, "plain", lengths=(1000,))
    compare(pair, lambda s: s.frame_slice(10, 900))
    compare(pair, lambda s: s.frame_slice(10, 900, check_spike_frames=False))
