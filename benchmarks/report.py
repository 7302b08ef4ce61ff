"""What was measured, as a table for people and as JSON for programs."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.page import short

_PACKAGES = (
    *("spikewire", "numpy", "grpcio", "protobuf", "uvloop", "pyarrow", "spikeinterface"),
    *("numba", "tiled", "zarr", "fsspec", "aiohttp"),
)


@dataclass(frozen=True)
class Target:
    """A bound that a ratio must keep."""

    bound: float
    at_least: bool

    def __str__(self) -> str:
        return f"{'>=' if self.at_least else '<='} {self.bound:g}"

    def met_by(self, ratio: float) -> bool:
        return ratio >= self.bound if self.at_least else ratio <= self.bound


def at_least(bound: float) -> Target:
    return Target(bound, at_least=True)


def at_most(bound: float) -> Target:
    return Target(bound, at_least=False)


@dataclass(frozen=True)
class Row:
    """One comparison.

    Parameters
    ----------
    name : str
        What was measured, with its unit.
    ours, peer : float
        Medians; there may be no peer.
    peer_name : str
    ratio : float
        Ours to the peer's, or ours if there is no peer; what the target is about.
    target : str, optional
    met : bool, optional
    n : int
        How many rounds, or other observations, the medians are of.
    """

    name: str
    ours: float
    peer: float | None
    peer_name: str
    ratio: float
    target: str | None
    met: bool | None
    n: int


class Report:
    """The rows of a run; prints each as soon as it is known."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.notes: list[str] = []
        self._titled = False

    def section(self, title: str) -> None:
        """Begin a part of the run."""
        print(f"\n### {title}\n", flush=True)
        self._titled = False

    def note(self, text: str) -> None:
        """Say something that is no comparison, such as what was skipped, and keep it."""
        print(f"{text}\n", flush=True)
        self.notes.append(text)
        self._titled = False

    def add(
        self,
        name: str,
        ours: float,
        n: int,
        *,
        peer: float | None = None,
        peer_name: str = "",
        target: Target | None = None,
    ) -> None:
        """Add a comparison."""
        ratio = ours if peer is None else ours / peer
        met = None if target is None else target.met_by(ratio)
        row = Row(name, ours, peer, peer_name, ratio, target and str(target), met, n)
        self.rows.append(row)
        if not self._titled:
            print("| what | ours | peer | peer's | ratio | target | met | n |")
            print("|---|---|---|---|---|---|---|---|")
            self._titled = True
        cells = (
            *(name, short(ours), peer_name, "" if peer is None else short(peer)),
            *("" if peer is None else short(ratio), row.target or ""),
            *({None: "", True: "yes", False: "NO"}[met], n),
        )
        print("| " + " | ".join(map(str, cells)) + " |", flush=True)

    def write(
        self, folder: Path, name: str, command: str, packages: Sequence[str] = _PACKAGES
    ) -> None:
        """Write the rows, and beside them how they came about, with which packages."""
        folder.mkdir(parents=True, exist_ok=True)
        rows = [asdict(row) for row in self.rows]
        (folder / f"{name}.json").write_text(json.dumps(rows, indent=1) + "\n")
        run = {"command": command, **circumstances(packages), "notes": self.notes}
        (folder / f"{name}.run.json").write_text(json.dumps(run, indent=1) + "\n")


def circumstances(packages: Sequence[str]) -> dict[str, Any]:
    """Return the machine and the versions."""
    return {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "machine": {
            "cpu": _cpu(),
            "cores": os.cpu_count(),
            "memory_gib": round(_memory() / 2**30),
            "system": f"{platform.system()} {platform.release()}",
            "load": [round(load, 1) for load in os.getloadavg()],
        },
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in packages},
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _cpu() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor()


def _memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
