"""A sorting in SpikeInterface's memory becomes one of ours, and goes to a server."""

from __future__ import annotations

import numpy as np
import pytest
import spikeinterface as si

import spikewire
from spikewire.core.errors import InvalidTypeError


@pytest.mark.parametrize("target", [spikewire.NumpySorting, spikewire.SharedMemorySorting])
def test_metadata_of_a_sorting_of_spikeinterface_are_copied(target) -> None:
    theirs = si.generate_sorting(num_units=3, durations=[2.0], seed=0)
    theirs.set_property("quality", np.array(["good", "mua", "good"]))
    theirs.annotate(note={"rig": 2})
    ours = target.from_sorting(theirs, with_metadata=True)
    assert ours.get_property("quality").tolist() == ["good", "mua", "good"]
    assert set(ours.get_property_keys()) == set(theirs.get_property_keys())
    assert ours.get_annotation("note") == {"rig": 2}
    assert ours.get_annotation("note") is not theirs.get_annotation("note", copy=False)


def test_a_sorting_of_spikeinterface_becomes_one_that_can_be_uploaded(server) -> None:
    theirs = si.generate_sorting(num_units=3, durations=[2.0, 1.0], seed=0)
    with spikewire.connect(server.address) as client:
        with pytest.raises(InvalidTypeError, match="from_sorting"):
            client.upload(theirs, "oracle/theirs")
        ours = spikewire.NumpySorting.from_sorting(theirs)
        remote = client.upload(ours, "oracle/theirs")
        np.testing.assert_array_equal(remote.to_spike_vector(), theirs.to_spike_vector())
