"""What a TARGET of the `spikewire` command means."""

from __future__ import annotations

from pathlib import Path

import click

import spikewire as sw
from spikewire.core.errors import (
    InvalidNameError,
    NeedsSamplingFrequencyError,
    SortingNotFoundError,
)
from spikewire.extractors import recognise

rate_option = click.option(
    "--sampling-frequency", type=float, metavar="HZ", help="For local files that hold none."
)


def open_target(target: str, sampling_frequency: float | None) -> sw.BaseSorting:
    """Open a file or folder of this machine, or HOST[:PORT]/NAME on a server."""
    path = Path(target)
    if path.exists():
        known = recognise(path)
        if known is None:
            return sw.load(path)
        try:
            return known.open(path, sampling_frequency)
        except NeedsSamplingFrequencyError as error:
            raise NeedsSamplingFrequencyError(
                f"the files of {target} state no sampling frequency; give --sampling-frequency HZ"
            ) from error
    if "/" not in target:
        raise SortingNotFoundError(
            f"there is no file or folder {target!r}; on a server it is HOST[:PORT]/NAME"
        )
    return sw.RemoteSorting(*host_and_name(target))


def host_and_name(target: str) -> tuple[str, str]:
    """Return the server and the name of HOST[:PORT]/NAME."""
    host, _, name = target.partition("/")
    if not host or not name:
        raise InvalidNameError(f"{target!r} is not HOST[:PORT]/NAME")
    return host, name
