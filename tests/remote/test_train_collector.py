"""Trains that a server sends are those that were asked for, in order, or it is said."""

from __future__ import annotations

import numpy as np
import pytest

from spikewire.core.errors import MalformedMessageError
from spikewire.remote.train_collector import TrainCollector
from spikewire.wire.cutting import CutChunk
from spikewire.wire.trains import encode_trains

ASKED = [7, 3, 5]


def taken(*messages: list[tuple[int, list[int]]]) -> list[list[int]]:
    """What is made of trains by unit, a chunk each, by who asked for `ASKED`."""
    announced = sum(len(train) for message in messages for _, train in message)
    collector = TrainCollector(announced, ASKED, 0)
    for message in messages:
        (chunk,) = encode_trains((unit, np.array(train, np.int64)) for unit, train in message)
        collector.take(CutChunk(chunk, {}))
    return [train.tolist() for train in collector.trains()]


def test_a_train_goes_on_in_the_next_chunk() -> None:
    chunks = [(7, [1, 2]), (3, [4])], [(3, [4, 9]), (5, [])]
    assert taken(*chunks) == [[1, 2], [4, 4, 9], []]
    assert taken([(5, [2])]) == [[], [], [2]]


@pytest.mark.parametrize(
    ("chunks", "message"),
    [
        ([[(7, [5])], [(7, [4])]], "do not ascend"),
        ([[(3, [1]), (7, [2])]], "nobody asked"),
        ([[(3, [1])], [(7, [2])]], "nobody asked"),
        ([[(4, [1])]], "nobody asked"),
    ],
)
def test_trains_in_disorder_are_refused(chunks, message) -> None:
    with pytest.raises(MalformedMessageError, match=message):
        taken(*chunks)
