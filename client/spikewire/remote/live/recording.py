"""An acquisition as its rig has it: what writers do, whichever way their callers wait."""

from __future__ import annotations

import math
import sys
import threading
import time
from collections.abc import Iterable
from enum import Enum
from typing import Any

from spikewire.core.dtypes import AnyArray
from spikewire.core.errors import InvalidValueError, NotRecordingError
from spikewire.remote.backoff import Backoff
from spikewire.remote.calls import call
from spikewire.remote.live import records
from spikewire.remote.live.announced import Announced
from spikewire.remote.live.arguments import as_batch, as_sync_points
from spikewire.remote.live.records import Draft
from spikewire.remote.live.retrying import may_pass, pause
from spikewire.remote.live.sender import Sender
from spikewire.remote.live.spool import Spool
from spikewire.remote.methods import FINISH_ACQUISITION
from spikewire.remote.steps import Operation
from spikewire.v1 import acquisition_service_pb2 as pb
from spikewire.wire.sortings import SortingInfo, sorting_from_proto


class _State(Enum):
    OPEN = "takes spikes"
    FINISHING = "is being finished"
    FINISHED = "was finished"
    CLOSED = "was closed"


class Recording:
    """Puts records into the spool, behind which a sender works, and ends the acquisition.

    Its methods are those of `SpikeWriter`, where they are documented. Those that wait
    for the server are operations; the others wait for the disk alone. Safe to use from
    many threads.

    Parameters
    ----------
    started : StartAcquisitionResponse
        What the server said of the acquisition.
    spool : Spool
        Where the records go.
    announced : Announced
        What they may refer to.
    sender : Sender
        Sends them.
    """

    def __init__(
        self,
        started: pb.StartAcquisitionResponse,
        spool: Spool,
        announced: Announced,
        sender: Sender,
    ) -> None:
        self.name = started.acquisition.name
        self.sampling_frequency = started.acquisition.sampling_frequency_hz
        self._epoch = started.epoch
        self.spool = spool
        self.announced = announced
        self.sender = sender
        self._lock = threading.Lock()
        self._state = _State.OPEN

    @property
    def is_open(self) -> bool:
        """Whether it takes records."""
        return self._state is _State.OPEN

    def check(self) -> None:
        """Raise what keeps records from being taken, if there is such a thing."""
        if self._state is not _State.OPEN:
            raise NotRecordingError(f"the writer of {self.name!r} {self._state.value}")
        self.sender.check()

    def append(self, sample_indices: Any, labels: Any, segment_index: int | None) -> None:
        """Take a batch of spikes."""
        samples, units = as_batch(sample_indices, labels)
        with self._lock:
            self.check()
            segment = self.announced.segment(segment_index)
            indices = self.announced.indices(units)
            if len(samples):
                self._put(records.batches(samples, indices, segment))

    def start_segment(self, t_start: float | None) -> int:
        """Start a segment, and return its index."""
        if t_start is not None and not math.isfinite(t_start):
            raise InvalidValueError(f"t_start must be a finite number of seconds, not {t_start}")
        with self._lock:
            self.check()
            self._put([records.segment_started(t_start)])
            self.announced.start_segment()
            return self.announced.segment_count - 1

    def add_units(self, unit_ids: Iterable[Any] | AnyArray) -> None:
        """Announce units."""
        with self._lock:
            self.check()
            added = self.announced.new_units(unit_ids)
            if len(added):
                self._put([records.units_added(added)])
                self.announced.add_units(added)

    def add_sync_points(self, sample_index: Any, time_s: Any, segment_index: int | None) -> None:
        """Take sync points."""
        points = as_sync_points(sample_index, time_s)
        with self._lock:
            self.check()
            segment = self.announced.segment(segment_index)
            self.announced.check_sync_points(segment, points)
            if points:
                self._put([records.sync_point(segment, *point) for point in points])
                self.announced.add_sync_point(segment, *points[-1])

    def flush(self, timeout: float | None) -> Operation[None]:
        """Wait until the server has everything that was taken."""
        return self.sender.wait(self.spool.next_sequence, _deadline(timeout))

    def finish(self, timeout: float | None) -> Operation[SortingInfo]:
        """Wait until the server has everything, and have it seal the sorting.

        If that fails, or is given up, records are taken again; if not, `discard` is due.
        """
        with self._lock:
            self.check()
            self._state = _State.FINISHING
        try:
            info = yield from self._finish(_deadline(timeout))
        except BaseException:
            with self._lock:
                if self._state is _State.FINISHING:
                    self._state = _State.OPEN
            raise
        self._state = _State.FINISHED
        return info

    def discard(self) -> None:
        """Remove the spool of an acquisition that was finished."""
        self.sender.stop()
        self.spool.remove()

    def close(self) -> None:
        """Stop, and leave in the spool what the server does not have."""
        with self._lock:
            if self._state in (_State.FINISHED, _State.CLOSED):
                return
            self._state = _State.CLOSED
        self.sender.stop()
        self.spool.close()

    def _put(self, drafts: list[Draft]) -> None:
        self.spool.append(drafts)
        self.sender.appended(sum(draft.spike_count for draft in drafts))

    def _finish(self, deadline: float) -> Operation[SortingInfo]:
        next_sequence = self.spool.next_sequence
        yield from self.sender.wait(next_sequence, deadline)
        request = pb.FinishAcquisitionRequest(
            name=self.name, epoch=self._epoch, next_sequence=next_sequence
        )
        backoff = Backoff(sys.maxsize, deadline)
        while True:
            try:
                seconds = min(deadline - time.monotonic(), FINISH_ACQUISITION.timeout)
                response = yield from call(FINISH_ACQUISITION, request, max(seconds, 0.001))
            except Exception as error:
                wait = backoff.pause()
                if wait is None or not may_pass(error):
                    raise
            else:
                return sorting_from_proto(response.sorting)
            yield from pause(wait)


def _deadline(timeout: float | None) -> float:
    return math.inf if timeout is None else time.monotonic() + timeout
