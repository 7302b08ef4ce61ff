"""Sortings that are being recorded: logs, group commit, followers."""

from __future__ import annotations

from spikewire_server.acquisition.acquisitions import Acquisitions
from spikewire_server.acquisition.append_messages import split
from spikewire_server.acquisition.appending import Appender
from spikewire_server.acquisition.follow_messages import Position, unpack_cursor
from spikewire_server.acquisition.following import Feed, Followed, follow
from spikewire_server.acquisition.lifecycle import Lifecycle
from spikewire_server.acquisition.live import LiveAcquisition, ServerStoppingError
from spikewire_server.acquisition.record import Kind
from spikewire_server.acquisition.recording import Recording

__all__ = [
    "Acquisitions",
    "Appender",
    "Feed",
    "Followed",
    "Kind",
    "Lifecycle",
    "LiveAcquisition",
    "Position",
    "Recording",
    "ServerStoppingError",
    "follow",
    "split",
    "unpack_cursor",
]
