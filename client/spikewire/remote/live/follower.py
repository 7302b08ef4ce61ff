"""`Follower`: the spikes of an acquisition as they are recorded."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from types import TracebackType
from typing import Any, ClassVar, Self

from spikewire.core.dtypes import AnyArray
from spikewire.core.errors import ServerUnavailableError
from spikewire.remote.backoff import Backoff
from spikewire.remote.calls import CALL_ATTEMPTS, call
from spikewire.remote.channel import Connection
from spikewire.remote.live.following import Following, SpikeBlock, Start
from spikewire.remote.live.retrying import FollowerPatience, pause
from spikewire.remote.methods import FOLLOW_SPIKES, GET_ACQUISITION
from spikewire.remote.steps import Operation, Pause, Receive
from spikewire.v1 import acquisition_service_pb2 as pb


class FollowerShape:
    """What a follower tells without waiting, in threads and in event loops."""

    _known_as: ClassVar[str]

    def __init__(self, following: Following) -> None:
        self._following = following

    def __repr__(self) -> str:
        return f"<{self._known_as}: {self.name}>"

    @property
    def name(self) -> str:
        """The sorting's name."""
        return self._following.name

    @property
    def sampling_frequency(self) -> float:
        """Samples per second, in Hz."""
        return self._following.sampling_frequency

    @property
    def unit_ids(self) -> AnyArray:
        """The units announced so far, read-only."""
        return self._following.unit_ids

    @property
    def t_starts(self) -> tuple[float | None, ...]:
        """The time of sample 0 of each segment started so far, in seconds, where stated."""
        return tuple(self._following.t_starts)


class Follower(FollowerShape, Iterator[SpikeBlock]):
    """Gives the spikes of an acquisition, those of the past and those to come.

    Made by `Client.follow`. Iteration waits for spikes, goes on by itself when the
    connection or the server was lost, and ends when the acquisition is finished. For
    one thread at a time.

    Parameters
    ----------
    connection : Connection
        The way to the server.
    following : Following
        Where it begins.
    """

    _known_as = "spikewire.Follower"

    def __init__(self, connection: Connection, following: Following) -> None:
        super().__init__(following)
        self._connection = connection
        self._blocks = self._follow()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> SpikeBlock:
        """Wait for spikes, and return them."""
        return next(self._blocks)

    def close(self) -> None:
        """End the stream; iteration ends with it."""
        self._blocks.close()

    def _follow(self) -> Generator[SpikeBlock, None, None]:
        patience = FollowerPatience()
        while not self._following.is_finished:
            try:
                stream = self._connection.receive(FOLLOW_SPIKES, self._following.request())
                with closing(stream) as messages:
                    for message in messages:
                        patience.progressed()
                        yield from self._following.take(message)
                if self._following.is_finished:
                    return
                raise ServerUnavailableError("the server ended the stream")
            except Exception as error:
                seconds = None if self._connection.is_closed else patience.pause(error)
                if seconds is None:
                    raise
            self._connection.run(pause(seconds))


def begin_following(
    name: str, start: Start, unit_ids: Iterable[Any] | None
) -> Operation[Following]:
    """Ask what there is to follow; see `Client.follow`."""
    request = pb.GetAcquisitionRequest(name=name)
    response = yield from call(GET_ACQUISITION, request)
    following = Following(response.acquisition, start, unit_ids)
    backoff = Backoff(CALL_ATTEMPTS)
    while start == "now" and not following.cursor:
        # What is recorded from this call on is wanted, not from the first iteration on.
        try:
            yield Receive(FOLLOW_SPIKES, following.request(), following.take_present)
        except ServerUnavailableError:
            seconds = backoff.pause()
            if seconds is None:
                raise
            yield Pause(seconds)
    return following
