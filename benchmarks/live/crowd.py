"""A process of many followers of one rig; their streams share a few connections."""

from __future__ import annotations

import asyncio
import time
import zlib

import numpy as np
from grpc.aio import Channel, UnaryStreamCall

from benchmarks.data import WrongTransferError
from benchmarks.live.batches import Batches, Int64Array
from benchmarks.live.sides import Site
from benchmarks.live.sides.raw import channel
from spikewire.v1 import acquisition_service_pb2 as pb
from spikewire.v1 import acquisition_service_pb2_grpc as rpc
from spikewire.wire.chunks import encode_spikes

_FOLLOWERS_PER_CONNECTION = 10
_SECONDS = 30.0


class Crowd:
    """Followers.

    Parameters
    ----------
    site : Site
        Where the server is.
    name : str
        What they follow.
    spikes : int
        Of a batch.
    """

    def __init__(self, site: Site, name: str, spikes: int) -> None:
        self._site = site
        self._name = name
        self._batches = Batches(spikes)
        self._channels: list[Channel] = []
        self._members: list[_Member] = []

    async def gather(self, count: int, first: int) -> None:
        """Have so many follow from now on, when so many batches were sent."""
        for member in self._members:
            member.leave()
        while len(self._channels) * _FOLLOWERS_PER_CONNECTION < count:
            self._channels.append(channel(self._site))
        request = pb.FollowSpikesRequest(name=self._name, from_now=True)
        self._members = []
        for number in range(count):
            stub = rpc.AcquisitionServiceStub(self._channels[number // _FOLLOWERS_PER_CONNECTION])
            self._members.append(_Member(stub.FollowSpikes(request), first))
        await asyncio.wait_for(asyncio.gather(*(m.is_here.wait() for m in self._members)), _SECONDS)

    async def collect(self, stop: int) -> Int64Array:
        """Return when the batches from the first on were here, shape (followers, batches).

        Raises
        ------
        WrongTransferError
            They are not all here in time, or are not what was sent.
        """
        deadline = time.monotonic() + _SECONDS
        while any(member.count < stop for member in self._members):
            if time.monotonic() > deadline:
                least = min(member.count for member in self._members)
                raise WrongTransferError(f"a follower got {least} of {stop} batches")
            await asyncio.sleep(0.01)
        expected = self._crc(self._members[0].first, stop)
        if any(member.crc != expected for member in self._members):
            raise WrongTransferError("a follower got something else than was sent")
        return np.array([member.times for member in self._members])

    def _crc(self, first: int, stop: int) -> int:
        crc = 0
        for number in range(first, stop):
            for chunk in encode_spikes(*self._batches[number]):
                crc = zlib.crc32(chunk.SerializeToString(), crc)
        return crc


class _Member:
    """One follower: counts, and takes a checksum of all that it gets."""

    def __init__(self, call: UnaryStreamCall, first: int) -> None:
        self.first = first
        self.count = first
        self.crc = 0
        self.times: list[int] = []
        self.is_here = asyncio.Event()
        self._call = call
        self._task = asyncio.ensure_future(self._follow())

    def leave(self) -> None:
        self._call.cancel()
        self._task.cancel()

    async def _follow(self) -> None:
        async for message in self._call:
            now = time.perf_counter_ns()
            if message.WhichOneof("record") is None:
                self.is_here.set()  # what is announced is followed by where that is
            for chunk in message.chunks:
                self.count += 1
                self.times.append(now)
                self.crc = zlib.crc32(chunk.SerializeToString(), self.crc)
