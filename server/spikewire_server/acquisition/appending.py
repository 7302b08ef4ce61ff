"""Takes the records of one writer from a stream, and acknowledges what is on disk."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator

from spikewire.core.errors import InvalidValueError
from spikewire.v1 import acquisition_service_pb2 as pb
from spikewire_server.acquisition.append_messages import Batch, split
from spikewire_server.acquisition.live import LiveAcquisition
from spikewire_server.acquisition.record import Kind

MAX_PENDING_BYTES = 8 * 1024 * 1024
"""How much a writer may be ahead of the disk; beyond it its stream is not read."""

_KINDS = {
    "units_added": Kind.UNITS,
    "segment_started": Kind.SEGMENT,
    "sync_point": Kind.SYNC,
}


class Appender:
    """One writer's stream.

    Parameters
    ----------
    live : LiveAcquisition
        What is written.
    epoch : int
        The writer's.

    Raises
    ------
    WriterFencedError, InvalidValueError
        If the epoch is not the present writer's.
    """

    def __init__(self, live: LiveAcquisition, epoch: int) -> None:
        live.check_epoch(epoch)
        self._live = live
        self._epoch = epoch
        self._failures = live.failures
        self._owed = 1  # the sequence up to which the writer shall hear of its records
        self._repeated = False

    def take(self, batches: list[Batch], rest: pb.AppendSpikesRequest) -> None:
        """Accept the records of one message.

        Raises
        ------
        InvalidValueError
            If it has records of several kinds.
        SpikewireError
            As `LiveAcquisition.append`.
        """
        live, field = self._live, rest.WhichOneof("record")
        before = live.next_sequence
        if field is None:
            live.append_batches(self._epoch, rest.sequence, batches)
        elif batches:
            raise InvalidValueError(f"field {field}: a message that has it has no chunks")
        else:
            payload = getattr(rest, field).SerializeToString(deterministic=True)
            live.append(self._epoch, _KINDS[field], rest.sequence, payload)
        self._owed = live.next_sequence
        if self._owed == before:  # nothing will become durable that would tell the writer
            self._repeated = True
            live.changed.fire()

    async def acknowledge(self, requests: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
        """Accept records, and yield serialized AppendSpikesResponse messages.

        What came before a record that is refused is acknowledged before the error is
        raised. Ends when the writer closed its side, or the acquisition is finished.

        Parameters
        ----------
        requests : async iterator of bytes
            Serialized AppendSpikesRequest messages.

        Raises
        ------
        StoreUnwritableError
            If records could not be written.
        SpikewireError
            As `take`.
        """
        live, acknowledged = self._live, 0
        reader = asyncio.create_task(self._read(requests))
        reader.add_done_callback(lambda _: live.changed.fire())
        try:
            while True:
                live.check_failures(self._failures)
                live.check_waiting()
                durable = live.recording.next_sequence
                if durable > acknowledged or self._repeated:
                    acknowledged, self._repeated = durable, False
                    yield pb.AppendSpikesResponse(
                        next_sequence=durable,
                        spike_count=live.recording.log.records.spikes_before(durable),
                    ).SerializeToString()
                elif reader.done() and durable >= self._owed:
                    reader.result()  # raises why it ended, if not because the writer did
                    return
                elif live.recording.is_finished:
                    return
                else:
                    live.check_epoch(self._epoch)
                    await live.changed.wait()
        finally:
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)

    async def _read(self, requests: AsyncIterator[bytes]) -> None:
        async for data in requests:
            self.take(*split(data))
            while self._live.pending.bytes > MAX_PENDING_BYTES:
                await self._live.changed.wait()
