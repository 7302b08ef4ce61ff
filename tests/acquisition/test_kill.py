"""kill -9 at random instants: all that was acknowledged is there once, in order, nothing else."""

from __future__ import annotations

import itertools
import random
import threading

import grpc
import numpy as np
import pytest

from spikewire.v1 import acquisition_service_pb2 as pb
from spikewire.v1 import spike_train_service_pb2 as trains_pb
from spikewire.wire.chunks import decode_spikes

ROUNDS = 50
RIGS = 3
WINDOW = 40


class Recorder:
    """A rig as the protocol wants it: keeps records until they are acknowledged, sends again."""

    def __init__(self, name, batch) -> None:
        self.name, self._batch = name, batch
        self.epoch = 1
        self.acknowledged = 3  # all below is
        self.made: dict[int, bytes] = {}
        self.error: BaseException | None = None
        self._verified, self._cursor = 1, b""
        self._moved = threading.Condition()
        self._over = False

    def request(self, sequence) -> bytes:
        """A message of some records from a sequence on, the same whenever it is asked for."""
        chance = np.random.default_rng([sequence, len(self.name)])
        count = int(chance.integers(1, 2_000))
        start = 30 * sequence + int(chance.integers(-300, 300))
        samples = np.sort(chance.integers(start, start + 600, count))
        chunk = self._batch(samples, chance.integers(0, 4, count))
        message = pb.AppendSpikesRequest(chunks=[chunk])
        self.made[sequence] = message.SerializeToString()
        return self.made[sequence] + pb.AppendSpikesRequest(sequence=sequence).SerializeToString()

    def run(self, rig) -> None:
        """Send until the stream breaks."""
        append = rig.channel.stream_stream("/spikewire.v1.AcquisitionService/AppendSpikes")
        self._over = False
        try:
            for ack in append(self._requests()):
                with self._moved:
                    self.acknowledged = pb.AppendSpikesResponse.FromString(ack).next_sequence
                    self._moved.notify()
        except grpc.RpcError as error:
            if error.code() is not grpc.StatusCode.UNAVAILABLE:
                self.error = error
        finally:
            with self._moved:
                self._over = True
                self._moved.notify()

    def _requests(self):
        yield pb.AppendSpikesRequest(name=self.name, epoch=self.epoch).SerializeToString()
        for sequence in itertools.count(self.acknowledged):
            with self._moved:
                while sequence >= self.acknowledged + WINDOW and not self._over:
                    self._moved.wait()
            if self._over:
                return
            yield self.request(sequence)

    def verify(self, rig) -> None:
        """Compare what the server has, behind what was compared before, with what was made."""
        there = rig.get(self.name).next_sequence
        assert self.acknowledged <= there
        request = pb.FollowSpikesRequest(name=self.name, cursor=self._cursor or None)
        follow = rig.channel.unary_stream("/spikewire.v1.AcquisitionService/FollowSpikes")
        call = follow(request.SerializeToString())
        while self._verified < there:
            data = next(call)
            message = pb.FollowSpikesResponse.FromString(data)
            assert message.sequence == self._verified
            self._verified += len(message.chunks) or 1
            made = [self.made[k] for k in range(message.sequence, self._verified) if k > 2]
            assert data.startswith(b"".join(made))
            self._cursor = message.cursor
        call.cancel()

    def expected(self, stop):
        """The spikes of the records below a sequence, in the sorting's order."""
        columns = [np.empty((0, 4), np.int64)]
        for sequence in range(3, stop):
            (chunk,) = pb.AppendSpikesRequest.FromString(self.made[sequence]).chunks
            samples, units = (np.empty(chunk.spike_count, np.int64) for _ in range(2))
            decode_spikes(chunk, samples, units, 4)
            positions = np.arange(len(samples))
            columns.append(
                np.stack([samples, np.full_like(samples, sequence), positions, units], axis=1)
            )
        rows = np.concatenate(columns)
        return rows[np.lexsort((rows[:, 2], rows[:, 1], rows[:, 0]))][:, [0, 3]]


def spikes_of(rig, name):
    found = [np.empty((0, 2), np.int64)]
    for message in rig.trains.StreamSpikes(trains_pb.StreamSpikesRequest(name=name)):
        for chunk in message.chunks:
            samples, units = (np.empty(chunk.spike_count, np.int64) for _ in range(2))
            decode_spikes(chunk, samples, units, 4)
            found.append(np.stack([samples, units], axis=1))
    return np.concatenate(found)


@pytest.mark.timeout(300)
def test_acknowledged_records_survive(forked, rig_at, batch):
    chance = random.Random(7)
    rig = rig_at(forked.address)
    recorders = [Recorder("rig" + "/x" * number, batch) for number in range(RIGS)]
    for recorder in recorders:
        rig.start(recorder.name)
    killed_while_recording = 0
    for _ in range(ROUNDS):
        before = [recorder.acknowledged for recorder in recorders]
        threads = [threading.Thread(target=each.run, args=(rig,)) for each in recorders]
        for thread in threads:
            thread.start()
        timer = threading.Timer(chance.uniform(0.01, 0.12), forked.kill)
        timer.start()
        for thread in [timer, *threads]:
            thread.join()
        for recorder in recorders:
            assert recorder.error is None
        killed_while_recording += [each.acknowledged for each in recorders] != before
        rig.channel.close()
        forked.start()
        rig = rig_at(forked.address)
        for recorder in recorders:
            recorder.verify(rig)
            if chance.random() < 0.1:
                recorder.epoch = rig.start(recorder.name, resume=True).epoch
    assert killed_while_recording > ROUNDS / 2

    for recorder in recorders:
        stop = rig.get(recorder.name).next_sequence
        expected = recorder.expected(stop)
        np.testing.assert_array_equal(spikes_of(rig, recorder.name), expected)
        sealed = rig.finish(recorder.name, recorder.epoch, stop)
        assert sealed.spike_count == len(expected)
        np.testing.assert_array_equal(spikes_of(rig, recorder.name), expected)


@pytest.mark.timeout(200)
def test_finishing_survives(forked, rig_at, batch):
    chance = random.Random(8)
    rig = rig_at(forked.address)
    for number in range(20):
        recorder = Recorder(f"finish/{number}", batch)
        rig.start(recorder.name)
        requests = [recorder.request(sequence) for sequence in range(3, 60)]
        rig.append(
            recorder.name, 1, [pb.AppendSpikesRequest.FromString(request) for request in requests]
        )
        threading.Timer(chance.uniform(0.0, 0.02), forked.kill).start()
        try:
            rig.finish(recorder.name, 1, 60)
        except grpc.RpcError as error:
            assert error.code() is grpc.StatusCode.UNAVAILABLE  # noqa: PT017
        rig.channel.close()
        forked.start()
        rig = rig_at(forked.address)
        sealed = rig.finish(recorder.name, 1, 60)
        assert sealed.revision.endswith(".59")
        np.testing.assert_array_equal(spikes_of(rig, recorder.name), recorder.expected(60))
