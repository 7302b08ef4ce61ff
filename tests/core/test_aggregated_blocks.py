"""Units side by side, read some spikes at a time, are those that are read at once."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import spikewire as sw
from spikewire.core.segment import BaseSortingSegment

trains = st.lists(st.integers(-20, 20), max_size=30).map(sorted)
sizes = st.integers(1, 7)


class Piecewise(BaseSortingSegment):
    """Gives its spikes in blocks of some size, empty ones between them."""

    def __init__(self, samples, units, size) -> None:
        super().__init__()
        self._columns = np.array(samples, np.int64), np.array(units, np.int64)
        self._size = size
        self.given = 0

    def get_spike_columns(self, start_frame=None, end_frame=None):
        samples, units = self._columns
        start = 0 if start_frame is None else samples.searchsorted(start_frame)
        end = len(samples) if end_frame is None else samples.searchsorted(end_frame)
        return samples[start:end], units[start:end]

    def iter_spike_columns(self, start_frame=None, end_frame=None):
        samples, units = self.get_spike_columns(start_frame, end_frame)
        for first in range(0, len(samples), self._size):
            self.given += 1
            yield samples[:0], units[:0]
            yield samples[first : first + self._size], units[first : first + self._size]


def piecewise(ids, samples, size) -> sw.BaseSorting:
    sorting = sw.BaseSorting(100.0, ids)
    units = np.arange(len(samples)) % len(ids)
    sorting.add_sorting_segment(Piecewise(samples, units, size))
    return sorting


@given(
    st.lists(st.tuples(trains, sizes), min_size=1, max_size=4),
    st.none() | st.integers(-25, 25),
    st.none() | st.integers(-25, 25),
)
def test_blocks_make_the_whole(parts, start, end) -> None:
    sortings = [
        piecewise([f"{number}a", f"{number}b"], samples, size)
        for number, (samples, size) in enumerate(parts)
    ]
    (segment,) = sw.aggregate_units(sortings).segments
    whole = segment.get_spike_columns(start, end)
    blocks = [*segment.iter_spike_columns(start, end)]
    assert all(len(samples) for samples, _ in blocks)
    for column, expected in zip(zip(*blocks, strict=True), whole, strict=False):
        assert np.concatenate(column).tolist() == expected.tolist()
    assert sum(len(samples) for samples, _ in blocks) == len(whole[0])


def test_no_more_is_read_than_the_next_spikes_need() -> None:
    sortings = [piecewise([f"{n}"], range(1000), 10) for n in range(2)]
    (segment,) = sw.aggregate_units(sortings).segments
    samples, _ = next(iter(segment.iter_spike_columns()))
    assert samples[0] == 0
    assert [sorting.segments[0].given for sorting in sortings] == [1, 1]
