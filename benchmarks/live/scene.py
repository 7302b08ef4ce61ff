"""One side with its server, its rigs and its followers, and what a round of it gives."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np

from benchmarks.live.batches import RATE, Int64Array
from benchmarks.live.followers import Followers
from benchmarks.live.rigs import Played, Rigs
from benchmarks.live.sides import Site, side_of
from benchmarks.live.worker import Worker

_GRACE_SECONDS = 20.0
_WARM_UP = RATE // 5
"""Batches of each rig at the beginning of a round that are sent but not counted."""


class Latencies(NamedTuple):
    """Of the batches of one round, in milliseconds."""

    ack: Int64Array | None
    """From `append` to when the rig knew that it is on disk."""
    follower: Int64Array
    """From `append` to when a follower had the spikes as arrays."""
    pace: float
    """At what share of their rate the rigs sent."""


class Scene:
    """Rigs and their followers, which have connected.

    Parameters
    ----------
    side : str
        Module of `benchmarks.live.sides`.
    site : Site
        Where its server is.
    names : sequence of str
        What the rigs record.
    spikes : int
        Of a batch.
    rigs, followers : Worker
        Their processes.
    """

    def __init__(
        self,
        side: str,
        site: Site,
        names: Sequence[str],
        spikes: int,
        rigs: Worker,
        followers: Worker,
    ) -> None:
        self._side = side_of(side)
        self._site = site
        self._names = names
        self._spikes = spikes
        self._rigs = rigs
        self._followers = followers
        self._sent = 0

    def play(self, count: int) -> Latencies:
        """Let every rig send so many batches at its rate, besides those to warm up.

        Raises
        ------
        WrongTransferError
            Not everything arrived, or something else.
        WorkerError
            It took far longer than it should.
        """
        self.start(count)
        return self.end(count)

    def start(self, count: int) -> None:
        """Do the first half of `play`."""
        self._rigs.tell("play", _WARM_UP + count)

    def end(self, count: int) -> Latencies:
        """Do the second half of `play`."""
        timeout = (_WARM_UP + count) / RATE + _GRACE_SECONDS
        played: Played = self._rigs.answer(timeout)
        first = self._sent
        self._sent += _WARM_UP + count
        arrived = self._followers.ask(
            "collect", first, self._sent, _GRACE_SECONDS, timeout=2 * _GRACE_SECONDS
        )
        return _latencies(played, arrived)

    def check(self) -> None:
        """Make sure that the server has what was sent, if it keeps it.

        Raises
        ------
        WrongTransferError
            It has not.
        """
        self._side.check(self._site, dict.fromkeys(self._names, self._sent), self._spikes)


@contextmanager
def opened(side: str, site: Site, names: Sequence[str], spikes: int) -> Iterator[Scene]:
    """Start rigs and followers on a server that runs."""
    with (
        Worker(Rigs, side, site, names, spikes) as rigs,
        Worker(Followers, side, site, names, spikes) as followers,
    ):
        rigs.ask("open")
        followers.ask("open")
        yield Scene(side, site, names, spikes, rigs, followers)


def _latencies(played: Played, arrived: Int64Array) -> Latencies:
    counted = slice(_WARM_UP, None)
    sent = played.sent[:, counted]
    ack = None if played.acked is None else (played.acked[:, counted] - sent).ravel() / 1e6
    follower = (arrived[:, counted] - sent).ravel() / 1e6
    spans = (played.sent[:, -1] - played.sent[:, 0]) / 1e9
    pace = (played.sent.shape[1] - 1) / RATE / np.median(spans)
    return Latencies(ack, follower, float(pace))
