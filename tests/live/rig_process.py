"""A rig to be killed: appends numbered batches as fast as it can, and says which were taken.

``python rig_process.py ADDRESS NAME SPOOL LIFE``; LIFE counts how often it was started.
"""

from __future__ import annotations

import itertools
import sys
import time

import numpy as np

import spikewire
from spikewire.core.errors import RemoteError

UNITS = (3, 5, 8)


def batch(life: int, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Return samples and labels that no other batch has."""
    count = 1 + number % 7
    samples = (life << 40) + 10 * number + np.arange(count)
    return samples, np.take(UNITS, (number + np.arange(count)) % len(UNITS))


def record(address: str, name: str, spool: str, life: int) -> None:
    """Record until somebody ends the process."""
    while True:
        try:
            client = spikewire.connect(address)
            if life:
                writer = client.acquire(name, spool=spool, resume=True)
            else:
                writer = client.acquire(name, 30_000.0, UNITS, spool=spool)
            break
        except RemoteError:  # its server may be dead as well
            time.sleep(0.05)
    for number in itertools.count():
        writer.append(*batch(life, number))
        print(number, flush=True)
        if number % 10 == 9:
            time.sleep(0.002)


if __name__ == "__main__":
    record(*sys.argv[1:4], life=int(sys.argv[4]))
