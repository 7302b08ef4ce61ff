"""A bar for transfers that take long, where somebody watches."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Protocol

_LONG_SPIKES = 4_000_000
_DELAY_SECONDS = 1.0


class ProgressBar(Protocol):
    """What is told how far a transfer is."""

    def update(self, n: int, /) -> object:
        """Note that `n` more spikes have come."""

    def close(self) -> object:
        """Remove the bar."""


class _NoBar:
    def update(self, n: int, /) -> None:
        pass

    def close(self) -> None:
        pass


def progress_bar(spike_count: int, name: str, enabled: bool) -> ProgressBar:
    """Make a bar that appears if a transfer takes longer than a second.

    There is none for few spikes, where nobody watches (no terminal, no notebook),
    without tqdm, or if ``SPIKEWIRE_PROGRESS`` is 0 in the environment.

    Parameters
    ----------
    spike_count : int
        How many spikes there are in all.
    name : str
        What is transferred.
    enabled : bool
        Whether there may be a bar.
    """
    if spike_count < _LONG_SPIKES or not enabled or os.environ.get("SPIKEWIRE_PROGRESS") == "0":
        return _NoBar()
    if not _is_watched():
        return _NoBar()
    try:
        tqdm = importlib.import_module("tqdm.auto").tqdm
    except ImportError:
        return _NoBar()
    bar: ProgressBar = tqdm(
        total=spike_count,
        desc=name,
        unit=" spikes",
        unit_scale=True,
        delay=_DELAY_SECONDS,
        leave=False,
    )
    return bar


def _is_watched() -> bool:
    is_terminal = sys.stderr is not None and sys.stderr.isatty()
    return is_terminal or "ipykernel" in sys.modules
