"""What each word of the `spikewire` command does."""

from __future__ import annotations

import sys
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

import spikewire as sw
from spikewire.cli.raster import raster
from spikewire.core.errors import InvalidNameError, SortingNotFoundError
from spikewire.extractors import recognise

EXAMPLES = """
\b
A TARGET is a file or folder of this machine, or HOST[:PORT]/NAME on a server.

\b
Examples:
  spikewire list localhost                      what a server has
  spikewire list lab-server:7745/rat7           ... whose name begins with rat7
  spikewire show sessions/probe0                units and spikes of a folder
  spikewire raster lab-server/rat7/probe0       draw its spikes
  spikewire upload sessions/probe0 lab-server/rat7/probe0
  spikewire save lab-server/rat7/probe0 ./probe0
"""


rate_option = click.option(
    "--sampling-frequency", type=float, metavar="HZ", help="For local files that hold none."
)


@click.group(epilog=EXAMPLES, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(sw.__version__, prog_name="spikewire")
def spikewire() -> None:
    """Look at sortings, on this machine and on servers, and move them between both."""


@spikewire.command("list")
@click.argument("where", metavar="[HOST[:PORT][/PREFIX]]", default="localhost")
def list_sortings(where: str) -> None:
    """List the sortings of a server."""
    host, _, prefix = where.partition("/")
    table = Table("name", box=None, pad_edge=False)
    for heading in ("units", "segments", "spikes", "Hz"):
        table.add_column(heading, justify="right")
    table.add_column("state")
    with sw.connect(host) as client:
        for entry in client.list(prefix=prefix):
            table.add_row(
                _text(entry.name),
                _number(entry.unit_count),
                _number(entry.segment_count),
                _number(entry.spike_count),
                _number(entry.sampling_frequency),
                _text(entry.state),
            )
    _console().print(table)


@spikewire.command()
@click.argument("target")
@rate_option
def show(target: str, sampling_frequency: float | None) -> None:
    """Show the units of a sorting, their spikes and properties."""
    sorting = _open(target, sampling_frequency)
    console = _console()
    console.print(_text(sorting))
    for key in sorting.get_annotation_keys():
        console.print(_text(f"{key}: {sorting.get_annotation(key)}"))
    console.print()
    counts = sorting.count_num_spikes_per_unit(outputs="array")
    properties = {key: sorting.get_property(key) for key in sorting.get_property_keys()}
    # A value of more dimensions would not fit a line.
    columns = {
        key: values for key, values in properties.items() if values is not None and values.ndim <= 2
    }
    table = Table("unit", box=None, pad_edge=False)
    table.add_column("spikes", justify="right")
    for key in columns:
        table.add_column(_text(key))
    for row, unit_id in enumerate(sorting.unit_ids):
        values = (_text(column[row]) for column in columns.values())
        table.add_row(_text(unit_id), _number(counts[row]), *values)
    console.print(table)
    console.print(_text(f"{sorting.count_total_num_spikes():,} spikes"))


@spikewire.command("raster")
@click.argument("target")
@click.option("--segment", default=0, show_default=True, help="Which segment.")
@click.option("--units", default=50, show_default=True, help="How many units at most.")
@rate_option
def draw(target: str, segment: int, units: int, sampling_frequency: float | None) -> None:
    """Draw the spikes of a sorting, a line a unit."""
    console = _console()
    for line in raster(
        _open(target, sampling_frequency),
        segment,
        width=min(console.width, 160),
        max_units=units,
        ascii_only=not (console.encoding or "").startswith("utf"),
    ):
        console.print(_text(line), no_wrap=True)


@spikewire.command()
@click.argument("path", type=click.Path(exists=True))
@click.argument("to", metavar="HOST[:PORT]/NAME")
@rate_option
def upload(path: str, to: str, sampling_frequency: float | None) -> None:
    """Upload a sorting of this machine to a server."""
    host, name = _host_and_name(to)
    with sw.connect(host) as client:
        _console().print(_text(client.upload(_open(path, sampling_frequency), name)))


@spikewire.command()
@click.argument("target")
@click.argument("folder", type=click.Path())
@rate_option
def save(target: str, folder: str, sampling_frequency: float | None) -> None:
    """Save a sorting to a new folder of this machine, spikes and all."""
    _console().print(_text(_open(target, sampling_frequency).save(folder=folder)))


def _open(target: str, sampling_frequency: float | None) -> sw.BaseSorting:
    path = Path(target)
    if path.exists():
        known = recognise(path)
        return known.open(path, sampling_frequency) if known else sw.load(path)
    if "/" not in target:
        raise SortingNotFoundError(
            f"there is no file or folder {target!r}; on a server it is HOST[:PORT]/NAME"
        )
    return sw.RemoteSorting(*_host_and_name(target))


def _host_and_name(target: str) -> tuple[str, str]:
    host, _, name = target.partition("/")
    if not host or not name:
        raise InvalidNameError(f"{target!r} is not HOST[:PORT]/NAME")
    return host, name


def _text(value: object) -> Text:
    """Return text as it is: no markup, and nothing that would steer a terminal."""
    return Text("".join(c if c.isprintable() or c == "\n" else "\ufffd" for c in str(value)))


def _number(value: float | None) -> str:
    """Return a number for reading, "" if it is not known."""
    return "" if value is None else f"{value:,.15g}"


def _console() -> Console:
    # What is piped on is not cut to the width of a terminal that is not there.
    return Console() if sys.stdout.isatty() else Console(width=10_000)
