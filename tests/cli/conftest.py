"""The `spikewire` command as a process, as a shell runs it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import spikewire

COMMAND = [sys.executable, "-m", "spikewire.cli"]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """What commands are run with: spools are the test's own, on every system."""
    folders = dict.fromkeys(("XDG_DATA_HOME", "LOCALAPPDATA", "HOME"), str(tmp_path / "home"))
    return {**os.environ, **folders}


@pytest.fixture
def run(environment: dict[str, str]) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the command to its end: `run(*words, stdin="", status=0)`."""

    def run(*words: object, stdin: str = "", status: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [*COMMAND, *map(str, words)],
            input=stdin,
            capture_output=True,
            text=True,
            encoding="utf-8",
            env=environment,
            check=False,
            timeout=60,
        )
        assert done.returncode == status, done.stderr
        assert "Traceback" not in done.stderr
        return done

    return run


@pytest.fixture
def start(environment: dict[str, str]) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start the command, with pipes for all streams: `start(*words)`; it ends with the test."""
    started: list[subprocess.Popen[str]] = []

    def start(*words: object) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [*COMMAND, *map(str, words)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env=environment,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def client(server: Any) -> Any:
    with spikewire.connect(server.address) as client:
        yield client


@pytest.fixture
def name(tmp_path: Path) -> str:
    """A name that no other test has."""
    return f"cli/{tmp_path.name}"


@pytest.fixture
def await_recording() -> Callable[[str], None]:
    """Wait until something is on disk of a recording that is about to begin, HOST:PORT/NAME."""

    def wait(target: str) -> None:
        host, _, name = target.partition("/")
        deadline = time.monotonic() + 60
        with spikewire.connect(host) as client:
            while time.monotonic() < deadline:
                try:
                    next(client.follow(name))
                except spikewire.errors.SortingNotFoundError:
                    time.sleep(0.05)
                else:
                    return
        pytest.fail(f"{target} was not recorded")

    return wait


@pytest.fixture
def interrupt() -> Callable[[subprocess.Popen[str]], str]:
    """Press Ctrl-C; return what is said then."""

    def interrupt(process: subprocess.Popen[str]) -> str:
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
        assert process.returncode == 130, said
        assert "Traceback" not in said
        assert said.count("\n") == 1
        return said

    return interrupt
