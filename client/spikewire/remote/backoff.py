"""Pauses between attempts."""

from __future__ import annotations

import math
import random
import time

_FIRST_SECONDS = 0.05
_LONGEST_SECONDS = 2.0


class Backoff:
    """Doubling, jittered pauses between a bounded number of attempts.

    Parameters
    ----------
    attempts : int
        How many attempts in a row may fail.
    deadline : float
        The `time.monotonic` beyond which no pause may last.
    """

    def __init__(self, attempts: int, deadline: float = math.inf) -> None:
        self._attempts = attempts
        self._deadline = deadline
        self.progressed()

    def progressed(self) -> None:
        """Begin anew: the last attempt achieved something."""
        self._left = self._attempts - 1
        self._seconds = _FIRST_SECONDS

    def pause(self) -> float | None:
        """Return how many seconds to wait before the next attempt; None if there is none."""
        # The jitter keeps clients apart that lost the same server at the same moment.
        seconds = self._seconds * random.uniform(0.5, 1.0)
        if not self._left or time.monotonic() + seconds > self._deadline:
            return None
        self._left -= 1
        self._seconds = min(2 * self._seconds, _LONGEST_SECONDS)
        return seconds
