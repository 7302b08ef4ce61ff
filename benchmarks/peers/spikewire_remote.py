"""spikewire: its server over a folder of sortings, and how to wait until it is at its best."""

from __future__ import annotations

import json
import time
from pathlib import Path

import spikewire
from benchmarks.processes import Server
from spikewire.wire.chunks import MAX_CHUNK_SPIKES

_SETTLING_SECONDS = 120.0


def server(
    root: Path,
    store: Path,
    host: str = "127.0.0.1",
    within: tuple[str, ...] = (),
    flags: tuple[str, ...] = (),
) -> Server:
    """Return a server of the folders below `root`, which are named bench/FOLDER."""
    arguments = ("--store", store, "--host", host, "--port", "0", "--log-level", "warning")
    beyond = () if host == "127.0.0.1" else ("--insecure",)
    return Server("spikewire_server", f"bench={root}", *arguments, *beyond, *flags, within=within)


def name_of(folder: Path) -> str:
    """Return the name that the server gives to a folder."""
    return f"bench/{folder.name}"


class Newcomers:
    """Clients that have just started, one after the other: nothing is cached.

    Parameters
    ----------
    address : str
        The server's.
    name : str
        The sorting that they want.
    """

    def __init__(self, address: str, name: str) -> None:
        self._address = address
        self._name = name
        self._client: spikewire.Client | None = None

    def connect(self) -> spikewire.Client:
        """Return a new client; the one before leaves."""
        self.close()
        self._client = spikewire.connect(self._address, progress=False)
        return self._client

    def open(self) -> spikewire.RemoteSorting:
        """Return the sorting, opened by a new client."""
        return self.connect().open(self._name)

    def close(self) -> None:
        if self._client is not None:
            self._client.close()


def wait_for_index(client: spikewire.Client, name: str, store: Path, spikes: int) -> None:
    """Ask for a sorting until it is indexed; what fits one chunk never is.

    Raises
    ------
    TimeoutError
        It takes unreasonably long.
    """
    limit = time.monotonic() + _SETTLING_SECONDS + spikes / 1e6
    while spikes > MAX_CHUNK_SPIKES:
        sorting = client.open(name)
        if sorting.revision in _indexed(store):
            return
        if time.monotonic() > limit:
            raise TimeoutError(f"no index of {name} was built")
        sorting.to_spike_columns(0, 0, 1)
        time.sleep(0.2)


def _indexed(store: Path) -> set[str]:
    """Return the revisions of which there is an index."""
    return {json.loads(path.read_text())["revision"] for path in store.rglob("index.json")}
