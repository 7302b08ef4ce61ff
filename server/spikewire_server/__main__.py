"""The `spikewire-server` command."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command, or say what to install if its extra is missing."""
    try:
        from spikewire_server.command import spikewire_server
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in ("spikewire", "spikewire_server"):
            raise
        sys.exit(
            f"spikewire-server is an extra ({error.name} is missing): "
            "pip install 'spikewire[server]'"
        )
    spikewire_server()


if __name__ == "__main__":
    main()
