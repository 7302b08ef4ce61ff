"""A client that streams a sorting, window by window, and holds no more than one of them.

Run as a program, with an address and a name, it prints JSON: its memory is its own then.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, dataclass

import spikewire
from benchmarks.data import SAMPLING_FREQUENCY, Truth, WrongTransferError
from benchmarks.processes import MemoryWatch

_WINDOW_SPIKES = 4_000_000


@dataclass(frozen=True)
class Streamed:
    """What a client made of a sorting.

    Parameters
    ----------
    seconds : float
        Spent in reading.
    count, sample_sum, unit_sum : int
        What the spikes amount to.
    memory : int
        Bytes above those of an opened sorting, the arrays of one window left out.
    """

    seconds: float
    count: int
    sample_sum: int
    unit_sum: int
    memory: int

    def check(self, truth: Truth) -> None:
        """Raise `WrongTransferError` if it was not all."""
        got = (self.count, self.sample_sum, self.unit_sum)
        if got != (truth.count, truth.sample_sum, truth.unit_sum):
            raise WrongTransferError("the windows do not add up to the sorting")


def streamed(address: str, name: str, truth: Truth) -> Streamed:
    """Return what a client of its own process makes of a sorting."""
    last = truth.last[0]
    step = max(int(60 * SAMPLING_FREQUENCY), last * _WINDOW_SPIKES // truth.count)
    done = subprocess.run(
        [sys.executable, "-m", __name__, address, name, str(last + 1), str(step)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    result = Streamed(**json.loads(done.stdout))
    result.check(truth)
    return result


def _stream(sorting: spikewire.BaseSorting, end: int, step: int) -> Streamed:
    seconds = 0.0
    count = sample_sum = unit_sum = largest = 0
    with MemoryWatch(os.getpid()) as memory:
        for start in range(0, end, step):
            begun = time.perf_counter()
            samples, units = sorting.to_spike_columns(start_frame=start, end_frame=start + step)
            seconds += time.perf_counter() - begun
            count += len(samples)
            sample_sum += int(samples.sum())
            unit_sum += int(units.sum())
            largest = max(largest, samples.nbytes + units.nbytes)
            del samples, units  # else the next window is read beside this one
    return Streamed(seconds, count, sample_sum, unit_sum, memory.growth.own - largest)


def main() -> None:
    address, name, end, step = sys.argv[1:]
    with spikewire.connect(address, progress=False) as client:
        json.dump(asdict(_stream(client.open(name), int(end), int(step))), sys.stdout)


if __name__ == "__main__":
    main()
