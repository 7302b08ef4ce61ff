"""Interleaved rounds: what is compared is measured in turn, in the same minute."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any


def _nothing() -> None:
    return None


@dataclass(frozen=True)
class Task:
    """Something whose time counts if its result is right.

    Parameters
    ----------
    name : str
    run : callable
        What is timed; takes what `prepare` returned.
    check : callable
        Raises `WrongTransferError` if the result is wrong.
    prepare : callable
        Makes what a run needs afresh; is not timed.
    """

    name: str
    run: Callable[[Any], Any]
    check: Callable[[Any], None]
    prepare: Callable[[], Any] = _nothing


@dataclass
class Timing:
    """Seconds of the rounds of a task, and the processor time this process spent in them."""

    seconds: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def best(self) -> float:
        return min(self.seconds)


def interleave(tasks: Sequence[Task], rounds: int) -> dict[str, Timing]:
    """Time tasks in turn, after one round that only warms up.

    Every round begins with another task, so that none always follows the same one.
    """
    timings = {task.name: Timing() for task in tasks}
    gc.disable()
    try:
        for number in range(rounds + 1):
            first = number % len(tasks)
            for task in [*tasks[first:], *tasks[:first]]:
                prepared = task.prepare()
                cpu, start = time.process_time(), time.perf_counter()
                result = task.run(prepared)
                seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
                task.check(result)
                del result, prepared
                if number:
                    timings[task.name].seconds.append(seconds)
                    timings[task.name].cpu.append(cpu)
            gc.collect()
    finally:
        gc.enable()
    return timings
