"""A sorting on a server does all that a sorting has to do."""

from __future__ import annotations

import itertools

import pytest

import spikewire
from spikewire.testing import SortingContract

# Sortings that are variations of those above are not tried with everything.
AWKWARD = ("integers", "no_units")

names = (f"contract/{number}" for number in itertools.count())


class RemoteContract(SortingContract):
    """The contract, with a client at hand."""

    keeps_metadata = True

    @pytest.fixture(autouse=True)
    def connected(self, server):
        with spikewire.connect(server.address) as self.client:
            yield


class TestRemoteSorting(RemoteContract):
    def make_sorting(self, truth, folder):
        return self.client.upload(truth, next(names))


class TestWrittenThrough(RemoteContract):
    truth_names = AWKWARD

    def make_sorting(self, truth, folder):
        name = next(names)
        self.client.upload(truth, name)
        return self.client.open(name, mode="r+")


class TestRemoteView(RemoteContract):
    """A view that the server evaluates."""

    def make_sorting(self, truth, folder):
        parent = self.client.upload(truth, next(names))
        return self.client.register(parent.select_units(None), next(names))


class TestSavedView(RemoteContract):
    """A copy that the server made of a view."""

    truth_names = AWKWARD

    def make_sorting(self, truth, folder):
        parent = self.client.upload(truth, next(names))
        view = self.client.register(parent.select_units(None), next(names))
        return self.client.save(view, next(names))


class TestViewOfRemote(RemoteContract):
    """A view here of a sorting there."""

    truth_names = AWKWARD

    def make_sorting(self, truth, folder):
        return self.client.upload(truth, next(names)).select_units(None)
