"""The `spikewire` command."""

from __future__ import annotations

import sys

from spikewire.core.errors import SpikewireError

__all__ = ["main"]


def main() -> None:
    """Run the command; say what to install if its extra is missing."""
    try:
        from spikewire.cli.commands import spikewire
    except ModuleNotFoundError as error:
        if error.name not in ("click", "rich", "tqdm"):
            raise
        sys.exit(
            f"the spikewire command is an extra ({error.name} is missing): "
            "pip install 'spikewire[cli]'"
        )
    try:
        spikewire()
    except SpikewireError as error:
        sys.exit(f"spikewire: {error}")
