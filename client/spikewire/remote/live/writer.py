"""`SpikeWriter`: what a rig records with."""

from __future__ import annotations

import math
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from spikewire.core.dtypes import AnyArray, FloatArray, IntArray
from spikewire.core.errors import (
    InvalidTypeError,
    InvalidValueError,
    NotRecordingError,
)
from spikewire.remote.backoff import Backoff
from spikewire.remote.calls import call
from spikewire.remote.channel import Connection
from spikewire.remote.live import records
from spikewire.remote.live.announced import Announced
from spikewire.remote.live.records import Draft
from spikewire.remote.live.retrying import may_pass, pause
from spikewire.remote.live.sender import Sender
from spikewire.remote.live.spool import Spool
from spikewire.remote.live.stats import WriterStats
from spikewire.remote.methods import FINISH_ACQUISITION
from spikewire.remote.remote_sorting import RemoteSorting
from spikewire.v1 import acquisition_service_pb2 as pb
from spikewire.wire.sortings import sorting_from_proto


class _State(Enum):
    OPEN = "takes spikes"
    FINISHING = "is being finished"
    FINISHED = "was finished"
    CLOSED = "was closed"


class SpikeWriter:
    """Records spikes onto a server; made by `Client.acquire`.

    What `append` takes is in the spool, a folder of this machine, before `append`
    returns, and goes to the server from there, however often the connection or the
    server is lost meanwhile. `append` never waits for the network: it takes as long as
    it takes to encode the spikes and to hand them to the file system (some 0.1 ms for
    1,000 spikes), and with ``sync=True`` as long as the disk takes besides.

    Used in a ``with`` block it is finished at the end; if the block is left by an
    exception, it is closed, and the acquisition can be resumed. Safe to use from many
    threads.

    Attributes
    ----------
    name : str
        The sorting's name.
    sampling_frequency : float
        Samples per second, in Hz.

    Examples
    --------
    >>> with client.acquire("rat7/probe0", sampling_frequency=30_000.0, unit_ids=[1, 2]) as writer:
    ...     for samples, labels in sorter:
    ...         writer.append(samples, labels)
    """

    def __init__(
        self,
        connection: Connection,
        started: pb.StartAcquisitionResponse,
        spool: Spool,
        announced: Announced,
        sender: Sender,
    ) -> None:
        self.name = started.acquisition.name
        self.sampling_frequency = started.acquisition.sampling_frequency_hz
        self._connection = connection
        self._epoch = started.epoch
        self._spool = spool
        self._announced = announced
        self._sender = sender
        self._lock = threading.Lock()
        self._state = _State.OPEN

    def __repr__(self) -> str:
        stats = self.stats
        return (
            f"<spikewire.SpikeWriter: {self.name}, {stats.appended:,} spikes appended, "
            f"{stats.acknowledged:,} acknowledged>"
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is None and self._state is _State.OPEN:
            self.finish()
        self.close()

    @property
    def unit_ids(self) -> AnyArray:
        """The units announced so far, read-only."""
        return self._announced.unit_ids

    @property
    def segment_count(self) -> int:
        """How many segments were started so far."""
        return self._announced.segment_count

    @property
    def spool_folder(self) -> Path:
        """Where the spool is."""
        return self._spool.folder

    @property
    def stats(self) -> WriterStats:
        """How far the spikes have come."""
        return self._sender.stats

    def append(
        self,
        sample_indices: Sequence[int] | IntArray,
        labels: Sequence[Any] | AnyArray,
        segment_index: int | None = None,
    ) -> None:
        """Append a batch of spikes.

        Parameters
        ----------
        sample_indices : array of int, shape (spikes,)
            In any order: they are sorted, those of the same sample stay in order. They
            may be negative, and smaller than those of earlier batches.
        labels : array, shape (spikes,)
            The unit id of each spike.
        segment_index : int, optional
            A segment that was started; by default the last one.

        Raises
        ------
        UnitNotFoundError, SegmentIndexError, InvalidTypeError, InvalidValueError
            Nothing of the batch was taken: it is wrong.
        SpoolFullError
            Nothing of the batch was taken: the spool has no room.
        WriterFencedError, SpikewireError
            Nothing of the batch was taken: another writer took over, or the server
            refused an earlier record. What was not acknowledged stays in the spool.
        """
        samples, units = _batch(sample_indices, labels)
        with self._lock:
            self._check()
            segment = self._announced.segment(segment_index)
            indices = self._announced.indices(units)
            if len(samples):
                self._put(records.batches(samples, indices, segment))

    def start_segment(self, t_start: float | None = None) -> int:
        """Start the next segment, to which batches belong from now on.

        Parameters
        ----------
        t_start : float, optional
            The time of its sample 0, in seconds.

        Returns
        -------
        int
            Its index.

        Raises
        ------
        SpikewireError
            As `append`.
        """
        if t_start is not None and not math.isfinite(t_start):
            raise InvalidValueError(f"t_start must be a finite number of seconds, not {t_start}")
        with self._lock:
            self._check()
            self._put([records.segment_started(t_start)])
            self._announced.start_segment()
            return self._announced.segment_count - 1

    def add_units(self, unit_ids: Iterable[Any] | AnyArray) -> None:
        """Announce units that were not known before.

        Parameters
        ----------
        unit_ids : sequence of int or of str
            Unique, and of the type of those before.

        Raises
        ------
        ContractError
            One is known already, or is of another type.
        LimitExceededError
            There would be more than the server admits.
        SpikewireError
            As `append`.
        """
        with self._lock:
            self._check()
            added = self._announced.new_units(unit_ids)
            if len(added):
                self._put([records.units_added(added)])
                self._announced.add_units(added)

    def add_sync_points(
        self,
        sample_index: int | Sequence[int] | IntArray,
        time_s: float | Sequence[float] | FloatArray,
        segment_index: int | None = None,
    ) -> None:
        """State at which times, on a clock that several rigs share, samples were taken.

        Parameters
        ----------
        sample_index : int, or array of int, shape (points,)
            Ascending, and larger than that of the segment's sync point before.
        time_s : float, or array of float, shape (points,)
            In seconds, ascending as well.
        segment_index : int, optional
            A segment that was started; by default the last one.

        Raises
        ------
        InvalidValueError
            Samples or times do not ascend; no point was taken.
        SpikewireError
            As `append`.
        """
        points = _points(sample_index, time_s)
        with self._lock:
            self._check()
            segment = self._announced.segment(segment_index)
            self._announced.check_sync_points(segment, points)
            if points:
                self._put([records.sync_point(segment, *point) for point in points])
                self._announced.add_sync_point(segment, *points[-1])

    def flush(self, timeout: float | None = None) -> None:
        """Wait until everything that was appended is on the server's disk.

        Parameters
        ----------
        timeout : float, optional
            Seconds; by default for ever.

        Raises
        ------
        DeadlineExceededError
            It took longer. Nothing is lost: it is sent as soon as that is possible.
        WriterFencedError, SpikewireError
            It cannot be sent; what was not acknowledged stays in the spool.
        """
        self._sender.wait(self._spool.next_sequence, _deadline(timeout))

    def finish(self, timeout: float | None = None) -> RemoteSorting:
        """Wait until the server has everything, and seal the sorting into its store.

        Parameters
        ----------
        timeout : float, optional
            Seconds; by default for ever.

        Returns
        -------
        RemoteSorting
            The sorting, which has the same name and revision as before.

        Raises
        ------
        DeadlineExceededError
            It took longer. Recording can go on, or be finished again.
        WriterFencedError, SpikewireError
            As `flush`.
        """
        with self._lock:
            self._check()
            self._state = _State.FINISHING
        try:
            sorting = self._finish(_deadline(timeout))
        except BaseException:
            with self._lock:
                if self._state is _State.FINISHING:
                    self._state = _State.OPEN
            raise
        self._state = _State.FINISHED
        self._sender.stop()
        self._spool.remove()
        return sorting

    def close(self) -> None:
        """Stop, without finishing the acquisition.

        What was not acknowledged stays in the spool: `Client.acquire` with the same name
        and spool goes on with it.
        """
        with self._lock:
            if self._state in (_State.FINISHED, _State.CLOSED):
                return
            self._state = _State.CLOSED
        self._sender.stop()
        self._spool.close()

    def _check(self) -> None:
        if self._state is not _State.OPEN:
            raise NotRecordingError(f"the writer of {self.name!r} {self._state.value}")
        self._sender.check()

    def _put(self, drafts: list[Draft]) -> None:
        self._spool.append(drafts)
        self._sender.appended(sum(draft.spike_count for draft in drafts))

    def _finish(self, deadline: float) -> RemoteSorting:
        next_sequence = self._spool.next_sequence
        self._sender.wait(next_sequence, deadline)
        request = pb.FinishAcquisitionRequest(
            name=self.name, epoch=self._epoch, next_sequence=next_sequence
        )
        backoff = Backoff(sys.maxsize, deadline)
        while True:
            try:
                seconds = min(deadline - time.monotonic(), FINISH_ACQUISITION.timeout)
                response = self._connection.run(
                    call(FINISH_ACQUISITION, request, max(seconds, 0.001))
                )
            except Exception as error:
                wait = backoff.pause()
                if wait is None or self._connection.is_closed or not may_pass(error):
                    raise
                self._connection.run(pause(wait))
            else:
                return RemoteSorting._of(self._connection, sorting_from_proto(response.sorting))


def _batch(sample_indices: Any, labels: Any) -> tuple[IntArray, AnyArray]:
    """Return samples, ascending, and labels as arrays."""
    samples, units = np.asarray(sample_indices), np.asarray(labels)
    if samples.ndim != 1 or units.ndim != 1 or len(samples) != len(units):
        raise InvalidValueError(
            f"a batch is a flat array of samples and one of as many labels, not arrays of shapes "
            f"{samples.shape} and {units.shape}"
        )
    if not len(samples):
        return np.empty(0, np.int64), units
    if samples.dtype.kind not in "iu":
        raise InvalidTypeError(f"sample indices must be integers, not {samples.dtype}")
    if samples.dtype.kind == "u" and int(samples.max()) > np.iinfo(np.int64).max:
        raise InvalidValueError(f"the sample index {samples.max()} is beyond 2**63 - 1")
    samples = samples.astype(np.int64, copy=False)
    if np.any(samples[1:] < samples[:-1]):
        order = np.argsort(samples, kind="stable")
        samples, units = samples[order], units[order]
    return samples, units


def _deadline(timeout: float | None) -> float:
    return math.inf if timeout is None else time.monotonic() + timeout


def _points(sample_index: Any, time_s: Any) -> list[tuple[int, float]]:
    """Return sync points given one by one or as arrays."""
    samples, times = np.atleast_1d(sample_index), np.atleast_1d(time_s)
    if samples.ndim != 1 or samples.shape != times.shape:
        raise InvalidValueError(
            f"sync points are as many samples as times, not arrays of shapes {samples.shape} and "
            f"{times.shape}"
        )
    if len(samples) and samples.dtype.kind not in "iu":
        raise InvalidTypeError(f"sample indices must be integers, not {samples.dtype}")
    return list(zip(samples.tolist(), times.astype(float).tolist(), strict=True))
