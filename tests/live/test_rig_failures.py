"""Rigs whose disks fill, whose names are taken over, and what their users are told."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from contextlib import closing

import numpy as np
import psutil
import pytest

from spikewire.core.errors import (
    RecordConflictError,
    SortingNotFoundError,
    SpoolFullError,
    WriterFencedError,
)
from spikewire.remote.live.records import Draft, Kind
from spikewire.remote.live.spool import Spool, SpoolReader

RATE = 30_000.0


def until(condition) -> None:
    while not condition():
        time.sleep(0.005)


def append_and_flush(writer, sample) -> None:
    writer.append([sample], [3])
    writer.flush(30)


def samples_of(client, name) -> list[int]:
    """The samples of a finished acquisition, as they arrived."""
    return [sample for block in client.follow(name) for sample in block.sample_index.tolist()]


def test_a_thousand_tiny_batches(client, name, spool) -> None:
    with client.acquire(name, RATE, [3], spool=spool) as writer:
        for number in range(1_000):
            writer.append([number], [3])
    assert samples_of(client, name) == list(range(1_000))


def test_an_end_is_no_loss(client, name, spool, caplog) -> None:
    with client.acquire(name, RATE, [3], spool=spool) as writer:
        append_and_flush(writer, 1)
    stats = writer.stats
    assert (stats.is_connected, stats.last_error, stats.reconnects) == (True, "", 0)
    assert caplog.text == ""


RIG = """
import sys, spikewire
client = spikewire.connect(sys.argv[1])
writer = client.acquire(sys.argv[2], 30_000.0, [3], spool=sys.argv[3])
for number in range(1_000):
    writer.append([number], [3])
"""


def test_a_program_may_end_without_a_word(server, client, name, spool) -> None:
    command = [sys.executable, "-c", RIG, server.address, name, str(spool)]
    assert subprocess.run(command, timeout=60).returncode == 0
    with client.acquire(name, RATE, [3], spool=spool):
        pass
    assert samples_of(client, name) == list(range(1_000))


# -- two writers -------------------------------------------------------------------------


def test_a_fenced_writer_keeps_what_it_had_not_sent(
    server, network_to, connect_to, client, name, spool, tmp_path
) -> None:
    network = network_to(server.address)
    reports = []
    first = connect_to(network.address).acquire(
        name, RATE, [3], spool=spool, on_progress=reports.append
    )
    append_and_flush(first, 1)
    network.cut()
    first.append([2, 3], [3, 3])
    second = client.acquire(name, spool=tmp_path / "second", resume=True)
    second.append([4], [3])
    second.flush(30)
    network.heal()
    for call in (lambda: first.flush(30), lambda: first.append([5], [3]), first.finish):
        with pytest.raises(WriterFencedError, match="took over") as caught:
            call()
        (note,) = caught.value.__notes__
        assert "2 spikes" in note
        assert str(first.spool_folder) in note
    first.close()
    assert "took over" in reports[-1].last_error
    assert spooled(first.spool_folder) == 2

    # Its records and those of the other writer have the same numbers.
    with pytest.raises(RecordConflictError, match="move it away"):
        client.acquire(name, spool=spool, resume=True)
    assert spooled(first.spool_folder) == 2
    first.spool_folder.rename(tmp_path / "away")
    second.close()
    with client.acquire(name, spool=spool, resume=True) as third:
        third.append([5], [3])
    assert samples_of(client, name) == [1, 4, 5]


def test_a_fenced_writer_goes_on_if_the_other_wrote_nothing(
    server, network_to, connect_to, client, name, spool, tmp_path
) -> None:
    network = network_to(server.address)
    first = connect_to(network.address).acquire(name, RATE, [3], spool=spool)
    network.cut()
    first.append([1], [3])
    client.acquire(name, spool=tmp_path / "second", resume=True).close()
    network.heal()
    with pytest.raises(WriterFencedError):
        first.flush(30)
    first.close()
    with client.acquire(name, spool=spool, resume=True) as again:
        again.append([2], [3])
    assert samples_of(client, name) == [1, 2]


def spooled(folder) -> int:
    """How many spikes a spool has, but for the one that was acknowledged first."""
    spool = Spool(folder, 1 << 20)
    reader = SpoolReader(spool)
    count = sum(record.spike_count for record in reader.read(1 << 20)) - 1
    reader.close()
    spool.close()
    return count


# -- full disks --------------------------------------------------------------------------


def test_a_full_server_disk_is_told_and_waited_out(
    new_server, connect_to, name, spool, caplog
) -> None:
    resource = pytest.importorskip("resource")
    if not hasattr(resource, "prlimit"):
        pytest.skip("only Linux can limit another process's files")
    server = new_server()
    client = connect_to(server.address)
    reports = []
    writer = client.acquire(name, RATE, [3], spool=spool, on_progress=reports.append)
    batch = np.arange(2_000)
    writer.append(batch, np.full(2_000, 3))
    writer.flush(30)

    _, hard = resource.prlimit(server.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (50_000, hard))
    for _ in range(100):
        writer.append(batch, np.full(2_000, 3))
    until(lambda: any("cannot be written" in report.last_error for report in reports))
    assert "cannot be written" in writer.stats.last_error
    assert f"the writer of {name!r} lost its server" in caplog.text
    assert "cannot be written" in caplog.text
    writer.append(batch, np.full(2_000, 3))  # into the spool
    acknowledged = writer.stats.acknowledged
    assert acknowledged <= client.open(name).count_total_num_spikes() < 102 * 2_000

    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, hard))
    sealed = writer.finish(60)
    assert sealed.count_total_num_spikes() == 102 * 2_000
    assert samples_of(client, name) == batch.tolist() * 102


def test_a_full_spool_takes_nothing_until_there_is_room(
    server, network_to, connect_to, client, name, spool
) -> None:
    network = network_to(server.address)
    writer = connect_to(network.address).acquire(
        name, RATE, [3], spool=spool, max_spool_bytes=100_000
    )
    taken = []

    def fill() -> None:
        """Append single spikes until there is no room for one more."""
        for number in range(100_000):
            writer.append([number], [3])
            taken.append(number)

    for _ in range(3):
        network.cut()
        with pytest.raises(SpoolFullError, match="100,000 is its limit"):
            fill()
        before = writer.stats
        with pytest.raises(SpoolFullError):
            writer.append(np.arange(600_000), np.full(600_000, 3))  # of several records
        with pytest.raises(SpoolFullError):
            writer.add_units([5])
        with pytest.raises(SpoolFullError):
            writer.start_segment()
        assert writer.stats.appended == before.appended
        assert (writer.unit_ids.tolist(), writer.segment_count) == ([3], 1)
        network.heal()
        writer.flush(60)
    writer.append([0], [3])
    writer.finish(60)
    assert samples_of(client, name) == [*taken, 0]


# -- followers, clocks, deletion ---------------------------------------------------------


def test_a_follower_that_stops_reading_holds_up_nobody(new_server, connect_to, name, spool) -> None:
    server = new_server()
    client = connect_to(server.address)
    writer = client.acquire(name, RATE, [3, 5], spool=spool)
    chance = np.random.default_rng(0)
    samples = np.sort(chance.integers(0, 1 << 40, 20_000))  # 5 bytes a spike and more
    labels = chance.choice([3, 5], 20_000)
    writer.append(samples, labels)
    idle = [client.follow(name) for _ in range(20)]
    for follower in idle:
        next(follower)
    process = psutil.Process(server.pid)
    writer.flush(60)
    before = process.memory_info().rss
    for _ in range(200):  # 35 MB, which were 700 MB if kept for each of them
        writer.append(samples, labels)
    writer.flush(60)
    assert process.memory_info().rss - before < 150 << 20
    writer.finish(60)
    assert sum(len(block) for block in idle[0]) == 200 * 20_000
    for follower in idle:
        follower.close()


BACKWARDS = """
import itertools, time
began, calls = time.time_ns(), itertools.count()
time.time_ns = lambda: began - next(calls) * 10**9
time.time = lambda: time.time_ns() / 1e9
"""


def test_a_server_whose_clock_runs_backwards(
    new_server, connect_to, name, spool, tmp_path, monkeypatch
) -> None:
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(BACKWARDS)
    path = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))
    monkeypatch.setenv("PYTHONPATH", path)
    server = new_server()
    client = connect_to(server.address)
    with client.acquire(name, RATE, [3], spool=spool) as writer:
        for number in range(50):
            writer.append([number], [3])
            writer.flush(30)
            if number == 25:
                server.restart()
        live = client.open(name)
        assert live.get_unit_spike_train(3).tolist() == list(range(50))
        first = next(client.follow(name))
        assert first.latency > 10, "the clock did run backwards"
        append_and_flush(writer, 50)
    (last,) = client.follow(name, start=first.cursor)
    assert (len(first), last.sample_index.tolist()) == (50, [50])
    assert samples_of(client, name) == list(range(51))
    server.restart()
    assert client.open(name).get_unit_spike_train(3).tolist() == list(range(51))


def test_who_records_what_was_deleted_is_told(client, name, spool) -> None:
    writer = client.acquire(name, RATE, [3], spool=spool)
    writer.append([1], [3])
    writer.flush(30)
    client.delete(name)
    with pytest.raises(SortingNotFoundError):
        append_and_flush(writer, 2)
    with pytest.raises(SortingNotFoundError):
        writer.append([3], [3])
    writer.close()
    with client.acquire(name, RATE, [3], spool=spool) as writer:
        writer.append([4], [3])
    assert samples_of(client, name) == [4]


def test_spools_left_behind_go_when_the_server_has_what_is_in_them(
    client, new_server, connect_to, name, spool, tmp_path, caplog
) -> None:
    def left(name, client=client):
        """Leave a spool with a record, as a rig that is never started again."""
        writer = client.acquire(name, RATE, [3], spool=spool)
        append_and_flush(writer, 1)
        writer.close()
        return writer.spool_folder

    def finish_elsewhere(name) -> None:
        client.acquire(name, resume=True, spool=tmp_path / "another machine").finish()

    finished, unsent, deleted, recorded = (left(f"{name}/{letter}") for letter in "abcd")
    elsewhere = left(f"{name}/a", connect_to(new_server().address))
    with closing(Spool(unsent, 1 << 20)) as more:
        more.append([Draft(Kind.SYNC, b"")])
    finish_elsewhere(f"{name}/a")
    finish_elsewhere(f"{name}/b")
    client.delete(f"{name}/c")
    with closing(Spool(finished, 1 << 20)):
        client.acquire(f"{name}/other", RATE, [3], spool=spool).close()
    assert finished.is_dir(), "it is in use"
    client.acquire(f"{name}/another", RATE, [3], spool=spool).close()
    assert not finished.exists()
    assert all(folder.is_dir() for folder in (unsent, deleted, recorded, elsewhere))
    assert str(unsent) in caplog.text
    with client.acquire(f"{name}/d", RATE, [3], spool=spool):
        pass
    assert samples_of(client, f"{name}/d") == [1]


def test_writers_of_many_threads_lose_nothing(client, name, spool) -> None:
    writer = client.acquire(name, RATE, [3], spool=spool)

    def record(first: int) -> None:
        for sample in range(first, first + 200):
            writer.append([sample], [3])

    threads = [threading.Thread(target=record, args=(1_000 * k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writer.finish(60)
    samples = samples_of(client, name)
    for k in range(4):
        own = [sample for sample in samples if sample // 1_000 == k]
        assert own == list(range(1_000 * k, 1_000 * k + 200))
