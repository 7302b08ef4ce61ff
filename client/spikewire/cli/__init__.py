"""The `spikewire` command."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command, or say what to install if its extra is missing."""
    try:
        from spikewire.cli.commands import spikewire
    except ModuleNotFoundError as error:
        if error.name not in ("click", "rich"):
            raise
        sys.exit("the spikewire command is an extra: pip install 'spikewire[cli]'")
    spikewire()
