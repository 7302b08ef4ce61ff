"""What all tests share: the project's folder, real data, and servers as processes."""

from __future__ import annotations

import contextlib
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


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Start servers as processes, each on a free port; returns the address.

    They are stopped with SIGTERM after the test, and must end with status 0.
    """
    processes = contextlib.ExitStack()

    def start(*arguments: str | Path, command: tuple[str, ...] | None = None, **env: str) -> str:
        if command is None:
            command = (sys.executable, "-m", "spikewire_server", "--port", "0")
            if "--store" not in arguments:
                arguments = (*arguments, "--store", tmp_path / "server-store")
        process = subprocess.Popen(
            [*command, *map(str, arguments)],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **env},
        )
        processes.callback(_stop, process)
        assert process.stdout
        ready = process.stdout.readline()
        assert "listening on" in ready, "the server did not start; its log is on standard error"
        return ready.split()[-1]

    with processes:
        yield start


def _stop(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        status = process.wait(timeout=30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise
    finally:
        assert process.stdout
        process.stdout.close()
    assert status == 0
