"""`spikewire tail`: what is being recorded, as it comes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click
from rich.live import Live

import spikewire as sw
from spikewire.cli.printing import say, say_interrupted, stdout_console
from spikewire.cli.recording import INTERRUPTED
from spikewire.cli.spike_lines import line_labels, spike_lines
from spikewire.cli.tail_screen import TailScreen
from spikewire.cli.targets import host_and_name
from spikewire.cli.unit_labels import ids_like, labels_of
from spikewire.core.dtypes import AnyArray

if TYPE_CHECKING:
    from spikewire import Client
    from spikewire.remote.live.follower import Follower
    from spikewire.remote.live.following import SpikeBlock, Start

_REDRAWS_PER_SECOND = 8

_EXAMPLES = """
\b
It ends when the recording is finished. Rates are spikes per second of the recording,
over its last five seconds; the latency is the time from the server's disk to here.

\b
Examples:
  spikewire tail lab-server/rat7/probe0                     rates, in a terminal
  spikewire tail lab-server/rat7/probe0 --from now --unit-ids 3,17
  spikewire tail lab-server/rat7/probe0 > spikes.txt        segment, sample, unit
  spikewire tail lab-server/rat7/probe0 | awk '$3 == 17'
"""


@click.command(epilog=_EXAMPLES)
@click.argument("target", metavar="HOST[:PORT]/NAME")
@click.option(
    "--from",
    "start",
    type=click.Choice(["begin", "now"]),
    default="begin",
    show_default=True,
    help="Which spikes come first.",
)
@click.option("--unit-ids", metavar="ID,ID,...", help="Only these units.")
@click.option(
    "--lines",
    is_flag=True,
    help="Print a line a spike, 'segment sample unit', as where stdout is no terminal.",
)
def tail(target: str, start: Start, unit_ids: str | None, lines: bool) -> None:
    """Show what is being recorded, as it comes."""
    host, name = host_and_name(target)
    count = 0
    try:
        with sw.connect(host) as client:
            follower, shown = _follow(client, name, start, labels_of(unit_ids))
            as_lines = lines or not sys.stdout.isatty()
            with follower, _lines(follower) if as_lines else _table(follower, shown) as show:
                for block in follower:
                    count += len(block)
                    show(block)
    except KeyboardInterrupt:
        say_interrupted(f"{target}: {count:,} spikes so far")
        sys.exit(INTERRUPTED)
    say(f"{target}: finished, {count:,} spikes")


def _follow(
    client: Client, name: str, start: Start, labels: list[str]
) -> tuple[Follower, AnyArray | None]:
    """Begin to follow; return also the units that are wanted, if not all are."""
    follower = client.follow(name, start)
    if not labels:
        return follower, None
    unit_ids = ids_like(labels, follower.unit_ids)
    return client.follow(name, start, unit_ids.tolist()), unit_ids


@contextmanager
def _lines(follower: Follower) -> Iterator[Callable[[SpikeBlock], None]]:
    """Show blocks as lines, each as soon as it is there."""
    labels: list[str] = []

    def show(block: SpikeBlock) -> None:
        if len(labels) < len(follower.unit_ids):
            labels[:] = line_labels(follower.unit_ids)
        sys.stdout.write(
            spike_lines(block.segment_index, block.sample_index, block.unit_index, labels)
        )
        sys.stdout.flush()

    yield show


@contextmanager
def _table(follower: Follower, shown: AnyArray | None) -> Iterator[Callable[[SpikeBlock], None]]:
    """Show rates, and what they were in the end."""
    screen = TailScreen(follower.name, follower.sampling_frequency, follower.unit_ids, shown)
    with Live(screen, console=stdout_console(), refresh_per_second=_REDRAWS_PER_SECOND):
        yield lambda block: screen.take(block, follower.unit_ids)
