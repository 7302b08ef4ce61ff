"""Which failures rigs and followers wait out: those that may be over after a while."""

from __future__ import annotations

from spikewire.core.errors import NotSupportedByServerError, RemoteError, StoreUnwritableError
from spikewire.remote.steps import Operation, Pause


def may_pass(error: Exception) -> bool:
    """Whether an attempt that failed with this may succeed later."""
    if isinstance(error, NotSupportedByServerError):
        return False
    return isinstance(error, RemoteError | StoreUnwritableError)


def pause(seconds: float) -> Operation[None]:
    """Do nothing for some seconds; fail if the connection is closed meanwhile."""
    yield Pause(seconds)
