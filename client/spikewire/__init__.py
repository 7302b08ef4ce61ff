"""Spike-sorted data, local and remote, through SpikeInterface's SortingExtractor API."""

from __future__ import annotations

from spikewire._version import __version__

__all__ = ["__version__"]
