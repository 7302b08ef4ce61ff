"""A sorting that was opened while it was recorded, and refreshed until all was there."""

from __future__ import annotations

import numpy as np
import pytest

from spikewire.core.errors import RevisionMismatchError
from spikewire.testing import SortingContract


class TestRefreshedLiveSorting(SortingContract):
    """It began with a unit, without spikes, and grew batch by batch."""

    @pytest.fixture
    def sorting(self, truth, client, name, spool):
        units = truth.unit_ids
        writer = client.acquire(
            name, truth.sampling_frequency, units[:1], spool=spool / name.replace("/", "_")
        )
        with writer:
            writer.flush(30)
            sorting = client.open(name)
            assert sorting.count_total_num_spikes() == 0
            writer.add_units(units[1:])
            for segment, spikes in enumerate(truth.to_spike_vector(concatenated=False)):
                if segment:
                    writer.start_segment()
                # Spikes of one sample keep their order within a batch alone.
                cuts = np.flatnonzero(np.diff(spikes["sample_index"])) + 1
                # Each read decodes all batches: a hundred meet whatever thousands would.
                step = max(7, len(cuts) // 100)
                for batch in reversed(np.split(spikes, cuts[::step])):
                    writer.append(batch["sample_index"], units[batch["unit_index"]])
            writer.flush(30)
            assert sorting.count_total_num_spikes() == 0
            sorting.refresh()
            yield sorting


def test_a_pin_stays_until_it_is_refreshed(client, name, spool) -> None:
    with client.acquire(name, 30_000.0, ["a"], spool=spool) as writer:
        writer.append([5], ["a"])
        writer.flush(30)
        (listed,) = client.list(name)
        assert listed.state == "recording"
        sorting, pinned = client.open(name), client.open(name)
        writer.add_units(["b"])
        writer.append([1, 2], ["b", "a"])
        writer.start_segment(t_start=3.0)
        writer.append([4], ["b"])
        writer.flush(30)
        sorting.refresh()
        assert sorting.unit_ids.tolist() == ["a", "b"]
        assert sorting.get_unit_spike_train("a", 0).tolist() == [2, 5]
        assert sorting.get_unit_spike_train("b", 1).tolist() == [4]
        assert sorting.get_start_time(1) == 3.0
        last = sorting.revision
        sealed = writer.finish()
    assert sealed.revision == last, "notebooks go on"
    sorting.refresh()
    assert sorting.count_total_num_spikes() == 4
    assert pinned.unit_ids.tolist() == ["a"]
    assert pinned.get_unit_spike_train("a").tolist() == [5]
    client.delete(name)
    with client.acquire(name, 30_000.0, ["a"], spool=spool), pytest.raises(RevisionMismatchError):
        sorting.refresh()


def test_properties_of_a_pin_are_written_while_and_after_it_is_recorded(
    client, name, spool
) -> None:
    with client.acquire(name, 30_000.0, ["a", "b"], spool=spool) as writer:
        writer.flush(30)
        pinned = client.open(name, mode="r+")
        writer.append([5], ["a"])
        writer.add_units(["c"])
        writer.flush(30)
        pinned.set_property("depth", [10.0, 20.0])
    pinned.set_property("depth", [30.0, 40.0])
    pinned.annotate(rat="7")
    pinned.set_property("gone", ["x", "y"])
    pinned.delete_property("gone")
    sealed = client.open(name)
    assert sealed.get_property("depth")[:2].tolist() == [30.0, 40.0]
    assert sealed.get_annotation("rat") == "7"
    assert list(sealed.get_property_keys()) == ["depth"]
