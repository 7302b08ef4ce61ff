"""Random sortings."""

from __future__ import annotations

import numpy as np
import pytest

import spikewire as sw


def test_the_same_seed_gives_the_same_spikes() -> None:
    sw.check_sortings_equal(sw.generate_sorting(seed=1), sw.generate_sorting(seed=1))
    with pytest.raises(AssertionError):
        sw.check_sortings_equal(sw.generate_sorting(seed=1), sw.generate_sorting(seed=2))


def test_what_is_asked_for() -> None:
    sorting = sw.generate_sorting(
        num_units=12,
        sampling_frequency=20000.0,
        durations=[100.0, 50.0],
        firing_rates=np.linspace(1, 40, 12),
        empty_units=[2, "5"],
        refractory_period_ms=3.0,
        t_starts=[10.0, 200.0],
        seed=0,
    )
    assert sorting.unit_ids.tolist() == [str(i) for i in range(12)]
    assert sorting.get_empty_unit_ids().tolist() == ["2", "5"]
    assert [sorting.get_start_time(i) for i in range(2)] == [10.0, 200.0]
    counts = sorting.count_num_spikes_per_unit(outputs="array")
    expected = np.linspace(1, 40, 12) * 150
    firing = counts > 0
    assert np.all(np.abs(counts - expected)[firing] < 6 * np.sqrt(expected)[firing])
    for segment, duration in enumerate((100.0, 50.0)):
        for train in sorting.get_unit_spike_trains(segment_index=segment).values():
            assert np.all(np.diff(train) >= 59)
            assert np.all((train >= 0) & (train < duration * 20000))


def test_spikes_on_borders() -> None:
    sorting = sw.generate_sorting(
        firing_rates=0.0, add_spikes_on_borders=True, num_spikes_per_border=4, seed=0
    )
    for segment, length in enumerate((309_750, 105_000)):
        samples, _ = sorting.to_spike_columns(segment)
        assert len(samples) == 8
        assert samples[3] < 20
        assert samples[4] >= length - 20
        assert samples[-1] < length


def test_what_cannot_be() -> None:
    with pytest.raises(ValueError, match="cannot fire at 300"):
        sw.generate_sorting(firing_rates=300.0)
    with pytest.raises(AssertionError, match="t_starts"):
        sw.generate_sorting(t_starts=[1.0])
    assert sw.generate_sorting(num_units=0).count_total_num_spikes() == 0
