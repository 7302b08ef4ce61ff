"""A sorting in SpikeInterface's memory becomes one of ours, and goes to a server."""

from __future__ import annotations

import numpy as np
import pytest
import spikeinterface as si

import spikewire
from spikewire.core.errors import InvalidTypeError


def test_a_sorting_of_spikeinterface_becomes_one_that_can_be_uploaded(server) -> None:
    theirs = si.generate_sorting(num_units=3, durations=[2.0, 1.0], seed=0)
    with spikewire.connect(server.address) as client:
        with pytest.raises(InvalidTypeError, match="from_sorting"):
            client.upload(theirs, "oracle/theirs")
        ours = spikewire.NumpySorting.from_sorting(theirs)
        remote = client.upload(ours, "oracle/theirs")
        np.testing.assert_array_equal(remote.to_spike_vector(), theirs.to_spike_vector())
