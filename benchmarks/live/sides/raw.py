"""spikewire by its protocol alone: grpc.aio, one connection a rig, no spool."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from itertools import count

import grpc
import numpy as np

from benchmarks.data import SAMPLING_FREQUENCY
from benchmarks.live.batches import UNITS, Batch, Ledger
from benchmarks.live.sides import Site
from benchmarks.live.sides.spikewire_server import check, missing, serving
from spikewire.v1 import acquisition_service_pb2 as pb
from spikewire.v1 import acquisition_service_pb2_grpc as rpc
from spikewire.wire.chunks import decode_spikes, encode_spikes
from spikewire.wire.unit_ids import unit_ids_to_proto

__all__ = ["ACKNOWLEDGES", "NAME", "check", "missing", "open_follower", "open_rig", "serving"]

NAME = "raw messages"
ACKNOWLEDGES = True
# Each rig is a machine of its own, in truth.
_OPTIONS = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", -1)]
_running: set[asyncio.Task[None]] = set()


class _Rig:
    def __init__(self, call: grpc.aio.StreamStreamCall, sequence: int) -> None:
        self._call = call
        self._sequences = count(sequence)

    async def send(self, batch: Batch) -> None:
        chunks = encode_spikes(*batch)
        await self._call.write(
            pb.AppendSpikesRequest(chunks=chunks, sequence=next(self._sequences))
        )


async def open_rig(site: Site, name: str, acked: Callable[[int], None]) -> _Rig:
    stub = rpc.AcquisitionServiceStub(channel(site))
    started = await stub.StartAcquisition(
        pb.StartAcquisitionRequest(
            name=name,
            request_id=name,
            sampling_frequency_hz=SAMPLING_FREQUENCY,
            unit_ids=unit_ids_to_proto(np.arange(UNITS)),
        )
    )
    call = stub.AppendSpikes()
    await call.write(pb.AppendSpikesRequest(name=name, epoch=started.epoch))
    in_background(_listen(call, acked))
    return _Rig(call, started.acquisition.next_sequence)


async def open_follower(site: Site, ledgers: Mapping[str, Ledger]) -> None:
    stub = rpc.AcquisitionServiceStub(channel(site))
    for name, ledger in ledgers.items():
        in_background(_follow(stub.FollowSpikes(pb.FollowSpikesRequest(name=name)), ledger))


def channel(site: Site) -> grpc.aio.Channel:
    """Return a connection."""
    return grpc.aio.insecure_channel(site.address, options=_OPTIONS)


def in_background(work: AsyncIterator[None]) -> None:
    task = asyncio.ensure_future(work)
    _running.add(task)  # the event loop itself does not keep it
    task.add_done_callback(lambda done: done.result())  # so that a failure is reported


async def _listen(call: grpc.aio.StreamStreamCall, acked: Callable[[int], None]) -> None:
    async for response in call:
        acked(response.spike_count)


async def _follow(call: grpc.aio.UnaryStreamCall, ledger: Ledger) -> None:
    async for message in call:
        for chunk in message.chunks:
            samples = np.empty(chunk.spike_count, np.int64)
            units = np.empty(chunk.spike_count, np.int64)
            decode_spikes(chunk, samples, units, UNITS)
            ledger.take(samples, units)
