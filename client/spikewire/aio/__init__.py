"""The client for programs that run in an event loop: the same names, awaited.

Built on the same operations as `spikewire.connect`, over grpc.aio; one loop a client.
"""

from __future__ import annotations

from spikewire.aio.client import Client, connect
from spikewire.aio.follower import Follower
from spikewire.aio.sorting import RemoteSorting
from spikewire.aio.writer import SpikeWriter

__all__ = ["Client", "Follower", "RemoteSorting", "SpikeWriter", "connect"]
