"""What the commands that record have in common: how they begin, and how they stop."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from spikewire.cli.printing import say_interrupted
from spikewire.core.errors import SortingExistsError, SortingNotFoundError, SpikewireError

if TYPE_CHECKING:
    from spikewire import Client
    from spikewire.remote.live.writer import SpikeWriter

INTERRUPTED = 130
"""The status of what Ctrl-C ended: 128 + SIGINT, as shells have it."""

_LAST_WORDS_SECONDS = 2.0


def check_is_new(client: Client, name: str) -> None:
    """Make sure that a recording begins: the same spikes must not be recorded twice.

    Raises
    ------
    SortingExistsError
        The name is taken.
    """
    try:
        client.open(name)
    except SortingNotFoundError:
        return
    raise SortingExistsError(
        f"{name!r} exists; if it is being recorded and was interrupted, --resume goes on with it"
    )


@contextmanager
def resumable(writer: SpikeWriter, how_to_go_on: Callable[[], str]) -> Iterator[None]:
    """Leave an acquisition open on Ctrl-C and on errors, and say how to go on with it.

    Parameters
    ----------
    writer : SpikeWriter
        Is closed in the end.
    how_to_go_on : callable
        Returns what the user is told.
    """
    try:
        with writer:
            try:
                yield
            except (KeyboardInterrupt, SpikewireError):
                with suppress(SpikewireError):
                    writer.flush(_LAST_WORDS_SECONDS)
                raise
    except KeyboardInterrupt:
        say_interrupted(f"interrupted: {_state(writer)}; {how_to_go_on()}")
        sys.exit(INTERRUPTED)
    except SpikewireError as error:
        sys.exit(f"spikewire: {error}\n{_state(writer)}; {how_to_go_on()}")


def _state(writer: SpikeWriter) -> str:
    stats = writer.stats
    recorded = f"{stats.appended:,} spikes were recorded"
    if not stats.lag_spikes:
        return recorded
    return f"{recorded}, {stats.lag_spikes:,} of them wait in the spool {writer.spool_folder}"
