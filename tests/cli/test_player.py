"""When batches are played, by a clock of the test's own."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from spikewire import NumpySorting
from spikewire.cli import player as player_module
from spikewire.cli.player import Player, Position, position_behind
from spikewire.core.errors import InvalidValueError

RATE = 1000.0


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Recorder:
    """A writer that notes when it gets what, and takes its time."""

    def __init__(self, clock: Clock, seconds: float = 0.0) -> None:
        self.batches: list[tuple[float, int, list[int], list[Any]]] = []
        self.t_starts: list[float | None] = [None]
        self.flushes = 0
        self.lag_spikes = 0
        self._clock = clock
        self._seconds = seconds

    @property
    def segment_count(self) -> int:
        return len(self.t_starts)

    @property
    def stats(self) -> SimpleNamespace:
        return SimpleNamespace(lag_spikes=self.lag_spikes)

    def start_segment(self, t_start: float | None) -> None:
        self.t_starts.append(t_start)

    def flush(self) -> None:
        self.flushes += 1
        self.lag_spikes = 0

    def append(self, samples: Any, labels: Any) -> None:
        time = round(self._clock.now - 100.0, 6)
        self.batches.append((time, self.segment_count - 1, samples.tolist(), labels.tolist()))
        self.lag_spikes += len(samples)
        self._clock.now += self._seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(player_module, "time", clock)
    return clock


def sorting_of(*segments: tuple[list[int], list[str]]) -> NumpySorting:
    samples, labels = zip(*segments, strict=True)
    return NumpySorting.from_samples_and_labels(
        [np.array(some) for some in samples], list(map(np.array, labels)), RATE, unit_ids=["a", "b"]
    )


def test_batches_come_when_their_time_is_over(clock: Clock) -> None:
    source = sorting_of(([1000, 1019, 1020, 1500], ["a", "b", "a", "a"]), ([-7], ["b"]))
    source.segments[1]._t_start = 4.5
    writer = Recorder(clock)
    player = Player(source, writer, 2.0, 0.020)
    assert list(player.play(Position())) == [2, 1, 1, 1]
    assert writer.batches == [
        (0.010, 0, [1000, 1019], ["a", "b"]),
        (0.020, 0, [1020], ["a"]),
        (0.260, 0, [1500], ["a"]),
        (0.270, 1, [-7], ["b"]),
    ]
    assert writer.t_starts == [None, 4.5]
    assert player.seconds == pytest.approx(0.5)
    assert player.latest == 0.0


def test_a_clock_that_cannot_be_kept_is_told(clock: Clock) -> None:
    writer = Recorder(clock, seconds=0.050)
    player = Player(sorting_of((list(range(0, 100, 20)), ["a"] * 5)), writer, 1.0, 0.020)
    list(player.play(Position()))
    assert player.late == player.latest == pytest.approx(0.120)


def test_as_fast_as_possible_waits_for_the_server_alone(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(player_module, "_UNTIMED_SPIKES", 3)
    monkeypatch.setattr(player_module, "_MAX_AHEAD_SPIKES", 5)
    writer = Recorder(clock)
    player = Player(sorting_of((list(range(0, 8000, 1000)), ["a"] * 8)), writer, math.inf, 0.020)
    assert list(player.play(Position())) == [3, 3, 2]
    assert [batch[0] for batch in writer.batches] == [0.0, 0.0, 0.0]
    assert writer.flushes == 1


def test_samples_at_both_ends_of_an_int64(clock: Clock) -> None:
    writer = Recorder(clock)
    ends = [-(2**63), 2**63 - 1]
    list(Player(sorting_of((ends, ["a", "b"])), writer, 1e18, 0.020).play(Position()))
    assert [batch[2] for batch in writer.batches] == [[ends[0]], [ends[1]]]


@pytest.mark.parametrize("count", range(6))
def test_playing_goes_on_wherever_it_stopped(clock: Clock, count: int) -> None:
    segments = [([5, 9, 9, 9], ["a", "b", "b", "a"]), ([2], ["a"])]
    source = sorting_of(*segments)
    writer = Recorder(clock)
    played = [
        (samples[: max(count - before, 0)], labels[: max(count - before, 0)])
        for before, (samples, labels) in zip((0, 4), segments, strict=True)
    ]
    if count <= 4:
        played.pop()
    writer.t_starts = [None] * len(played)
    position = position_behind(sorting_of(*played), source)
    list(Player(source, writer, math.inf, 0.020).play(position))
    spikes = [
        (segment, *spike)
        for _, segment, samples, labels in writer.batches
        for spike in zip(samples, labels, strict=True)
    ]
    everything = [(0, 5, "a"), (0, 9, "b"), (0, 9, "b"), (0, 9, "a"), (1, 2, "a")]
    assert spikes == everything[count:]


@pytest.mark.parametrize(
    "recorded",
    [
        sorting_of(([5, 9], ["a", "a"])),
        sorting_of(([5, 8], ["a", "b"])),
        sorting_of(([5, 9, 9], ["a", "b", "b"])),
        sorting_of(([], []), ([], [])),
        sorting_of(([5], ["a"])).select_units(["a"]),
    ],
)
def test_what_is_no_beginning_of_the_source_is_refused(recorded: NumpySorting) -> None:
    with pytest.raises(InvalidValueError, match="what was recorded so far"):
        position_behind(recorded, sorting_of(([5, 9, 12], ["a", "b", "a"])))
