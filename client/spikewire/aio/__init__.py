"""The client for programs that run in an event loop: the same names, awaited.

Built on the same operations as `spikewire.connect`, over grpc.aio; one loop a client.
"""

from __future__ import annotations

from spikewire.aio.client import Client, connect
from spikewire.aio.sorting import RemoteSorting

__all__ = ["Client", "RemoteSorting", "connect"]
