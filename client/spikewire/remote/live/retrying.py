"""Which failures rigs and followers wait out: those that may be over after a while."""

from __future__ import annotations

import sys

from spikewire.core.errors import (
    InternalServerError,
    NotSupportedByServerError,
    RemoteError,
    StoreUnwritableError,
)
from spikewire.remote.backoff import Backoff
from spikewire.remote.calls import CALL_ATTEMPTS
from spikewire.remote.steps import Operation, Pause


def may_pass(error: Exception) -> bool:
    """Whether an attempt that failed with this may succeed later."""
    if isinstance(error, NotSupportedByServerError):
        return False
    return isinstance(error, RemoteError | StoreUnwritableError)


class FollowerPatience:
    """The pauses of who follows: for as long as the server is away, few where it only fails."""

    def __init__(self) -> None:
        self._away = Backoff(sys.maxsize)
        self._failing = Backoff(CALL_ATTEMPTS)

    def progressed(self) -> None:
        """Begin anew: something came."""
        self._away.progressed()
        self._failing.progressed()

    def pause(self, error: Exception) -> float | None:
        """Return how many seconds to wait after an error; None if it is to be raised."""
        if not may_pass(error):
            return None
        # A defect that the same record meets again does not pass.
        return (self._failing if isinstance(error, InternalServerError) else self._away).pause()


def pause(seconds: float) -> Operation[None]:
    """Do nothing for some seconds; fail if the connection is closed meanwhile."""
    yield Pause(seconds)
