"""Tiled: the two columns as arrays of a catalogue in memory."""

from __future__ import annotations

import socket

import numpy as np
import uvicorn
from tiled.adapters.array import ArrayAdapter
from tiled.adapters.mapping import MapAdapter
from tiled.client import from_uri
from tiled.config import Authentication
from tiled.server.app import build_app

from benchmarks.data import Int64Array, read_columns
from benchmarks.peers.serving import arguments, ready


class TiledClient:
    """Reads two arrays."""

    def __init__(self, address: str) -> None:
        tree = from_uri(f"http://{address}/api/v1")
        self._samples, self._units = tree["samples"], tree["units"]

    def vector(self) -> tuple[Int64Array, Int64Array]:
        """Read both arrays whole."""
        return self._samples.read(), self._units.read().astype(np.int64)


def main() -> None:
    options = arguments()
    samples, units = read_columns(options.folder)
    tree = MapAdapter(
        {"samples": ArrayAdapter.from_array(samples), "units": ArrayAdapter.from_array(units)}
    )
    app = build_app(tree, authentication=Authentication(allow_anonymous_access=True))
    listener = socket.create_server((options.host, 0))
    ready(*listener.getsockname()[:2])
    uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listener])


if __name__ == "__main__":
    main()
