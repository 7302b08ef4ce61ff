"""What each word of the `spikewire` command does."""

from __future__ import annotations

from contextlib import suppress

import click
from rich.table import Table

import spikewire as sw
from spikewire.cli.acquire import acquire
from spikewire.cli.printing import number, printable, say, stdout_console, text
from spikewire.cli.raster import raster
from spikewire.cli.replay import replay
from spikewire.cli.tail import tail
from spikewire.cli.targets import host_and_name, open_target, rate_option
from spikewire.core.errors import SortingExistsError, SortingNotFoundError

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
  spikewire delete lab-server/rat7/probe0
  spikewire tail lab-server/rat7/probe0         watch it being recorded
  spikewire replay sessions/probe0 --as localhost/replays/probe0
  sorter | spikewire acquire localhost/rat7/probe0 --sampling-frequency 30000
"""


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
        entries = list(client.list(prefix=prefix))
        for entry in entries:
            table.add_row(
                text(entry.name),
                number(entry.unit_count),
                number(entry.segment_count),
                number(entry.spike_count),
                number(entry.sampling_frequency),
                text(entry.state),
            )
    if not entries:
        say(f"{host} has no sortings" + (f" whose names begin with {prefix!r}" if prefix else ""))
        return
    stdout_console().print(table)


@spikewire.command()
@click.argument("target")
@rate_option
def show(target: str, sampling_frequency: float | None) -> None:
    """Show the units of a sorting, their spikes and properties."""
    sorting = open_target(target, sampling_frequency)
    console = stdout_console()
    console.print(text(sorting))
    for key in sorting.get_annotation_keys():
        console.print(text(f"{key}: {sorting.get_annotation(key)}"))
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
        table.add_column(text(key))
    for row, unit_id in enumerate(sorting.unit_ids):
        values = (text(column[row]) for column in columns.values())
        table.add_row(text(unit_id), number(counts[row]), *values)
    console.print(table)
    console.print(text(f"{sorting.count_total_num_spikes():,} spikes"))


@spikewire.command("raster")
@click.argument("target")
@click.option(
    "--segment", type=click.IntRange(0), default=0, show_default=True, help="Which segment."
)
@click.option(
    "--units",
    type=click.IntRange(1),
    default=50,
    show_default=True,
    help="How many units at most.",
)
@rate_option
def draw(target: str, segment: int, units: int, sampling_frequency: float | None) -> None:
    """Draw the spikes of a sorting, a line a unit."""
    console = stdout_console()
    for line in raster(
        open_target(target, sampling_frequency),
        segment,
        width=min(console.width, 160),
        max_units=units,
        ascii_only=not (console.encoding or "").startswith("utf"),
    ):
        console.print(text(line), no_wrap=True)


@spikewire.command()
@click.argument("path", type=click.Path(exists=True))
@click.argument("to", metavar="HOST[:PORT]/NAME")
@click.option("--overwrite", is_flag=True, help="Replace what has the name, once all is there.")
@rate_option
def upload(path: str, to: str, overwrite: bool, sampling_frequency: float | None) -> None:
    """Upload a sorting of this machine to a server."""
    host, name = host_and_name(to)
    sorting = open_target(path, sampling_frequency)
    with sw.connect(host) as client:
        present = ""
        if overwrite:
            with suppress(SortingNotFoundError):
                present = client.open(name).revision
        try:
            uploaded = client.upload(sorting, name, if_revision=present)
        except SortingExistsError as error:
            raise SortingExistsError(
                f"{name} is another sorting on {host}; --overwrite replaces it"
            ) from error
        stdout_console().print(text(uploaded))


@spikewire.command()
@click.argument("target", metavar="HOST[:PORT]/NAME")
@click.option("--yes", is_flag=True, help="Do not ask.")
def delete(target: str, yes: bool) -> None:
    """Delete an upload, a recording or a view from a server."""
    host, name = host_and_name(target)
    with sw.connect(host) as client:
        if not yes:
            click.confirm(f"Delete {printable(name)} from {host} for good?", abort=True, err=True)
        client.delete(name)
    say(f"{name} is deleted")


@spikewire.command()
@click.argument("target")
@click.argument("folder", type=click.Path())
@click.option("--overwrite", is_flag=True, help="Replace what is there, once all is copied.")
@rate_option
def save(target: str, folder: str, overwrite: bool, sampling_frequency: float | None) -> None:
    """Save a sorting to a folder of this machine, spikes and all."""
    sorting = open_target(target, sampling_frequency)
    try:
        saved = sorting.save(folder=folder, overwrite=overwrite)
    except SortingExistsError as error:
        raise SortingExistsError(f"{folder} exists already; --overwrite replaces it") from error
    stdout_console().print(text(saved))


for command in (acquire, replay, tail):
    spikewire.add_command(command)
