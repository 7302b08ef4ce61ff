"""What all tests share: the project's folder, real data, and servers as processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest

# How long an example takes tells how busy the machine is.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

TREE = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def tree() -> Path:
    """The project's folder."""
    return TREE


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real recordings."""
    folder = Path(os.environ.get("SPIKEWIRE_TEST_DATA", TREE / ".." / "shared" / "data")).resolve()
    if not folder.is_dir():
        pytest.skip(f"no real data: {folder} is absent; SPIKEWIRE_TEST_DATA names another folder")
    return folder


class ServerProcess:
    """A server that a test can stop, kill and start again, on one port, over one store."""

    def __init__(self, directory: Path, *roots: str | Path, flags: tuple[str, ...] = ()) -> None:
        self.store = directory / "store"
        self._log = directory / "server.log"
        # At the level debug every call has a line.
        logging = ("--log-level", "debug")
        self._arguments = [*map(str, roots), "--store", str(self.store), *logging, *flags]
        self._process: subprocess.Popen[str] | None = None
        self.port = 0

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process
        return self._process.pid

    @property
    def log(self) -> str:
        return self._log.read_text()

    def start(self) -> ServerProcess:
        command = [sys.executable, "-m", "spikewire_server", *self._arguments]
        with self._log.open("a") as log:
            self._process = subprocess.Popen(
                [*command, "--port", str(self.port)], stdout=subprocess.PIPE, stderr=log, text=True
            )
        assert self._process.stdout
        ready = self._process.stdout.readline()
        if "listening on" not in ready:
            self._end()
            pytest.fail(f"the server did not start:\n{self.log}")
        self.port = int(ready.rpartition(":")[2])
        return self

    def stop(self) -> int:
        """Ask it to stop; return its exit code."""
        assert self._process
        self._process.terminate()
        return self._end()

    def kill(self) -> None:
        """kill -9: nothing is flushed, nothing is said."""
        assert self._process
        self._process.kill()
        self._end()

    def restart(self) -> None:
        self.kill()
        self.start()

    def close(self) -> None:
        if self._process and self._process.poll() is None:
            self.kill()

    def _end(self) -> int:
        assert self._process
        assert self._process.stdout
        try:
            return self._process.wait(timeout=30)
        finally:
            self._process.stdout.close()


@pytest.fixture
def new_server(tmp_path: Path) -> Iterator[Callable[..., ServerProcess]]:
    """Start servers that end with the test: `new_server(*roots, flags=())`."""
    servers: list[ServerProcess] = []

    def start(*roots: str | Path, flags: tuple[str, ...] = ()) -> ServerProcess:
        directory = tmp_path / f"server{len(servers)}"
        directory.mkdir()
        servers.append(ServerProcess(directory, *roots, flags=flags))
        return servers[-1].start()

    yield start
    for server in servers:
        server.close()


@pytest.fixture(scope="session")
def server_class() -> type[ServerProcess]:
    """For fixtures of a wider scope than `new_server`."""
    return ServerProcess


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server without roots that many tests share: take names that are yours alone."""
    process = ServerProcess(tmp_path_factory.mktemp("shared_server")).start()
    yield process
    process.close()


# Loads what a server needs once, and forks a server for every line: 50 starts in the time of 5.
NURSERY = """
import os, sys
import spikewire_server.app
from spikewire_server.__main__ import main
for line in sys.stdin:
    child = os.fork()
    if not child:
        sys.argv[1:] = line.split("\\t")[:-1]
        main()
        os._exit(0)
    print(child, flush=True)
    os.waitpid(child, 0)
"""


class ForkedServer:
    """A server over one store that is killed and started again in a moment."""

    def __init__(self, folder: Path) -> None:
        self._store = folder / "store"
        self._port = 0
        self._log_path = folder / "server.log"
        self._log = self._log_path.open("w")
        self._nursery = subprocess.Popen(
            [sys.executable, "-c", NURSERY],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )
        self._pid = 0

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._port}"

    def start(self) -> None:
        arguments = ["--store", str(self._store), "--port", str(self._port), ""]
        assert self._nursery.stdin
        assert self._nursery.stdout
        self._nursery.stdin.write("\t".join(arguments) + "\n")
        self._nursery.stdin.flush()
        said = [self._nursery.stdout.readline() for _ in range(2)]
        pid, ready = sorted(said, key=lambda line: "listening on" in line)
        if "listening on" not in ready:
            pytest.fail(f"the server did not start: {said}\n{self._log_path.read_text()}")
        self._pid = int(pid)
        self._port = int(ready.rpartition(":")[2])

    def kill(self) -> None:
        pid, self._pid = self._pid, 0  # first: who is killed may be followed at once
        if pid:
            os.kill(pid, signal.SIGKILL)

    def close(self) -> None:
        assert self._nursery.stdin
        assert self._nursery.stdout
        self._nursery.stdin.close()
        self.kill()
        self._nursery.wait()
        self._nursery.stdout.close()
        self._log.close()


@pytest.fixture
def forked(tmp_path: Path) -> Iterator[ForkedServer]:
    """A server to be killed many times."""
    if not hasattr(os, "fork"):
        pytest.skip("servers are forked here")
    server = ForkedServer(tmp_path)
    try:
        server.start()
        yield server
    finally:
        server.close()
