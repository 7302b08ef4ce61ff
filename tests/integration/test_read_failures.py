"""Reads from a real server when its files change or break, its disk is full, or many read."""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import spikewire
from spikewire import NumpySorting
from spikewire.core.errors import ContentChangedError, FormatError
from spikewire.remote import channel
from spikewire.remote.channel import Connection
from spikewire.remote.spike_collector import SpikeCollector

MIB = 1 << 20
UNITS = 60


def recording(spikes=1_500_000):
    rng = np.random.default_rng(0)
    samples = np.cumsum(rng.integers(0, 200, spikes))
    labels = rng.integers(0, UNITS, spikes)
    return NumpySorting.from_samples_and_labels(
        [samples], [labels], 30_000.0, unit_ids=np.arange(UNITS)
    )


@pytest.fixture(scope="module")
def local():
    return recording()


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "root"
    folder.mkdir()
    return folder


def write(sorting, folder, age):
    """Save a sorting; files younger than 2 s are served, but not indexed."""
    sorting.save(folder=folder)
    then = time.time() - age
    for path in folder.rglob("*"):
        os.utime(path, (then, then))


SETTLED, YOUNG = 3600, -3600


@pytest.fixture
def little_is_on_its_way(monkeypatch):
    """Let a server get 64 KiB ahead of its reader, and not, as is usual, some MiB."""
    monkeypatch.setattr(channel, "OPTIONS", [*channel.OPTIONS, ("grpc.http2.bdp_probe", 0)])


def wait_until(is_so, what, seconds=60):
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def wait_for_index(server):
    wait_until(lambda: [*server.store.glob("index/*/index.json")], "the index was not built")


def same(remote, local):
    for column, expected in zip(remote.to_spike_columns(0), local.to_spike_columns(0), strict=True):
        np.testing.assert_array_equal(column, expected)


# -- files that change -----------------------------------------------------------------------------


def replace(spikes: Path):
    aside = spikes.with_name("new.npy")
    np.save(aside, np.load(spikes)[::-1])
    aside.replace(spikes)


def overwrite(spikes: Path):
    with spikes.open("r+b") as file:
        file.seek(spikes.stat().st_size // 2)
        file.write(bytes(MIB))


def truncate(spikes: Path):
    os.truncate(spikes, spikes.stat().st_size // 2)


def remove(spikes: Path):
    spikes.unlink()


@pytest.mark.parametrize("age", [SETTLED, YOUNG], ids=["indexed", "from the files"])
@pytest.mark.parametrize("change", [replace, overwrite, truncate, remove])
def test_a_root_that_changes_under_a_stream_ends_it(
    new_server, root, local, little_is_on_its_way, monkeypatch, change, age
):
    write(local, root / "a", age)
    server = new_server(f"lab={root}")
    with spikewire.connect(server.address) as client:
        if age == SETTLED:
            same(client.open("lab/a"), local)
            wait_for_index(server)
        sorting = client.open("lab/a")
        take, taken = SpikeCollector.take, []

        def take_and_change(self, record):
            take(self, record)
            taken.append(record)
            if len(taken) == 2:
                change(root / "a" / "spikes.npy")

        monkeypatch.setattr(SpikeCollector, "take", take_and_change)
        with pytest.raises(ContentChangedError, match="lab/a"):
            sorting.to_spike_columns(0)
        assert len(taken) >= 2
        # What there is now may not even be a sorting.
        with pytest.raises((ContentChangedError, FormatError), match="lab/a"):
            sorting.get_unit_spike_train(1)
        assert "call failed" not in server.log


# -- the index -------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", ["spikes", "trains", "packed", "chunks", "packs", "counts"])
def test_a_damaged_index_is_rebuilt(new_server, local, part):
    server = new_server()
    with spikewire.connect(server.address) as client:
        client.upload(local, "a").count_total_num_spikes()
        client.open("a").get_unit_spike_train(1)
        wait_for_index(server)
        server.stop()
        (path,) = server.store.glob(f"index/*/segment0.{part}")
        sound = path.read_bytes()
        path.write_bytes(sound[:-20] + bytes([sound[-20] ^ 1]) + sound[-19:])
        server.start()
        same(client.open("a"), local)
        sorting = client.open("a")
        for unit, train in sorting.get_unit_spike_trains().items():
            np.testing.assert_array_equal(train, local.get_unit_spike_train(unit))
            window = sorting.get_unit_spike_train(unit, start_frame=1, use_cache=False)
            np.testing.assert_array_equal(window, local.get_unit_spike_train(unit, start_frame=1))
        assert server.log.count("index damaged") == 1
        wait_until(
            lambda: (
                [path.read_bytes() for path in server.store.glob(f"index/*/segment0.{part}")]
                == [sound]
            ),
            "the index was not built anew",
        )
        server.restart()
        same(client.open("a"), local)
        assert server.log.count("index damaged") == 1


def test_a_disk_that_is_full_while_indexing_costs_the_index_alone(new_server, root, local):
    resource = pytest.importorskip("resource")
    if not hasattr(resource, "prlimit"):
        pytest.skip("only Linux can limit another process's files")
    for name in ("a", "b"):
        write(local, root / name, SETTLED)
    server = new_server(f"lab={root}")
    # Beyond this length writing to a file fails as on a full disk.
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (MIB, resource.RLIM_INFINITY))
    with spikewire.connect(server.address, cache_bytes=0) as client:
        for name in ("lab/a", "lab/b", "lab/a"):
            same(client.open(name), local)
            np.testing.assert_array_equal(
                client.open(name).get_unit_spike_train(7), local.get_unit_spike_train(7)
            )
        wait_until(lambda: "not indexed" in server.log, "nothing was said of the full disk")
        same(client.open("lab/b"), local)
        assert server.log.count("not indexed") == 1
        assert not [path for path in server.store.glob("index/*") if path.name[0] != "."]
        resource.prlimit(
            server.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        )
        same(client.open("lab/a"), local)
        wait_for_index(server)
        same(client.open("lab/a"), local)


# -- many readers ----------------------------------------------------------------------------------


def anonymous_bytes(server):
    """Memory of a server that is not a file's."""
    status = Path(f"/proc/{server.pid}/status").read_text()
    return int(status.partition("RssAnon:")[2].split()[0]) * 1024


class HighWater:
    """The most anonymous memory of a server while a block runs."""

    def __init__(self, server) -> None:
        if not Path("/proc/self/status").exists():
            pytest.skip("only Linux says how much memory another process has")
        self._server = server
        self._done = threading.Event()
        self.most = 0

    def _watch(self):
        while not self._done.wait(0.01):
            self.most = max(self.most, anonymous_bytes(self._server))

    def __enter__(self):
        self.before = anonymous_bytes(self._server)
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._done.set()
        self._thread.join()


@pytest.mark.parametrize("age", [SETTLED, YOUNG], ids=["indexed", "from the files"])
def test_64_readers_fit_into_300_mb(new_server, root, tmp_path, age):
    local = recording(4_000_000)
    samples, units = local.to_spike_columns(0)
    expected = (len(samples), np.bitwise_xor.reduce(samples), np.bincount(units).tolist())
    write(local, root / "a", age)
    config = tmp_path / "settings.toml"
    config.write_text(f"memory_bytes = {64 * MIB}\n")
    server = new_server(f"lab={root}", flags=("--config", str(config)))

    def read(_):
        count, parity, counts = 0, 0, np.zeros(UNITS, np.int64)
        for some_samples, some_units in sorting.segments[0].iter_spike_columns():
            count += len(some_samples)
            parity ^= np.bitwise_xor.reduce(some_samples)
            counts += np.bincount(some_units, minlength=UNITS)
        return count, parity, counts.tolist()

    with spikewire.connect(server.address, progress=False) as client:
        sorting = client.open("lab/a")
        if age == SETTLED:
            assert read(0) == expected
            wait_for_index(server)
        with HighWater(server) as memory, ThreadPoolExecutor(64) as threads:
            # 64 times 8 MB go out, of a file of 96 MB.
            assert all(answer == expected for answer in threads.map(read, range(64)))
    assert memory.most - memory.before < 300 * MIB


# -- one client, many threads and processes --------------------------------------------------------


def test_threads_of_one_client_fetch_every_unit_once(new_server, local, monkeypatch):
    server = new_server()
    fetched, lock = [], threading.Lock()
    perform, receive = Connection._perform, Connection.receive

    def note(step):
        selection = getattr(step, "unit", None) or getattr(step, "units", None)
        if selection is not None:
            with lock:
                fetched.extend(selection.unit_indices.values)

    def noted_perform(self, step):
        note(getattr(step, "request", None))
        return perform(self, step)

    def noted_receive(self, rpc, request):
        note(request)
        return receive(self, rpc, request)

    with spikewire.connect(server.address) as client:
        client.upload(local, "a")
        monkeypatch.setattr(Connection, "_perform", noted_perform)
        monkeypatch.setattr(Connection, "receive", noted_receive)
        sortings = [client.open("a") for _ in range(4)]

        def read(number):
            trains = {}
            for unit in np.random.default_rng(number).permutation(UNITS).tolist():
                trains[unit] = sortings[number % 4].get_unit_spike_train(unit)
            return trains

        with ThreadPoolExecutor(16) as threads:
            for trains in threads.map(read, range(16)):
                for unit, train in trains.items():
                    np.testing.assert_array_equal(train, local.get_unit_spike_train(unit))
    # A train of more than one chunk takes a second call for its rest; these are shorter.
    assert sorted(fetched) == list(range(UNITS))


def test_a_child_after_fork_reads_over_a_channel_of_its_own(new_server, local):
    if not hasattr(os, "fork"):
        pytest.skip("there is no fork here")
    server = new_server()
    with spikewire.connect(server.address) as client:
        sorting = client.upload(local, "a")
        same(sorting, local)
        own = client._connection._live.channel
        child = os.fork()
        if child == 0:
            # Whatever happens, this process must not go on as a second pytest.
            try:
                same(sorting, local)
                trains = sorting.get_unit_spike_trains([3, 4])
                np.testing.assert_array_equal(trains[4], local.get_unit_spike_train(4))
                os._exit(0 if client._connection._live.channel is not own else 2)
            finally:
                os._exit(1)
        deadline = time.monotonic() + 60
        while (done := os.waitpid(child, os.WNOHANG)) == (0, 0):
            if time.monotonic() > deadline:
                os.kill(child, 9)
            time.sleep(0.02)
        assert os.waitstatus_to_exitcode(done[1]) == 0
        assert client._connection._live.channel is own
        same(client.open("a"), local)
