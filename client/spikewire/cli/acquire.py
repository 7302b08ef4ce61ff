"""`spikewire acquire`: record the spikes that come as lines of text."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import click

import spikewire as sw
from spikewire.cli.line_recorder import LineRecorder
from spikewire.cli.printing import say
from spikewire.cli.recording import check_is_new, resumable
from spikewire.cli.spike_lines import FORM
from spikewire.cli.targets import host_and_name
from spikewire.cli.unit_labels import guessed_ids, labels_of
from spikewire.core.errors import InvalidValueError

_READ_BYTES = 1 << 16
_MAX_LINE_BYTES = 1 << 16
# A sorter that writes line by line shall not make a record of each: within this time
# more lines gather in the pipe.
_GATHER_SECONDS = 0.02

_EXAMPLES = """
\b
Lines are 'sample unit' or 'segment sample unit', separated by spaces, tabs or commas;
blank lines and those that begin with # are skipped. A segment that was not started
yet is started by its first line. At the end of the input the sorting is finished.

\b
Examples:
  sorter | spikewire acquire lab-server/rat7/probe0 --sampling-frequency 30000
  spikewire acquire localhost/rat7/probe0 --sampling-frequency 30000 < spikes.csv
  tail -n +1000 spikes.csv | spikewire acquire localhost/rat7/probe0 --resume
"""


@click.command(epilog=_EXAMPLES)
@click.argument("to", metavar="HOST[:PORT]/NAME")
@click.option("--sampling-frequency", type=float, metavar="HZ", help="Needed to begin.")
@click.option(
    "--unit-ids",
    metavar="ID,ID,...",
    help="The units, in their order; lines of others are refused. By default units are "
    "announced as they come.",
)
@click.option("--new-units", is_flag=True, help="Announce also units that --unit-ids lacks.")
@click.option("--text", is_flag=True, help="Unit ids are text, even if they look like numbers.")
@click.option("--resume", is_flag=True, help="Go on with a recording that was interrupted.")
@click.option("--keep-open", is_flag=True, help="Do not finish at the end of the input.")
@click.option(
    "--spool",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where spikes are kept until the server has them.",
)
@click.option("--sync", is_flag=True, help="Spikes survive a power cut of this machine too.")
def acquire(
    to: str,
    sampling_frequency: float | None,
    unit_ids: str | None,
    new_units: bool,
    text: bool,
    resume: bool,
    keep_open: bool,
    spool: Path | None,
    sync: bool,
) -> None:
    """Record the spikes that come as lines on stdin."""
    host, name = host_and_name(to)
    labels = labels_of(unit_ids)
    if sampling_frequency is None and not resume:
        raise click.UsageError("--sampling-frequency is needed to begin; --resume goes on")
    with sw.connect(host) as client:
        if not resume:
            check_is_new(client, name)
        writer = client.acquire(
            name,
            sampling_frequency,
            () if resume else guessed_ids(labels, text),
            resume=resume,
            spool=spool,
            sync=sync,
        )
        recorder = LineRecorder(writer, text, takes_new=new_units or not labels)
        if sys.stdin.isatty():
            say(f"type lines, {FORM}; Ctrl-D ends")
        with resumable(writer, lambda: f"go on from line {recorder.line_count + 1} with --resume"):
            recorder.announce(labels)
            for lines in _lines(sys.stdin.fileno()):
                recorder.take(lines)
            if keep_open:
                writer.flush()
                writer.close()
            else:
                writer.finish()
        say(
            f"{to}: {writer.stats.appended:,} spikes of {len(writer.unit_ids):,} units "
            f"{'recorded; --resume goes on' if keep_open else 'recorded and finished'}"
        )


def _lines(descriptor: int) -> Iterator[list[bytes]]:
    """Yield the lines that are there, as soon as there are any."""
    rest = b""
    while piece := os.read(descriptor, _READ_BYTES):
        *lines, rest = (rest + piece).split(b"\n")
        if lines:
            yield lines
        if len(rest) > _MAX_LINE_BYTES:
            raise InvalidValueError(f"a line is longer than {_MAX_LINE_BYTES:,} bytes")
        if len(piece) < _READ_BYTES // 2:
            time.sleep(_GATHER_SECONDS)
    if rest:
        yield [rest]
