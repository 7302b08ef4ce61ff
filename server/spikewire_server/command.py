"""What the `spikewire-server` command does: settings from flags, then serve until told to stop."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click

from spikewire import __version__
from spikewire.core.errors import SpikewireError
from spikewire_server.app import run
from spikewire_server.settings import Settings

EPILOG = """
\b
Examples:
  spikewire-server ~/sessions                     serve what lies below a folder
  spikewire-server lab=/data/rat7 --port 7745     under the name lab/...
  spikewire-server --store ./store                no root: uploads only
  spikewire-server lab=/data --sampling-frequency 'lab/tetrodes/*=32000'
"""


@click.command(epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("roots", nargs=-1, metavar="[[LABEL=]ROOT]...")
@click.option("--store", metavar="DIR", help="Where uploads and saves are kept.")
@click.option("--host", help="The address to listen on.  [default: 127.0.0.1]")
@click.option(
    "--port", type=int, help="The port to listen on; 0 takes a free one.  [default: 7745]"
)
@click.option(
    "--sampling-frequency",
    "sampling_frequency",
    multiple=True,
    metavar="'GLOB=HZ'",
    help="The sampling frequency of sortings whose files hold none, by name; may be repeated.",
)
@click.option(
    "--insecure",
    is_flag=True,
    default=None,
    help="Listen beyond this machine without encryption or authentication.",
)
@click.option("--config", metavar="FILE", help="A TOML file of settings.")
@click.option("--log-level", help="debug, info, warning or error.  [default: info]")
@click.version_option(__version__, prog_name="spikewire-server")
def spikewire_server(config: str | None, roots: tuple[str, ...], **flags: Any) -> None:
    """Serve the sortings below some folders, and take uploads.

    Flags go over SPIKEWIRE_... variables, these over the TOML file, these over
    the defaults.
    """
    given = {key: value for key, value in flags.items() if value not in (None, ())}
    if roots:
        given["roots"] = roots
    try:
        settings = Settings.load(given, os.environ, Path(config) if config else None)
        run(settings)
    except (SpikewireError, OSError) as error:
        click.echo(f"spikewire-server: {error}", err=True)
        sys.exit(1)
