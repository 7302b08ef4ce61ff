"""How acquisitions begin, change hands and end."""

from __future__ import annotations

import asyncio
import math
import secrets
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

import structlog

from spikewire.core.errors import InvalidValueError, SpikewireError
from spikewire.v1 import acquisition_service_pb2 as pb
from spikewire.wire.values import value_from_proto
from spikewire_server.acquisition.acquisitions import Acquisitions, not_recording
from spikewire_server.acquisition.live import LiveAcquisition
from spikewire_server.acquisition.live_sorting import LiveSource
from spikewire_server.acquisition.record import Kind, Record, checksum
from spikewire_server.acquisition.recording import Recording, announce, parse_revision
from spikewire_server.acquisition.roster import Roster
from spikewire_server.library import Entry, Origin
from spikewire_server.library.names import check_name
from spikewire_server.library.recorder import Sealed, name_taken

log = structlog.get_logger(__name__)

T = TypeVar("T")

_FIRST_EPOCH = 1
_MAX_REQUEST_ID = 200


class Lifecycle:
    """Begins and ends acquisitions; for the event loop alone.

    What was begun goes on when the call that wanted it is cancelled: names and logs
    must not be left half-made.

    Parameters
    ----------
    acquisitions : Acquisitions
        Where they are kept.
    """

    def __init__(self, acquisitions: Acquisitions) -> None:
        self._acquisitions = acquisitions
        self._workers = acquisitions.workers
        self._library = acquisitions.library
        self._beginning = asyncio.Lock()
        self._stopping = threading.Event()
        self._sealing: dict[str, asyncio.Task[Entry]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self) -> None:
        """Begin to record, and move into the store what a crash kept from it.

        Raises
        ------
        StoreUnwritableError
            If logs cannot be kept.
        """
        for live in self._acquisitions.start():
            self._keep(asyncio.create_task(self._seal_again(live)))

    def close(self) -> None:
        """Write what was accepted, give up what is on its way into the store, and stop."""
        self._stopping.set()
        self._acquisitions.close()

    async def begin(self, request: pb.StartAcquisitionRequest) -> tuple[LiveAcquisition, int]:
        """Begin an acquisition, or return the one that the same request began before.

        Returns
        -------
        live : LiveAcquisition
            The acquisition.
        epoch : int
            The writer's epoch.

        Raises
        ------
        SortingExistsError
            If something else has the name.
        WriterFencedError
            If the request was answered before, and another writer took over since.
        SpikewireError
            If there can be no such acquisition.
        """
        return await self._to_its_end(self._begin(request)), _FIRST_EPOCH

    async def resume(self, name: str) -> tuple[LiveAcquisition, int]:
        """Give an acquisition to a new writer; return it and the writer's epoch.

        Raises
        ------
        NotRecordingError, SortingNotFoundError
            If there is none that could be written.
        StoreUnwritableError
            If the disk is full or failing.
        """
        live = await self._acquisitions.get(name)
        epoch = live.take_over()
        await live.durable()
        return live, epoch

    async def finish(self, name: str, epoch: int, next_sequence: int) -> Entry:
        """End an acquisition, and return what is in the store then; a repeat does no harm.

        Raises
        ------
        SequenceGapError, RecordConflictError
            If it has not exactly the records below `next_sequence`.
        WriterFencedError
            If another writer took over.
        NotRecordingError, SortingNotFoundError
            If there is no such acquisition.
        StoreUnwritableError
            If the disk is full or failing.
        """
        live = self._acquisitions.running(check_name(name))
        if live is None:
            return await self._workers.run(self._finished_before, name, next_sequence)
        live.append(epoch, Kind.FINISHED, next_sequence, b"")
        await live.durable()
        return await self.seal(live)

    async def seal(self, live: LiveAcquisition) -> Entry:
        """Move a finished acquisition into the store."""
        acquisition_id = live.recording.acquisition_id
        task = self._sealing.get(acquisition_id)
        if task is None:
            task = asyncio.create_task(self._seal(live))
            self._sealing[acquisition_id] = task
            task.add_done_callback(lambda _: self._sealing.pop(acquisition_id))
        return await asyncio.shield(task)

    async def _begin(self, request: pb.StartAcquisitionRequest) -> LiveAcquisition:
        name = check_name(request.name)
        if not 0 < len(request.request_id) <= _MAX_REQUEST_ID:
            raise InvalidValueError(
                f"field request_id: it has {len(request.request_id)} characters, not 1 to "
                f"{_MAX_REQUEST_ID}"
            )
        async with self._beginning:
            present = self._acquisitions.running(name)
            if present is None:
                return self._acquisitions.add(await self._workers.run(self._create, request))
            if present.recording.request_id != request.request_id:
                raise name_taken(name, "")
            present.check_epoch(_FIRST_EPOCH)
            return present

    def _create(self, request: pb.StartAcquisitionRequest) -> Recording:
        records = _first_records(request, self._acquisitions.settings.max_unit_count)
        annotations = {entry.key: value_from_proto(entry.value) for entry in request.annotations}
        acquisition_id = secrets.token_hex(16)
        created = self._acquisitions.logs.create(acquisition_id, records)
        try:
            self._library.recorder.begin(
                request.name, acquisition_id, request.sampling_frequency_hz, annotations
            )
        except BaseException:
            self._acquisitions.logs.remove(acquisition_id)
            raise
        return Recording(created)

    def _finished_before(self, name: str, next_sequence: int) -> Entry:
        entry = self._library.describe(name)
        _, last = parse_revision(entry.revision) or ("", None)
        if entry.origin is not Origin.STORE or last != next_sequence - 1:
            raise not_recording(name)
        return entry

    async def _seal(self, live: LiveAcquisition) -> Entry:
        recording = live.recording
        source = LiveSource(recording, recording.last_sequence)
        facts = source.facts(source.look())
        segments = [source.spikes(index) for index in range(len(facts.t_starts))]
        sealed = Sealed(recording.acquisition_id, facts, segments)
        await self._workers.run(
            self._library.recorder.seal, recording.name, sealed, self._stopping.is_set
        )
        self._acquisitions.forget(live)
        log.info("acquisition sealed", name=recording.name, spikes=facts.spike_count)
        return await self._workers.run(self._library.describe, recording.name)

    async def _seal_again(self, live: LiveAcquisition) -> None:
        try:
            await self.seal(live)
        except SpikewireError as error:  # it can be read as it is, and finished again
            log.error("acquisition not sealed", name=live.recording.name, error=str(error))

    async def _to_its_end(self, work: Coroutine[Any, Any, T]) -> T:
        return await asyncio.shield(self._keep(asyncio.create_task(work)))

    def _keep(self, task: asyncio.Task[T]) -> asyncio.Task[T]:
        self._tasks.add(task)  # the event loop alone would let it be collected
        task.add_done_callback(self._tasks.discard)
        return task


def _first_records(request: pb.StartAcquisitionRequest, max_units: int) -> list[Record]:
    """Return the records that an acquisition begins with: itself, its units, a segment."""
    rate = request.sampling_frequency_hz
    if not (math.isfinite(rate) and rate > 0):
        raise InvalidValueError(f"field sampling_frequency_hz: {rate} is not a positive number")
    payload = request.SerializeToString()
    records = [Record(Kind.STARTED, 1, payload, checksum(Kind.STARTED, payload), 0)]
    announced: list[tuple[Kind, bytes]] = []
    if request.unit_ids.WhichOneof("ids") is not None:
        added = pb.UnitsAdded(unit_ids=request.unit_ids)
        announced.append((Kind.UNITS, added.SerializeToString()))
    segment = pb.SegmentStarted()
    if request.HasField("t_start_seconds"):
        segment.t_start_seconds = request.t_start_seconds
    announced.append((Kind.SEGMENT, segment.SerializeToString()))
    roster = Roster()
    for sequence, (kind, payload) in enumerate(announced, 1):
        announce(roster, sequence, kind, payload, max_units)
        records.append(Record(kind, sequence, payload, checksum(kind, payload), 0))
    return records
