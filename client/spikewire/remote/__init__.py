"""Sortings of a server: `connect()`, `Client`, `RemoteSorting`."""

from __future__ import annotations

from spikewire.remote.client import Client, connect
from spikewire.remote.library import ServerInfo
from spikewire.remote.remote_sorting import RemoteSorting, open_url
from spikewire.wire.sortings import SortingInfo

__all__ = ["Client", "RemoteSorting", "ServerInfo", "SortingInfo", "connect", "open_url"]
