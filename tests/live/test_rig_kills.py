"""kill -9 of servers and rigs at random instants: what append took arrives, once, in order."""

from __future__ import annotations

import random
import threading
import time

import numpy as np
import pytest

from spikewire.core.errors import SpikewireError

RATE = 30_000.0
UNITS = [3, 5, 8]


class Recorder(threading.Thread):
    """A rig in this process, and what it appended."""

    def __init__(self, writer, seed: int) -> None:
        super().__init__()
        self.writer = writer
        self.error: Exception | None = None
        self._chance = np.random.default_rng(seed)
        self._ended = threading.Event()
        self._taken: list[tuple[np.ndarray, np.ndarray]] = []

    def run(self) -> None:
        first = 0
        while not self._ended.wait(0.002):
            count = int(self._chance.integers(1, 800))
            samples = np.sort(self._chance.integers(first, first + 500, count))
            labels = self._chance.choice(UNITS, count)
            try:
                self.writer.append(samples, labels)
            except SpikewireError as error:
                self.error = error
                return
            self._taken.append((samples, labels))
            first += 400  # batches overlap

    def wait_for_more_than(self, spike_count: int) -> None:
        """Wait until the server has acknowledged more spikes."""
        while self.writer.stats.acknowledged <= spike_count and self.is_alive():
            time.sleep(0.001)

    def end(self) -> None:
        self._ended.set()
        self.join()

    def check(self, blocks) -> None:
        """Compare what a follower got with what was appended."""
        blocks = list(blocks)
        samples, labels = (np.concatenate(column) for column in zip(*self._taken, strict=True))
        np.testing.assert_array_equal(np.concatenate([b.sample_index for b in blocks]), samples)
        np.testing.assert_array_equal(np.concatenate([b.unit_ids for b in blocks]), labels)


@pytest.mark.timeout(300)
@pytest.mark.usefixtures("eager")
def test_killed_servers_lose_nothing(forked, connect_to, name, spool, is_thorough) -> None:
    rounds = 50 if is_thorough else 15
    chance = random.Random(1)
    client = connect_to(forked.address)
    recorders = [
        Recorder(client.acquire(f"{name}/{number}", RATE, UNITS, spool=spool), number)
        for number in range(2)
    ]
    for recorder in recorders:
        recorder.start()
    acknowledged = [0, 0]
    for _ in range(rounds):
        for recorder, before in zip(recorders, acknowledged, strict=True):
            recorder.wait_for_more_than(before)
        time.sleep(chance.uniform(0.0, 0.1))
        forked.kill()
        acknowledged = [recorder.writer.stats.acknowledged for recorder in recorders]
        forked.start()
        for recorder, count in zip(recorders, acknowledged, strict=True):
            sorting = client.open(recorder.writer.name)
            assert sorting.count_total_num_spikes() >= count
    for recorder in recorders:
        recorder.end()
        assert recorder.error is None
        sealed = recorder.writer.finish(60)
        stats = recorder.writer.stats
        assert stats.acknowledged == stats.appended == sealed.count_total_num_spikes()
        recorder.check(client.follow(recorder.writer.name))
    assert list(spool.iterdir()) == []


@pytest.mark.timeout(600)
def test_killed_rigs_go_on(forked, connect_to, new_rig, name, spool, is_thorough) -> None:
    chance = random.Random(2)
    rig = new_rig(forked.address, name, spool)
    rig.start()
    for number in range(50 if is_thorough else 8):
        time.sleep(chance.uniform(0.0, 0.3))
        server_dies = number % 2
        if server_dies:
            forked.kill()
            time.sleep(chance.uniform(0.0, 0.1))  # what is taken now is in the spool alone
        rig.kill()
        if number % 4 >= 2:
            tear(spool, chance)
        if server_dies:
            forked.start()
        rig.start()
    rig.kill()
    client = connect_to(forked.address)
    with client.acquire(name, spool=spool, resume=True) as writer:
        assert writer.unit_ids.tolist() == UNITS
    rig.check(client.follow(name))


def tear(spool, chance) -> None:
    """Leave the beginning of a record's header, as who dies in the middle of a write."""
    (folder,) = spool.iterdir()
    files = sorted(folder.glob("*.spool"))
    data = files[-1].read_bytes()
    with files[-1].open("ab") as file:
        file.write(data[: chance.randint(1, 39)])


@pytest.mark.usefixtures("eager")
def test_finishing_goes_on_with_the_next_server(
    forked, connect_to, name, spool, is_thorough
) -> None:
    chance = random.Random(3)
    client = connect_to(forked.address)
    for number in range(50 if is_thorough else 6):
        writer = client.acquire(f"{name}/{number}", RATE, UNITS, spool=spool)
        for sample in range(300):
            writer.append([sample], [3])
        sealed = []
        thread = threading.Thread(target=lambda w=writer, s=sealed: s.append(w.finish(60)))
        thread.start()
        time.sleep(chance.uniform(0.0, 0.05))
        forked.kill()
        forked.start()
        thread.join()
        assert sealed[0].get_unit_spike_train(3).tolist() == list(range(300))
        assert sealed[0].revision == client.open(writer.name).revision
    assert list(spool.iterdir()) == []


def test_a_follower_gets_everything_once_across_restarts(forked, connect_to, name, spool) -> None:
    client = connect_to(forked.address)
    writer = client.acquire(name, RATE, UNITS, spool=spool)
    followers = {
        "all": client.follow(name),
        "one unit": client.follow(name, unit_ids=[5]),
    }
    got: dict[str, list] = {key: [] for key in followers}

    def follow(key) -> None:
        for block in followers[key]:
            got[key] += zip(block.sample_index.tolist(), block.unit_ids.tolist(), strict=True)

    threads = [threading.Thread(target=follow, args=(key,)) for key in followers]
    for thread in threads:
        thread.start()
    for restart in range(4):
        for number in range(restart * 50, restart * 50 + 50):
            writer.append([number, number], [UNITS[number % 3], 5])
        if restart % 2:
            writer.flush(30)
        forked.kill()
        forked.start()
    writer.finish(60)
    for thread in threads:
        thread.join()
    expected = [(n, unit) for n in range(200) for unit in (UNITS[n % 3], 5)]
    assert got["all"] == expected
    assert got["one unit"] == [(n, unit) for n, unit in expected if unit == 5]

    # A cursor goes on behind its block, whatever server it came from.
    first = next(client.follow(name, unit_ids=[5]))
    forked.kill()
    forked.start()
    rest = client.follow(name, start=first.cursor, unit_ids=[5])
    samples = first.sample_index.tolist()
    for block in rest:
        samples += block.sample_index.tolist()
    assert samples == [n for n, _ in got["one unit"]]
