"""A relay between a client and a server that counts what the server sends."""

from __future__ import annotations

import socket
import threading
from typing import Self


class Relay:
    """Listens on a port of its own and passes everything on to an address.

    Attributes
    ----------
    address : str
        Where clients connect.
    sent : int
        Bytes that the server sent, all of them: headers of HTTP/2 and settings too.
    """

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self._server = (host, int(port))
        self.sent = 0

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = "{}:{}".format(*self._listener.getsockname())
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:  # closed
                return
            server = socket.create_connection(self._server)
            threading.Thread(target=self._pass, args=(client, server), daemon=True).start()
            threading.Thread(
                target=self._pass, args=(server, client), kwargs={"count": True}, daemon=True
            ).start()

    def _pass(self, source: socket.socket, sink: socket.socket, *, count: bool = False) -> None:
        try:
            while data := source.recv(1 << 18):
                if count:
                    self.sent += len(data)
                sink.sendall(data)
        except OSError:
            pass  # either side is gone; so is the other in a moment
        finally:
            sink.close()
