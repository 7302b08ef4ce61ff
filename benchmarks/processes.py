"""Servers as processes of their own, and what memory a process takes."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self


class Server:
    """A program that prints where it listens as the last word of its first line.

    Parameters
    ----------
    module : str
        The module to run.
    arguments : str or Path
    within : sequence of str
        A command to run it by, such as ``ip netns exec NAME``.
    """

    def __init__(self, module: str, *arguments: str | Path, within: tuple[str, ...] = ()) -> None:
        self._command = [*within, sys.executable, "-m", module, *map(str, arguments)]

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert self._process.stdout
        assert self._process.stderr
        words = self._process.stdout.readline().split()
        if not words:
            raise RuntimeError(f"{self._command} did not start: {self._process.stderr.read()}")
        self.address = words[-1]
        # Read to the end, lest a server that logs much is stopped by a full pipe.
        threading.Thread(target=self._process.stderr.read, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.terminate()
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    @property
    def pid(self) -> int:
        return self._process.pid


class Memory(NamedTuple):
    """Memory of a process in bytes."""

    resident: int
    """All that is in memory, the pages of mapped files included."""
    own: int
    """Without mapped files, whose pages the system takes back when it needs them."""


def memory_of(pid: int) -> Memory:
    """Return what memory a process takes now (Linux)."""
    fields = {}
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if value.endswith(" kB"):
            fields[name] = int(value.split()[0]) * 1024
    return Memory(fields["VmRSS"], fields["RssAnon"] + fields["RssShmem"])


class MemoryWatch:
    """Looks, while its block runs, how much more memory a process takes than before."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Self:
        self._idle = self._peak = memory_of(self._pid)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    @property
    def growth(self) -> Memory:
        """The most that the process took, less what it took before."""
        return Memory(*(top - idle for top, idle in zip(self._peak, self._idle, strict=True)))

    def _look(self) -> None:
        while not self._over.wait(0.005):
            self._peak = Memory(*map(max, self._peak, memory_of(self._pid)))
