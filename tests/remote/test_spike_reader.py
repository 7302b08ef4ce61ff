"""What is read is of the pinned revision, however it came, or it is said."""

from __future__ import annotations

import numpy as np
import pytest

from spikewire.core.errors import (
    MalformedMessageError,
    NotSupportedByServerError,
    RevisionMismatchError,
    ServerUnavailableError,
)
from spikewire.remote.reader import SpikeReader
from spikewire.remote.resources import Resources
from spikewire.remote.steps import Ask, Call, Pause, Receive
from spikewire.remote.target import parse_target
from spikewire.v1 import spike_train_service_pb2 as pb
from spikewire.wire.trains import encode_trains

(CHUNK,) = encode_trains([(0, np.array([12, 15]))])


@pytest.fixture
def reader() -> SpikeReader:
    return SpikeReader(Resources.of(parse_target("localhost")), "x", "now", 1, 1)


def run(operation, *outcomes):
    """What an operation returns when its steps come to `outcomes`; and the kinds of the steps."""
    steps, left = [], list(outcomes)
    step = next(operation)
    while True:
        steps.append(type(step))
        outcome = None if isinstance(step, Pause) else left.pop(0)
        try:
            if isinstance(outcome, Exception):
                step = operation.throw(outcome)
            elif isinstance(step, Receive):
                broken = [step.take(part) for part in outcome if isinstance(part, bytes)]
                if len(broken) < len(outcome):
                    step = operation.throw(outcome[-1])
                else:
                    step = operation.send(None)
            else:
                step = operation.send(outcome)
        except StopIteration as end:
            return end.value, steps


def one_train(revision="now"):
    return pb.GetUnitSpikeTrainResponse(revision=revision, spike_count=2, chunk=CHUNK)


def session_answer(revision="now"):
    return pb.QueryResponse(revision=revision, spike_count=2, chunks=[CHUNK])


def message(spike_count, *chunks) -> bytes:
    return pb.GetUnitSpikeTrainsResponse(
        revision="now", spike_count=spike_count, chunks=chunks
    ).SerializeToString()


def test_a_single_train_of_another_revision_is_refused(reader) -> None:
    (train,), _ = run(reader.trains([0], 0), one_train())
    assert train.tolist() == [12, 15]
    with pytest.raises(RevisionMismatchError):
        run(reader.trains([0], 0), one_train("then"))


def test_an_answer_of_a_session_of_another_revision_is_refused(reader) -> None:
    run(reader.trains([0], 0, 10, 20), one_train())
    (train,), steps = run(reader.trains([0], 0, 10, 20), session_answer())
    assert train.tolist() == [12, 15]
    assert steps == [Ask]
    with pytest.raises(RevisionMismatchError):
        run(reader.trains([0], 0, 10, 20), session_answer("then"))


def test_counts_of_another_revision_are_refused(reader) -> None:
    counts = pb.CountSpikesResponse(revision="then")
    counts.segments.add(segment_index=0, unit_counts=[2])
    with pytest.raises(RevisionMismatchError):
        run(reader.counts(0), counts)
    counts.revision = "now"
    assert run(reader.counts(0), counts)[0].counts.tolist() == [2]


def test_a_server_without_sessions_is_asked_for_one_once(reader) -> None:
    run(reader.trains([0], 0, 10, 20), one_train())
    missing = NotSupportedByServerError("no sessions")
    assert run(reader.trains([0], 0, 10, 20), missing, one_train())[1] == [Ask, Call]
    assert run(reader.trains([0], 0, 10, 20), one_train())[1] == [Call]


def test_a_server_that_was_away_is_asked_for_a_session_again(reader) -> None:
    run(reader.trains([0], 0, 10, 20), one_train())
    away = ServerUnavailableError("away")
    assert run(reader.trains([0], 0, 10, 20), away, one_train())[1] == [Ask, Call]
    assert run(reader.trains([0], 0, 10, 20), session_answer())[1] == [Ask]


def test_as_many_spikes_are_announced_when_a_stream_is_resumed(reader) -> None:
    (rest,) = encode_trains([(1, np.array([30]))])
    broken = [message(3, CHUNK), ServerUnavailableError("broken")]
    trains, _ = run(reader.trains([0, 1], 0), broken, [message(3, rest)])
    assert [train.tolist() for train in trains] == [[12, 15], [30]]
    with pytest.raises(MalformedMessageError, match=r"had 3 spikes .* has 4 since"):
        run(reader.trains([0, 1], 0), broken, [message(4, rest)])
