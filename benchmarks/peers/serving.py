"""What the servers of peers have in common: their arguments."""

from __future__ import annotations

import argparse
from pathlib import Path


def arguments() -> argparse.Namespace:
    """Return the folder to serve and the address to listen on."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--host", default="127.0.0.1")
    return parser.parse_args()


def ready(host: str, port: int) -> None:
    """Tell whoever started the server where it listens."""
    print(f"listening on {host}:{port}", flush=True)
