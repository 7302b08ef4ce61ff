"""`spikewire replay`: a recorded sorting, played as a rig would record it."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

import click

import spikewire as sw
from spikewire.cli.player import Player, Position, position_behind
from spikewire.cli.printing import duration, say
from spikewire.cli.recording import check_is_new, resumable
from spikewire.cli.targets import host_and_name, open_target, rate_option

if TYPE_CHECKING:
    from tqdm import tqdm

    from spikewire import Client
    from spikewire.remote.live.writer import SpikeWriter

_LATE_SECONDS = 0.1

_EXAMPLES = """
\b
SORTING is a file or folder of this machine, or HOST[:PORT]/NAME on a server. It is
read as it is played; the clock of each segment begins with its first spike.

\b
Examples:
  spikewire replay sessions/probe0 --as localhost/replays/probe0
  spikewire replay lab-server/rat7/probe0 --as localhost/replays/probe0 --speed 20
  spikewire replay sessions/probe0 --as localhost/replays/probe0 --speed max
"""


class _Speed(click.ParamType[float]):
    """A positive number, or "max" for infinity."""

    name = "speed"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return how many times as fast."""
        if value == "max":
            return math.inf
        try:
            speed = float(value)
        except ValueError:
            speed = math.nan
        if not speed > 0:
            self.fail(f"{value!r} is neither a positive number nor 'max'", param, ctx)
        return speed


@click.command(epilog=_EXAMPLES)
@click.argument("sorting")
@click.option("--as", "to", metavar="HOST[:PORT]/NAME", required=True, help="What is recorded.")
@click.option(
    "--speed",
    type=_Speed(),
    metavar="FACTOR",
    default="1.0",
    show_default=True,
    help="How many times as fast as it was recorded; 'max' is as fast as possible.",
)
@click.option(
    "--batch",
    type=click.FloatRange(min=0, min_open=True),
    metavar="MS",
    default=20.0,
    show_default=True,
    help="Milliseconds of the recording that make a batch.",
)
@click.option("--resume", is_flag=True, help="Go on where a replay was interrupted.")
@rate_option
def replay(
    sorting: str,
    to: str,
    speed: float,
    batch: float,
    resume: bool,
    sampling_frequency: float | None,
) -> None:
    """Play a recorded sorting as a rig would record it."""
    source = open_target(sorting, sampling_frequency)
    host, name = host_and_name(to)
    with sw.connect(host) as client:
        writer, position, played = _begin(client, name, source, resume)
        player = Player(source, writer, speed, batch / 1000)
        begun = time.monotonic()
        with resumable(writer, lambda: "--resume goes on there"):
            with _bar(source.count_total_num_spikes(), played) as bar:
                for count in player.play(position):
                    bar.set_postfix_str(_progress(player, writer), refresh=False)
                    bar.update(count)
            writer.finish()
    timing = _timing(player, speed, time.monotonic() - begun)
    say(f"{to}: finished, {writer.stats.appended:,} spikes, {timing}")


def _begin(
    client: Client, name: str, source: sw.BaseSorting, resume: bool
) -> tuple[SpikeWriter, Position, int]:
    """Begin to record, or go on; return also where the source is, and how much was played."""
    rate = source.get_sampling_frequency()
    if not resume:
        check_is_new(client, name)
        t_start = source.segments[0]._t_start
        return client.acquire(name, rate, source.unit_ids, t_start=t_start), Position(), 0
    writer = client.acquire(name, rate, resume=True)
    try:
        writer.flush()
        recorded = client.open(name)
        return writer, position_behind(recorded, source), recorded.count_total_num_spikes()
    except BaseException:
        writer.close()
        raise


def _bar(total: int, played: int) -> tqdm:
    """Return a bar, which shows only where somebody watches."""
    from tqdm import tqdm

    return tqdm(total=total, initial=played, unit=" spikes", unit_scale=True, disable=None)


def _progress(player: Player, writer: SpikeWriter) -> str:
    parts = [f"{player.seconds:,.1f} s"]
    if player.late > _LATE_SECONDS:
        parts.append(f"{duration(player.late)} late")
    lag = writer.stats.lag_seconds
    if lag > _LATE_SECONDS:
        parts.append(f"the server is {duration(lag)} behind")
    return ", ".join(parts)


def _timing(player: Player, speed: float, took: float) -> str:
    """Say how long it took, and whether the clock could be kept."""
    timing = f"{player.seconds:,.1f} s of the recording in {duration(took)}"
    if math.isinf(speed):
        return timing
    if player.late > _LATE_SECONDS:
        return f"{timing}; this machine could not keep up, and was {duration(player.late)} late"
    return f"{timing}; batches were {duration(player.latest)} late at most"
