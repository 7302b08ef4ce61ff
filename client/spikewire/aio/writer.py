"""`SpikeWriter`: what a rig records with, awaited."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import suppress
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar

import numpy as np

from spikewire.aio.channel import Connection
from spikewire.aio.sorting import RemoteSorting
from spikewire.core.dtypes import AnyArray, FloatArray, IntArray
from spikewire.remote.live.recording import Recording
from spikewire.remote.live.writer import WriterShape

P = ParamSpec("P")
ResultT = TypeVar("ResultT")


class SpikeWriter(WriterShape):
    """Records spikes onto a server; made by `Client.acquire`.

    Its methods are those of `spikewire.remote.live.writer.SpikeWriter`, awaited, with the
    same parameters, results, errors and guarantees: what `append` took is in the spool,
    and goes to the server from there, whatever happens to the connection, the server or
    this process. A thread of the writer's writes the spool, another one sends it: the
    event loop waits neither for the disk, full, slow or synced, nor for the network, and
    a loop that is held up elsewhere holds up no spikes that were taken. What a batch costs
    the loop is to copy it and to wake that thread: some 0.02 ms for 1,000 spikes, and
    0.1 ms for 10,000, if they are given as arrays.

    What is awaited may be cancelled. A batch, segment, unit or sync point is then taken
    whole or not at all, before whatever is awaited next; what was taken is sent. `flush`
    and `finish` may be called again, unless the server had already finished.

    Used in an ``async with`` block it is finished at the end; if the block is left by an
    exception, it is closed, and the acquisition can be resumed. Safe to use from many
    tasks of its loop.

    Examples
    --------
    >>> async with await client.acquire("rat7/probe0", 30_000.0, unit_ids=[1, 2]) as writer:
    ...     async for samples, labels in sorter:
    ...         await writer.append(samples, labels)
    """

    _known_as = "spikewire.aio.SpikeWriter"

    def __init__(self, connection: Connection, recording: Recording, worker: Executor) -> None:
        super().__init__(recording)
        self._connection = connection
        self._worker = worker

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if kind is None and self._recording.is_open:
                await self.finish()
        finally:
            await self.close()

    async def append(
        self,
        sample_indices: Sequence[int] | IntArray,
        labels: Sequence[Any] | AnyArray,
        segment_index: int | None = None,
    ) -> None:
        """Append a batch of spikes."""
        # Copies: who is cancelled may use the arrays again before they are encoded.
        samples, units = np.array(sample_indices), np.array(labels)
        await self._in_turn(self._recording.append, samples, units, segment_index)

    async def start_segment(self, t_start: float | None = None) -> int:
        """Start the next segment, to which batches belong from now on; return its index."""
        return await self._in_turn(self._recording.start_segment, t_start)

    async def add_units(self, unit_ids: Iterable[Any] | AnyArray) -> None:
        """Announce units that were not known before."""
        units = unit_ids.copy() if isinstance(unit_ids, np.ndarray) else list(unit_ids)
        await self._in_turn(self._recording.add_units, units)

    async def add_sync_points(
        self,
        sample_index: int | Sequence[int] | IntArray,
        time_s: float | Sequence[float] | FloatArray,
        segment_index: int | None = None,
    ) -> None:
        """State at which times, on a clock that several rigs share, samples were taken."""
        samples, times = np.array(sample_index), np.array(time_s)
        await self._in_turn(self._recording.add_sync_points, samples, times, segment_index)

    async def flush(self, timeout: float | None = None) -> None:
        """Wait until everything that was appended is on the server's disk."""
        await self._connection.run(self._recording.flush(timeout))

    async def finish(self, timeout: float | None = None) -> RemoteSorting:
        """Wait until the server has everything, and seal the sorting into its store."""
        # Behind appends that other tasks await, the loop meets no lock that a disk holds.
        await self._in_turn(self._recording.check)
        info = await self._connection.run(self._recording.finish(timeout))
        await asyncio.shield(self._in_turn(self._recording.discard))
        return RemoteSorting(self._connection, info)

    async def close(self) -> None:
        """Stop, without finishing the acquisition."""
        await asyncio.shield(self._in_turn(self._recording.close))

    def _in_turn(
        self, do: Callable[P, ResultT], *arguments: P.args, **named: P.kwargs
    ) -> asyncio.Future[ResultT]:
        """Do something in the writer's thread, one thing after the other."""
        return asyncio.wrap_future(self._worker.submit(do, *arguments, **named))


async def acquire_in_thread(connection: Connection, begin: Callable[[], Recording]) -> SpikeWriter:
    """Begin a recording in the thread that writes its spool, which may be long already.

    Whoever is cancelled meanwhile leaves the acquisition as one that can be resumed.
    """
    worker = ThreadPoolExecutor(1, "spikewire-spool")
    beginning = worker.submit(begin)
    try:
        recording = await asyncio.wrap_future(beginning)
    except asyncio.CancelledError:
        beginning.add_done_callback(_close)
        raise
    return SpikeWriter(connection, recording, worker)


def in_loop(tell: Callable[[ResultT], object]) -> Callable[[ResultT], object]:
    """Return what threads call to have something called in the event loop that runs now."""
    loop = asyncio.get_running_loop()

    def tell_there(what: ResultT) -> None:
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(tell, what)

    return tell_there


def _close(beginning: Future[Recording]) -> None:
    if not beginning.cancelled() and beginning.exception() is None:
        beginning.result().close()
