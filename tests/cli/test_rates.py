from __future__ import annotations

import numpy as np

from spikewire.cli.rates import Rates


def test_rates_are_those_of_the_last_seconds() -> None:
    rates = Rates(1000.0, 1, window_seconds=1.0)
    samples = np.arange(0, 5000, 20)
    rates.add(0, samples, np.zeros(len(samples), np.int64))
    np.testing.assert_allclose(rates.rates(), [50.0])
    # Nothing for the first unit, and another one: after a second nothing is left of the first.
    samples = np.arange(5000, 6101, 100)
    rates.place_units(np.array([1]), 2)
    rates.add(0, samples, np.zeros(len(samples), np.int64))
    np.testing.assert_allclose(rates.rates(), [10.0, 0.0])


def test_a_recording_that_has_just_begun_is_not_diluted() -> None:
    rates = Rates(1000.0, 1, window_seconds=10.0)
    rates.add(0, np.arange(-2000, 1, 10), np.zeros(201, np.int64))
    np.testing.assert_allclose(rates.rates(), [100.0])


def test_late_spikes_count_if_they_are_of_the_window() -> None:
    rates = Rates(1000.0, 1, window_seconds=1.0)
    rates.add(0, np.array([0, 5000]), np.array([0, 0]))
    assert rates.rates().tolist() == [0.0]
    rates.add(0, np.array([4500, 100]), np.array([0, 0]))
    np.testing.assert_allclose(rates.rates(), [1.0])


def test_a_later_segment_begins_anew_and_an_earlier_one_is_over() -> None:
    rates = Rates(1000.0, 1, window_seconds=1.0)
    rates.add(0, np.arange(90_000), np.zeros(90_000, np.int64))
    rates.add(1, np.arange(0, 1001, 100), np.zeros(11, np.int64))
    rates.add(0, np.arange(90_000), np.zeros(90_000, np.int64))
    np.testing.assert_allclose(rates.rates(), [10.0])


def test_no_spikes_are_no_rates() -> None:
    assert Rates(1000.0, 2).rates().tolist() == [0.0, 0.0]
