"""How far a writer is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class WriterStats:
    """How far a writer's spikes have come."""

    appended: int
    """Spikes that were appended, with those that an earlier process left in the spool."""
    acknowledged: int
    """Spikes of these that are on the server's disk."""
    lag_seconds: float
    """How long the oldest record that is not acknowledged has waited; 0.0 if there is none."""
    spool_bytes: int
    """The size of the spool; what is acknowledged leaves it some megabytes at a time."""
    is_connected: bool
    """Whether there is no reason to believe that the server cannot be reached."""
    reconnects: int
    """How often the connection was lost and made again."""
    last_error: str
    """Why the connection was lost the last time, or the writer cannot go on; empty at first."""

    @property
    def lag_spikes(self) -> int:
        """Spikes that are not acknowledged."""
        return self.appended - self.acknowledged
