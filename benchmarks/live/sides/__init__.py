"""Who is measured, each with one module that has

* ``NAME``, for tables, and ``ACKNOWLEDGES``, whether rigs hear what is on disk;
* ``missing()``, what is not installed that it needs, or an empty string;
* ``serving(folder)``, a context in which its server runs, if it has one; yields a `Site`;
* ``open_rig(site, name, acked)``, a `Rig` which tells `acked` how many spikes are acknowledged;
* ``open_follower(site, ledgers)``, which takes the spikes of the rigs with these names into
  their ledgers from now on, all over one connection;
* ``check(site, counts)``, which makes sure that the server has so many spikes by name.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple


class Site(NamedTuple):
    """Where a server is."""

    address: str
    folder: Path
    """For files, on the disk of the server."""


def side_of(name: str) -> Any:
    """Return the module of a side."""
    return import_module(f"{__name__}.{name}")
