"""One stream of spikes, over as many calls as it takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from spikewire.core.errors import (
    MalformedMessageError,
    RevisionMismatchError,
    ServerUnavailableError,
)
from spikewire.remote.backoff import Backoff
from spikewire.remote.codecs import Meter
from spikewire.remote.progress import ProgressBar, progress_bar
from spikewire.remote.resources import Resources
from spikewire.remote.steps import Operation, Pause, Receive
from spikewire.v1 import spike_train_service_pb2 as pb
from spikewire.wire.cutting import CutAnswer

if TYPE_CHECKING:
    from spikewire.remote.methods import Rpc

STREAM_ATTEMPTS = 20
"""How often a broken stream is resumed without getting further: for about 25 s."""

_WORTH_REPACKING = 8_000_000
"""From how many spikes on that are still to come another codec is worth another call."""


class Collector(Protocol):
    """What takes the chunks of a stream."""

    @property
    def announced(self) -> int:
        """How many spikes shall come."""

    @property
    def filled(self) -> int:
        """How many spikes have come."""

    def take(self, record: Any, /) -> None:
        """Take the next chunk."""


CollectorT = TypeVar("CollectorT", bound=Collector)


class Transfer(Generic[CollectorT]):
    """Collects the answers to one request; when the stream breaks, asks for the rest.

    Parameters
    ----------
    resources : Resources
        What the reads of a client share.
    request : StreamSpikesRequest or GetUnitSpikeTrainsRequest
        What to ask, but for the offset and the codecs.
    parse : callable
        Makes a `CutAnswer` of a message.
    begin : callable
        Makes the collector, when it is known how many spikes will come.
    collector : optional
        One that has taken the first chunks already.
    """

    def __init__(
        self,
        resources: Resources,
        request: pb.StreamSpikesRequest | pb.GetUnitSpikeTrainsRequest,
        parse: Callable[[bytes], CutAnswer[Any]],
        begin: Callable[[int], CollectorT],
        collector: CollectorT | None = None,
    ) -> None:
        self._resources = resources
        self._request = request
        self._parse = parse
        self._begin = begin
        self._collector = collector
        self._bar: ProgressBar | None = None
        self._meter: Meter | None = None
        self._is_first = True

    def run(self, rpc: Rpc[Any, bytes]) -> Operation[CollectorT]:
        """Return the collector when it has taken everything."""
        try:
            yield from self._run(rpc)
        finally:
            if self._bar is not None:
                self._bar.close()
        if self._collector is None:
            raise MalformedMessageError(
                f"the server ended its answer about {self._request.name!r} before the first message"
            )
        return self._collector

    def _run(self, rpc: Rpc[Any, bytes]) -> Operation[None]:
        backoff = Backoff(STREAM_ATTEMPTS)
        codecs = self._resources.codecs
        while True:
            offset = self._request.offset = self._filled
            accepted = codecs.accepted()
            self._request.accept_codecs[:] = accepted
            self._meter = Meter(codecs, bool(accepted))
            self._is_first = True
            try:
                yield Receive(rpc, self._request, self._take)
            except ServerUnavailableError:
                if self._filled > offset:
                    backoff.progressed()
                seconds = backoff.pause()
                if seconds is None:
                    raise
                yield Pause(seconds)
            else:
                if not self._wants_repacking():
                    return

    @property
    def _filled(self) -> int:
        return self._collector.filled if self._collector is not None else 0

    def _wants_repacking(self) -> bool:
        """Whether the link turned out to be slow, with much still to come."""
        return (
            self._collector is not None
            and self._collector.announced - self._collector.filled > _WORTH_REPACKING
            and self._resources.codecs.accepted() != list(self._request.accept_codecs)
        )

    def _take(self, message: bytes) -> bool:
        answer = self._parse(message)
        if self._is_first:
            self._is_first = False
            self._greet(answer)
        assert self._collector is not None
        assert self._meter is not None
        assert self._bar is not None
        before = self._collector.filled
        for record in answer.chunks:
            self._collector.take(record)
        if answer.chunks:
            count = self._collector.filled - before
            self._bar.update(count)
            self._meter.received(count, len(message))
        return not self._wants_repacking()

    def _greet(self, answer: CutAnswer[Any]) -> None:
        """Look at the first message of a call."""
        name = self._request.name
        check_revision(name, self._request.revision, answer.revision)
        if self._collector is None:
            self._collector = self._begin(answer.spike_count)
        if answer.spike_count != self._collector.announced:
            raise MalformedMessageError(
                f"{name!r} had {self._collector.announced} spikes before the connection broke "
                f"and has {answer.spike_count} since, of the same revision"
            )
        if self._bar is None:
            self._bar = progress_bar(answer.spike_count, name, self._resources.progress)
            self._bar.update(self._collector.filled)


def check_revision(name: str, pinned: str, answered: str) -> None:
    """Refuse an answer that is of another revision than the one that is pinned.

    Raises
    ------
    RevisionMismatchError
        The content has changed.
    """
    if answered != pinned:
        raise RevisionMismatchError(
            f"{name!r} has changed on the server since it was opened: open it again"
        )
