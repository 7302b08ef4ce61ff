"""Time order out of records that came in any order: (sample, sequence, position)."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spikewire_server.acquisition import merging
from spikewire_server.acquisition.counting import SegmentCounts
from spikewire_server.acquisition.files import FileLogs
from spikewire_server.acquisition.merging import merged
from spikewire_server.acquisition.recording import Recording

BATCH = st.tuples(
    st.integers(0, 1),
    st.lists(st.tuples(st.integers(-30, 30), st.integers(0, 3)), min_size=1, max_size=12),
)
BOUND = st.none() | st.integers(-32, 32)
NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def logs(tmp_path_factory):
    return FileLogs(tmp_path_factory.mktemp("logs"))


@pytest.fixture
def record(logs, new_maker):
    """A recording of two segments, of these batches."""

    def make(batches):
        maker = new_maker()
        log = logs.create(f"{next(NUMBERS):032x}", [*maker.first(), maker.segment()])
        records = [
            maker.spikes_of([s for s, _ in spikes], [u for _, u in spikes], segment)
            for segment, spikes in batches
        ]
        logs.commit({log: records})
        return Recording(log)

    return make


def by_hand(batches, last_sequence, segment, start, end):
    """The definition."""
    spikes = [
        (sample, sequence, position, unit)
        for sequence, (of, batch) in enumerate(batches, 4)
        for position, (sample, unit) in enumerate(batch)
        if of == segment and sequence <= last_sequence
        if (start is None or sample >= start) and (end is None or sample < end)
    ]
    return [(sample, unit) for sample, _, _, unit in sorted(spikes)]


def joined(blocks):
    return [
        (int(sample), int(unit))
        for samples, units in blocks
        for sample, unit in zip(samples, units, strict=True)
    ]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    batches=st.lists(BATCH, max_size=12),
    segment=st.integers(0, 1),
    start=BOUND,
    end=BOUND,
    block=st.sampled_from([1, 5, 20, 1000]),
    data=st.data(),
)
def test_spikes_come_in_their_order(record, batches, segment, start, end, block, data):
    batches = [(of, sorted(spikes, key=lambda spike: spike[0])) for of, spikes in batches]
    recording = record(batches)
    last = data.draw(st.integers(3, 3 + len(batches)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(merging, "BLOCK_SPIKES", block)
        found = joined(merged(recording.log, last, segment, start, end))
    assert found == by_hand(batches, last, segment, start, end)


def test_no_block_is_empty(record):
    recording = record([(0, [(0, 0), (100, 0)]), (0, [(100, 1), (101, 2)])])
    blocks = list(merged(recording.log, 5, 0, 50, 100))
    assert blocks == []


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    batches=st.lists(BATCH, max_size=20),
    questions=st.lists(st.tuples(st.integers(3, 23), st.integers(0, 1)), max_size=6),
)
def test_counts_up_to_any_record(record, batches, questions):
    batches = [(of, sorted(spikes, key=lambda spike: spike[0])) for of, spikes in batches]
    recording = record(batches)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("spikewire_server.acquisition.counting._RECORDS_BETWEEN", 4)
        counts = [SegmentCounts(recording.log, segment) for segment in range(2)]
        for last, segment in questions:
            last = min(last, recording.last_sequence)
            spikes = by_hand(batches, last, segment, None, None)
            expected = np.bincount([unit for _, unit in spikes], minlength=4)
            assert counts[segment].up_to(last, 4).tolist() == expected.tolist()
