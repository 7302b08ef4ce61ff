"""Rigs with spools of their own, at servers that may be restarted, over networks that fail."""

from __future__ import annotations

import asyncio
import itertools
import os
import runpy
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import spikewire
from spikewire.remote import backoff, channel
from spikewire.remote import client as client_module
from spikewire.remote.live.following import SpikeBlock

NUMBERS = itertools.count()
RIG = Path(__file__).with_name("rig_process.py")


@pytest.fixture(scope="session")
def is_thorough() -> bool:
    """Whether failures last as long, and come as often, as they may: minutes."""
    return bool(os.environ.get("SPIKEWIRE_TEST_THOROUGH"))


@pytest.fixture
def connect_to() -> Iterator[Callable[[str], spikewire.Client]]:
    """Connect to an address; clients are closed with the test."""
    clients: list[spikewire.Client] = []

    def connect(address: str) -> spikewire.Client:
        clients.append(spikewire.connect(address))
        return clients[-1]

    yield connect
    for client in clients:
        client.close()


@pytest.fixture
def client(server: Any, connect_to: Callable[[str], spikewire.Client]) -> spikewire.Client:
    """A client of the server that tests share."""
    return connect_to(server.address)


@pytest.fixture
def name() -> str:
    """A name that no other test has."""
    return f"live/{next(NUMBERS)}"


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients take a silent server for lost after a second, not after half a minute."""
    options = dict(channel.OPTIONS) | {
        "grpc.keepalive_time_ms": 1_000,
        "grpc.keepalive_timeout_ms": 500,
        "grpc.http2.ping_timeout_ms": 500,
    }
    monkeypatch.setattr(channel, "OPTIONS", list(options.items()))
    connection = partial(channel.Connection, stall_seconds=1.0)
    monkeypatch.setattr(client_module, "Connection", connection)


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients try a lost server again within a tenth of a second, not within two."""
    monkeypatch.setattr(backoff, "_LONGEST_SECONDS", 0.1)
    options = dict(channel.OPTIONS) | {"grpc.max_reconnect_backoff_ms": 100}
    monkeypatch.setattr(channel, "OPTIONS", list(options.items()))


class Network:
    """What lies between clients and a server: it can be cut, swallow bytes, and heal."""

    def __init__(self, address: str) -> None:
        host, port = address.rsplit(":", 1)
        self.server = (host, int(port))
        self.refuses = False
        self.swallows = False
        self.swallowed = 0
        """How many bytes went nowhere since the network became a black hole."""
        self.ends: set[End] = set()
        self.links: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._listener: asyncio.Server = self._run(self._listen())
        self.address = f"127.0.0.1:{self._listener.sockets[0].getsockname()[1]}"

    def cut(self) -> None:
        """Reset all connections, and every new one."""
        self.refuses = True
        self._run(self._reset())

    def black_hole(self) -> None:
        """Swallow whatever is sent: neither side hears of it."""
        self.swallowed = 0
        self.swallows = True

    def heal(self) -> None:
        """Let new connections through; those of which bytes were swallowed stay dead."""
        self.refuses = self.swallows = False

    def close(self) -> None:
        self.cut()
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _listen(self) -> asyncio.Server:
        return await self._loop.create_server(lambda: End(self), "127.0.0.1", 0)

    async def _reset(self) -> None:
        await asyncio.gather(*self.links)
        for end in self.ends:
            end.transport.abort()
        while self.ends:
            await asyncio.sleep(0)

    async def _close(self) -> None:
        self._listener.close()
        await self._listener.wait_closed()


class End(asyncio.Protocol):
    """An end of a connection over a network: what comes here goes out at its other end."""

    transport: asyncio.Transport

    def __init__(self, network: Network, other: End | None = None) -> None:
        self._network = network
        self._other = other
        self._is_dead = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._network.ends.add(self)
        if self._other is not None:
            self._other._other = self
            self._other.transport.resume_reading()
        elif self._network.refuses:
            transport.abort()
        else:
            transport.pause_reading()
            link = asyncio.get_running_loop().create_task(self._link())
            self._network.links.add(link)
            link.add_done_callback(self._network.links.discard)

    def data_received(self, data: bytes) -> None:
        assert self._other is not None
        if self._network.swallows:
            self._is_dead = self._other._is_dead = True
        if self._is_dead:
            self._network.swallowed += len(data)
        else:
            self._other.transport.write(data)

    def connection_lost(self, error: Exception | None) -> None:
        self._network.ends.discard(self)
        if self._other is not None and not self._is_dead:
            self._other.transport.abort()

    async def _link(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.create_connection(lambda: End(self._network, self), *self._network.server)
        except OSError:  # the server is down
            self.transport.abort()


@pytest.fixture
def network_to() -> Iterator[Callable[[str], Network]]:
    """Put a network before a server: `network_to(address)`."""
    networks: list[Network] = []

    def before(address: str) -> Network:
        networks.append(Network(address))
        return networks[-1]

    yield before
    for network in networks:
        network.close()


class RigProcess:
    """A rig that is killed and started again, and which of its batches were taken."""

    batch: Callable[[int, int], tuple[np.ndarray, np.ndarray]] = staticmethod(
        runpy.run_path(str(RIG))["batch"]
    )

    def __init__(self, address: str, name: str, spool: Path) -> None:
        self._arguments = [address, name, str(spool)]
        self._process: subprocess.Popen[str] | None = None
        self.name = name
        self.taken: list[int] = []
        """Of each life, how many batches it said were taken; one more may be."""

    def start(self) -> None:
        """Start it, and wait until it records."""
        command = [sys.executable, str(RIG), *self._arguments, str(len(self.taken))]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self._appending = threading.Event()
        self._reader = threading.Thread(target=self._read)
        self.taken.append(0)
        self._reader.start()
        assert self._appending.wait(60), "the rig does not record"

    def _read(self) -> None:
        assert self._process
        assert self._process.stdout
        for _ in self._process.stdout:
            self.taken[-1] += 1
            self._appending.set()

    def kill(self) -> None:
        """kill -9, in the middle of anything."""
        assert self._process
        assert self._process.stdout
        self._process.kill()
        self._process.wait()
        self._reader.join()
        self._process.stdout.close()
        self._process = None

    def check(self, blocks: Iterable[SpikeBlock]) -> None:
        """Compare what a follower got with what was taken: each batch once, in order."""
        blocks = list(blocks)
        samples = np.concatenate([block.sample_index for block in blocks])
        labels = np.concatenate([block.unit_ids for block in blocks])
        life = samples >> 40
        for number, taken in enumerate(self.taken):
            batches = [self.batch(number, index) for index in range(taken + 1)]
            expected = [np.concatenate(column) for column in zip(*batches, strict=True)]
            here = life == number
            without_last = len(expected[0]) - len(batches[-1][0])
            assert here.sum() in (without_last, len(expected[0]))
            np.testing.assert_array_equal(samples[here], expected[0][: here.sum()])
            np.testing.assert_array_equal(labels[here], expected[1][: here.sum()])
        assert np.all(np.diff(life) >= 0)
        assert life[-1] < len(self.taken)

    def close(self) -> None:
        if self._process is not None:
            self.kill()


@pytest.fixture
def new_rig() -> Iterator[Callable[..., RigProcess]]:
    """Make rigs that end with the test: `new_rig(address, name, spool)`."""
    rigs: list[RigProcess] = []

    def make(address: str, name: str, spool: Path) -> RigProcess:
        rigs.append(RigProcess(address, name, spool))
        return rigs[-1]

    yield make
    for rig in rigs:
        rig.close()
