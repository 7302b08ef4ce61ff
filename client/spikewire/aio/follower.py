"""`Follower`: the spikes of an acquisition as they are recorded, awaited."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from types import TracebackType
from typing import Self

from spikewire.aio.channel import LONG_MESSAGE, Connection
from spikewire.core.errors import ServerUnavailableError
from spikewire.remote.live.follower import FollowerShape
from spikewire.remote.live.following import Following, SpikeBlock
from spikewire.remote.live.retrying import FollowerPatience, pause
from spikewire.remote.methods import FOLLOW_SPIKES
from spikewire.v1 import acquisition_service_pb2 as pb


class Follower(FollowerShape, AsyncIterator[SpikeBlock]):
    """Gives the spikes of an acquisition, those of the past and those to come.

    Made by `Client.follow`. Iteration waits for spikes, goes on by itself when the
    connection or the server was lost, and ends when the acquisition is finished. A wait
    may be cancelled, by `asyncio.timeout` for instance: the next one misses nothing. For
    one task at a time.

    Parameters
    ----------
    connection : Connection
        The way to the server.
    following : Following
        Where it begins.
    """

    _known_as = "spikewire.aio.Follower"

    def __init__(self, connection: Connection, following: Following) -> None:
        super().__init__(following)
        self._connection = connection
        self._messages: AsyncGenerator[pb.FollowSpikesResponse, None] | None = None
        self._taking: asyncio.Future[list[SpikeBlock]] | None = None
        self._blocks: deque[SpikeBlock] = deque()
        self._is_closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SpikeBlock:
        """Wait for spikes, and return them."""
        while not self._is_closed:
            if self._taking is not None:
                await asyncio.wait([self._taking])
                taken, self._taking = self._taking, None
                self._blocks.extend(taken.result())
            elif self._blocks:
                return self._blocks.popleft()
            elif self._following.is_finished:
                break
            else:
                self._take(await self._receive())
        raise StopAsyncIteration

    async def close(self) -> None:
        """End the stream; iteration ends with it."""
        self._is_closed = True
        messages, self._messages = self._messages, None
        if messages is not None:
            await messages.aclose()

    def _take(self, message: pb.FollowSpikesResponse) -> None:
        if message.ByteSize() > LONG_MESSAGE:
            # Kept, because it goes on if who waits for it is cancelled.
            loop = asyncio.get_running_loop()
            self._taking = loop.run_in_executor(None, self._following.take, message)
        else:
            self._blocks.extend(self._following.take(message))

    async def _receive(self) -> pb.FollowSpikesResponse:
        patience = FollowerPatience()
        while True:
            try:
                if self._messages is None:
                    request = self._following.request()
                    self._messages = self._connection.receive(FOLLOW_SPIKES, request)
                async for message in self._messages:
                    return message
                raise ServerUnavailableError("the server ended the stream")
            except BaseException as error:
                self._messages = None  # the next one begins behind the last message
                seconds = patience.pause(error) if isinstance(error, Exception) else None
                if seconds is None:
                    raise
            await self._connection.run(pause(seconds))
