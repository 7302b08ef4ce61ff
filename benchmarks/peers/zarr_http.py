"""Zarr (format 2, its default Blosc) over HTTP, the chunks fetched concurrently by fsspec."""

from __future__ import annotations

import socket
import tempfile
from pathlib import Path

import numpy as np
import zarr
from aiohttp import web

from benchmarks.data import Int64Array, read_columns
from benchmarks.peers.serving import arguments, ready

CHUNK = 1 << 18
"""Spikes of a chunk, as many as one of ours has."""


class ZarrClient:
    """Reads the two arrays of a group."""

    def __init__(self, address: str) -> None:
        self._group = zarr.open_consolidated(f"http://{address}/spikes", mode="r")

    def vector(self) -> tuple[Int64Array, Int64Array]:
        """Read both arrays whole."""
        return self._group["samples"][:], self._group["units"][:].astype(np.int64)


def main() -> None:
    options = arguments()
    with tempfile.TemporaryDirectory(prefix="spikewire-bench-zarr-") as name:
        group = zarr.open_group(str(Path(name) / "spikes"), mode="w")
        samples, units = read_columns(options.folder)
        group.create_dataset("samples", data=samples, chunks=CHUNK)
        group.create_dataset("units", data=units, chunks=CHUNK)
        zarr.consolidate_metadata(group.store)
        del samples, units
        listener = socket.create_server((options.host, 0))
        ready(*listener.getsockname()[:2])
        app = web.Application()
        app.router.add_static("/", name)
        web.run_app(app, sock=listener, print=None, access_log=None)


if __name__ == "__main__":
    main()
