"""What all tests share: the project's folder, real data, and servers as processes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

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
        self._arguments = [*map(str, roots), "--store", str(self.store), *flags]
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
