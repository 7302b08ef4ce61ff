"""A sorting on a server does all that a sorting has to do."""

from __future__ import annotations

import itertools

import pytest

import spikewire
from spikewire.testing import SortingContract

# Sortings that are variations of those above are not tried with everything.
AWKWARD = ("integers", "no_units")

names = (f"contract/{number}" for number in itertools.count())


@pytest.fixture(scope="module")
def made():
    """The names of what the tests of each class have put on the server, by the spikes."""
    return {}


class RemoteContract(SortingContract):
    """The contract, with a client at hand."""

    keeps_metadata = True

    @pytest.fixture(autouse=True)
    def connected(self, server, made):
        self.made = made
        # A client of its own for each test: nothing is cached that another one read.
        with spikewire.connect(server.address) as self.client:
            yield

    def make_sorting(self, truth, folder):
        key = type(self), truth.unit_ids.tobytes(), truth.to_spike_vector().tobytes()
        if key not in self.made:
            self.made[key] = self.put(truth).remote_name
        return self.client.open(self.made[key])

    def put(self, truth):
        """Make the sorting on the server, for all tests to open."""
        return self.client.upload(truth, next(names))


class TestRemoteSorting(RemoteContract):
    """What was uploaded."""


class TestWrittenThrough(RemoteContract):
    """The same, where every change is the server's."""

    truth_names = AWKWARD

    def make_sorting(self, truth, folder):
        name = next(names)
        self.client.upload(truth, name)
        return self.client.open(name, mode="r+")


class TestRemoteView(RemoteContract):
    """A view that the server evaluates."""

    def put(self, truth):
        parent = self.client.upload(truth, next(names))
        return self.client.register(parent.select_units(None), next(names))


class TestRemoteViewOfViews(RemoteContract):
    """Segments taken apart and appended, units taken apart and aggregated, on the server."""

    keeps_tie_order = False
    truth_names = ("integers",)

    def put(self, truth):
        parent = self.client.upload(truth, next(names))
        segments = range(parent.get_num_segments())
        again = spikewire.append_sortings(
            [spikewire.select_segment_sorting(parent, index) for index in segments]
        )
        halves = [again.select_units(again.unit_ids[first::2]) for first in (0, 1)]
        whole = spikewire.aggregate_units(halves).select_units(truth.unit_ids)
        return self.client.register(whole, next(names))


class TestSavedView(RemoteContract):
    """A copy that the server made of a view."""

    truth_names = AWKWARD

    def put(self, truth):
        parent = self.client.upload(truth, next(names))
        view = self.client.register(parent.select_units(None), next(names))
        return self.client.save(view, next(names))


class TestViewOfRemote(RemoteContract):
    """A view here of a sorting there."""

    truth_names = AWKWARD

    def make_sorting(self, truth, folder):
        return super().make_sorting(truth, folder).select_units(None)
