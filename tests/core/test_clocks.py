"""Samples become seconds by sync points: exact at the points, monotone, and back again."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import spikewire as sw
from spikewire.core.clocks import Clock, UnitClocks, check_sync_point
from spikewire.core.errors import InvalidValueError

RATE = 30_000.0


@st.composite
def clocks(draw) -> Clock:
    """Clocks that drift, jump and pause, as those of rigs do, and worse."""
    steps = draw(st.lists(st.tuples(st.integers(1, 10**7), st.floats(1.0, 1e4)), max_size=8))
    samples = [draw(st.integers(-(10**9), 10**9))]
    seconds = [draw(st.floats(-1e6, 1e6))]
    for frames, duration in steps:
        samples.append(samples[-1] + frames)
        seconds.append(seconds[-1] + duration)
    return Clock(samples, seconds, RATE)


@given(clocks(), st.lists(st.integers(-(2**40), 2**40), min_size=2))
def test_times_never_go_back(clock, samples) -> None:
    times = clock.times_at(np.sort(samples))
    assert (np.diff(times) >= 0).all()
    assert np.isfinite(times).all()


@given(clocks())
def test_points_are_met_exactly_both_ways(clock) -> None:
    assert clock.times_at(clock.samples).tolist() == clock.seconds.tolist()
    assert clock.samples_at(clock.seconds).tolist() == clock.samples.tolist()


@given(clocks(), st.integers(-(10**8), 10**8))
def test_samples_come_back(clock, distance) -> None:
    sample = int(clock.samples[0]) + distance
    assert clock.samples_at(clock.times_at(sample)) == pytest.approx(sample, abs=0.05)


@given(clocks(), st.integers(-(10**6), 10**6), st.integers(-(10**6), 10**6))
def test_a_slice_counts_from_elsewhere(clock, origin, sample) -> None:
    assert clock.moved(origin).times_at(sample - origin) == clock.times_at(sample)


def test_rounding_never_overtakes_a_point() -> None:
    assert Clock([0, 232_442], [1.9, 11.4], RATE).times_at(232_442) == 11.4
    last = 4_435_014_243_988_582
    assert Clock([0, last], [-4.5, 3.9], RATE).times_at(last - 1) <= 3.9
    clock = Clock([0, 65_534_580], [2.9, 7.1], RATE)
    assert clock.samples_at(np.nextafter(7.1, 0)) <= 65_534_580


def test_units_have_clocks_that_there_are() -> None:
    clock = Clock([0], [0.0], RATE)
    for indices in ([0, 1], [-1, 0]):
        with pytest.raises(InvalidValueError, match="clock"):
            UnitClocks([clock], indices)


def test_slopes_go_on_at_both_ends() -> None:
    clock = Clock([0, 100, 300], [1.0, 2.0, 3.0], RATE)
    assert clock.times_at([-100, 50, 200, 500]).tolist() == [0.0, 1.5, 2.5, 4.0]
    assert clock.samples_at(4.0) == 500.0


def test_one_point_goes_on_with_the_nominal_frequency() -> None:
    clock = Clock([300], [10.0], 100.0)
    assert clock.times_at(0) == 7.0
    assert clock.samples_at(11.0) == 400.0


@pytest.mark.parametrize(
    ("samples", "seconds"),
    [
        ([], []),
        ([1], [1.0, 2.0]),
        ([1, 1], [1.0, 2.0]),
        ([1, 2], [1.0, 1.0]),
        ([2, 1], [1.0, 2.0]),
        ([1], [np.nan]),
        ([1], [np.inf]),
        ([2**60], [0.0]),
        ([-(2**63), 0], [0.0, 1.0]),
        ([0, 2**53], [0.0, 5e-324]),
    ],
)
def test_impossible_points_are_refused(samples, seconds) -> None:
    with pytest.raises(InvalidValueError):
        Clock(samples, seconds, RATE)


def test_points_are_judged_alike_one_by_one() -> None:
    check_sync_point(3, 1.0, None)
    check_sync_point(4, 1.5, (3, 1.0))
    for point, last in [((3, 1.5), (3, 1.0)), ((4, 1.0), (3, 1.0)), ((4, np.nan), (3, 1.0))]:
        with pytest.raises(InvalidValueError):
            check_sync_point(*point, last)
    for point in [(0, np.inf), (2**53 + 2, 0.0), (-(2**53) - 2, 0.0), (0, -1e16)]:
        with pytest.raises(InvalidValueError, match=r"2\*\*53"):
            check_sync_point(*point, None)
    # What `Clock` would refuse is refused here already.
    with pytest.raises(InvalidValueError, match="ascend"):
        check_sync_point(2**53, 5e-324, (0, 0.0))


def test_clocks_are_equal_that_say_the_same() -> None:
    clock = Clock([0, 10], [0.0, 1.0], RATE)
    assert clock == Clock([0, 10], [0.0, 1.0], RATE)
    for other in [
        Clock([0, 10], [0.0, 2.0], RATE),
        Clock([0, 20], [0.0, 1.0], RATE),
        Clock([0, 10], [0.0, 1.0], 1.0),
    ]:
        assert clock != other
        assert UnitClocks([clock]) != UnitClocks([other])
    assert UnitClocks([clock, clock], [0, 1]) != UnitClocks([clock, clock], [0, 0])


@pytest.fixture
def rigs() -> list[sw.BaseSorting]:
    """Two sortings of the same seconds, counted by clocks of their own."""
    made = []
    for ids, clock in [
        (["a", "b"], Clock([0, 1000], [5.0, 15.0], 100.0)),
        (["c"], Clock([0, 1000], [3.0, 23.0], 100.0)),
    ]:
        sorting = sw.NumpySorting.from_unit_dict({unit: [100, 500] for unit in ids}, 100.0)
        sorting.segments[0]._clocks = UnitClocks([clock])
        sorting.segments[0]._t_start = sorting.segments[0]._native_t_start = clock.times_at(0)
        made.append(sorting)
    return made


def test_a_sorting_answers_in_the_time_of_its_points(rigs) -> None:
    rig = rigs[1]
    assert rig.get_start_time(0) == 3.0
    assert rig.get_unit_spike_train_in_seconds("c").tolist() == [5.0, 13.0]
    assert rig.get_unit_spike_train_in_seconds("c", start_time=5.1).tolist() == [13.0]
    assert rig.get_unit_spike_train("c", return_times=True, end_frame=500).tolist() == [5.0]
    assert rig.sample_index_to_time(50) == 4.0
    assert rig.time_to_sample_index(4.0) == 50
    assert rig.time_to_sample_index(np.array([4.0, 5.0])).tolist() == [50, 100]
    rig.shift_times(1.0)
    assert rig.get_unit_spike_train_in_seconds("c").tolist() == [6.0, 14.0]
    assert rig.get_start_time(0) == 4.0


def test_views_and_copies_keep_the_times(rigs) -> None:
    rig = rigs[1]
    for view in (rig.select_units(["c"]), rig.to_numpy_sorting(), rig.rename_units(["c"])):
        assert view.get_unit_spike_train_in_seconds("c").tolist() == [5.0, 13.0]
    part = rig.frame_slice(200, 600)
    assert part.get_unit_spike_train("c").tolist() == [300]
    assert part.get_unit_spike_train_in_seconds("c").tolist() == [13.0]
    assert part.get_start_time(0) == 7.0


def test_units_side_by_side_keep_the_times_of_their_own_rig(rigs) -> None:
    together = sw.aggregate_units(rigs)
    expected = {"a": [6.0, 10.0], "b": [6.0, 10.0], "c": [5.0, 13.0]}
    assert seconds(together) == expected
    assert seconds(together.select_units(["c", "a"])) == {"c": [5.0, 13.0], "a": [6.0, 10.0]}
    assert seconds(together.select_units(["c"]).frame_slice(200, 600)) == {"c": [13.0]}
    assert seconds(sw.aggregate_units([together])) == expected
    windows = together.get_unit_spike_trains(start_frame=200, return_times=True)
    assert {unit: train.tolist() for unit, train in windows.items()} == {
        "a": [10.0],
        "b": [10.0],
        "c": [13.0],
    }
    late = together.get_unit_spike_train_in_seconds("c", start_time=6.0)
    assert late.tolist() == [13.0]


def test_a_rig_without_points_keeps_its_start_time_beside_others(rigs) -> None:
    plain = sw.NumpySorting.from_unit_dict({"d": [100]}, 100.0)
    plain.shift_times(2.0)
    assert seconds(sw.aggregate_units([rigs[0], plain]))["d"] == [3.0]
    assert seconds(sw.aggregate_units([plain, rigs[0]]))["d"] == [3.0]


def test_files_keep_no_sync_points_and_say_so(rigs, tmp_path) -> None:
    with pytest.warns(UserWarning, match="sync points"):
        saved = rigs[1].save(folder=tmp_path / "saved")
    assert seconds(saved) == {"c": [5.0, 13.0]}


def test_a_registered_recording_tells_the_times_instead(rigs) -> None:
    si = pytest.importorskip("spikeinterface")
    rig = rigs[1]
    rig.register_recording(si.NumpyRecording(np.zeros((1000, 1)), 100.0, t_starts=[1.0]))
    assert seconds(rig) == {"c": [2.0, 6.0]}


def seconds(sorting) -> dict[str, list[float]]:
    return {
        unit: sorting.get_unit_spike_train_in_seconds(unit).tolist() for unit in sorting.unit_ids
    }
