"""What a rig appends arrives, once, in order; what is wrong is refused before it is taken."""

from __future__ import annotations

import numpy as np
import pytest

RATE = 30_000.0


@pytest.fixture
def acquire(client, name, spool):
    """Begin to record: `acquire(**options)`."""
    writers = []

    def begin(**options):
        options = {"sampling_frequency": RATE, "unit_ids": [3, 5], "spool": spool} | options
        writers.append(client.acquire(name, **options))
        return writers[-1]

    yield begin
    for writer in writers:
        writer.close()


def test_what_is_appended_is_the_sorting(acquire, client, name) -> None:
    with acquire(t_start=2.0, annotations={"rat": 7}) as writer:
        writer.append([10, 20, 30], [3, 5, 3])
        writer.append([15, 5], [5, 3])  # late, and unsorted
        writer.append([-4], [5])
        assert writer.start_segment(t_start=9.5) == 1
        writer.append(np.array([7], np.uint16), np.array([3]))
        writer.append([12], [3], segment_index=0)
        writer.add_units([8])
        writer.append([8], [8])
        writer.flush(timeout=30)
        assert client.open(name).count_total_num_spikes() == 9
    sorting = client.open(name)
    assert sorting.unit_ids.tolist() == [3, 5, 8]
    assert sorting.get_annotation("rat") == 7
    assert sorting.get_unit_spike_train(3, segment_index=0).tolist() == [5, 10, 12, 30]
    assert sorting.get_unit_spike_train(5, segment_index=0).tolist() == [-4, 15, 20]
    assert sorting.get_unit_spike_train(8, segment_index=1).tolist() == [8]
    assert [sorting.get_start_time(index) for index in (0, 1)] == [2.0, 9.5]
