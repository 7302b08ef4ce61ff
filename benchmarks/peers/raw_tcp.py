"""Bare TCP with 12 bytes a spike: what the loopback, or a line, can carry."""

from __future__ import annotations

import socket
import threading

import numpy as np
from numpy.typing import NDArray

from benchmarks.data import Int64Array, read_columns
from benchmarks.peers.serving import arguments, ready

BLOCK = 65_536
"""Spikes whose samples, then units, are sent together."""


class TcpClient:
    """Reads the vector over a connection that is kept."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self._socket = socket.create_connection((host, int(port)))

    def close(self) -> None:
        self._socket.close()

    def vector(self) -> tuple[Int64Array, Int64Array]:
        """Receive samples in place, and units by way of a small int32 array."""
        self._socket.sendall(b"v")
        (count,) = self._receive(np.empty(1, dtype=np.int64))
        samples = np.empty(count, dtype=np.int64)
        units = np.empty(count, dtype=np.int64)
        narrow = np.empty(BLOCK, dtype=np.int32)
        for start in range(0, count, BLOCK):
            stop = min(start + BLOCK, count)
            self._receive(samples[start:stop])
            units[start:stop] = self._receive(narrow[: stop - start])
        return samples, units

    def _receive(self, into: NDArray[np.integer]) -> NDArray[np.integer]:
        view = memoryview(into).cast("B")
        while view:
            received = self._socket.recv_into(view, 0, socket.MSG_WAITALL)
            if not received:
                raise ConnectionError("the server went away")
            view = view[received:]
        return into


def _serve(connection: socket.socket, samples: Int64Array, units: NDArray[np.int32]) -> None:
    while connection.recv(1):
        connection.sendall(np.array([len(samples)]).data)
        for start in range(0, len(samples), BLOCK):
            connection.sendall(samples[start : start + BLOCK].data)
            connection.sendall(units[start : start + BLOCK].data)


def main() -> None:
    options = arguments()
    columns = read_columns(options.folder)
    with socket.create_server((options.host, 0)) as listener:
        ready(*listener.getsockname()[:2])
        while True:
            connection, _ = listener.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=_serve, args=(connection, *columns), daemon=True).start()


if __name__ == "__main__":
    main()
