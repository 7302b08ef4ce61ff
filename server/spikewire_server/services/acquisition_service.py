"""AcquisitionService: recording spikes live, and following them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing

import grpc
import numpy as np
from numpy.typing import NDArray

from spikewire.core.errors import (
    FormatError,
    InvalidValueError,
    LimitExceededError,
    RevisionExpiredError,
    UnitNotFoundError,
)
from spikewire.core.unit_ids import ids_side_by_side, of_one_dtype
from spikewire.v1 import acquisition_service_pb2 as pb
from spikewire.v1 import acquisition_service_pb2_grpc as rpc
from spikewire.wire.clocks import segments_to_proto
from spikewire.wire.errors import with_metadata
from spikewire.wire.unit_ids import unit_ids_from_proto, unit_ids_to_proto
from spikewire_server.acquisition import (
    Acquisitions,
    Appender,
    Feed,
    Followed,
    Kind,
    Lifecycle,
    Position,
    Recording,
    ServerStoppingError,
    follow,
    split,
    unpack_cursor,
)
from spikewire_server.library import Entry
from spikewire_server.services.context import Context
from spikewire_server.services.descriptions import entry_to_proto
from spikewire_server.workers import Workers

SERVICE = pb.DESCRIPTOR.services_by_name["AcquisitionService"].full_name


class AcquisitionServicer(rpc.AcquisitionServiceServicer):
    """Parses requests and asks the acquisitions.

    `AppendSpikes` and `FollowSpikes` take and give serialized messages, because what
    a rig sends is what is stored and what followers get; see `add_to_server`.
    """

    def __init__(
        self,
        acquisitions: Acquisitions,
        lifecycle: Lifecycle,
        workers: Workers,
        max_followers: int,
    ) -> None:
        self._acquisitions = acquisitions
        self._lifecycle = lifecycle
        self._workers = workers
        self._max_followers = max_followers
        self._followers = 0

    async def StartAcquisition(  # noqa: N802
        self, request: pb.StartAcquisitionRequest, context: Context
    ) -> pb.StartAcquisitionResponse:
        """Begin an acquisition, or take it over."""
        if request.resume:
            live, epoch = await self._lifecycle.resume(request.name)
        else:
            live, epoch = await self._lifecycle.begin(request)
        return pb.StartAcquisitionResponse(acquisition=_acquisition(live.recording), epoch=epoch)

    async def StartSegment(  # noqa: N802
        self, request: pb.StartSegmentRequest, context: Context
    ) -> pb.StartSegmentResponse:
        """Start the next segment."""
        live = await self._acquisitions.get(request.name)
        payload = request.segment_started.SerializeToString(deterministic=True)
        live.append(request.epoch, Kind.SEGMENT, request.sequence, payload)
        await live.durable()
        return pb.StartSegmentResponse(next_sequence=live.recording.next_sequence)

    async def AppendSpikes(  # type: ignore[override]  # noqa: N802
        self, request_iterator: AsyncIterator[bytes], context: Context
    ) -> AsyncIterator[bytes]:
        """Take records, and acknowledge them."""
        first = await anext(request_iterator, None)
        if first is None:
            return
        batches, rest = split(first)
        appender = Appender(await self._acquisitions.get(rest.name), rest.epoch)
        if batches or rest.WhichOneof("record"):
            appender.take(batches, rest)
        try:
            async with aclosing(appender.acknowledge(request_iterator)) as responses:
                async for response in responses:
                    yield response
        except ServerStoppingError:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "the server is stopping")

    async def FollowSpikes(  # type: ignore[override]  # noqa: N802
        self, request: pb.FollowSpikesRequest, context: Context
    ) -> AsyncIterator[bytes]:
        """Stream records."""
        feeds = await self._acquisitions.feeds(request.name)
        sources = _sources(request, feeds)
        if self._followers >= self._max_followers:
            raise with_metadata(
                LimitExceededError(f"{self._max_followers} streams follow acquisitions already"),
                limit="followers",
                maximum=self._max_followers,
            )
        self._followers += 1
        try:
            async with aclosing(follow(sources, self._workers)) as messages:
                async for message in messages:
                    yield message
        except ServerStoppingError:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "the server is stopping")
        finally:
            self._followers -= 1

    async def GetAcquisition(  # noqa: N802
        self, request: pb.GetAcquisitionRequest, context: Context
    ) -> pb.GetAcquisitionResponse:
        """Describe an acquisition."""
        feeds = await self._acquisitions.feeds(request.name)
        described = [_acquisition(feed.recording) for feed in feeds]
        if described[0].name == request.name:
            return pb.GetAcquisitionResponse(acquisition=described[0])
        entry = await self._workers.run(self._acquisitions.library.describe, request.name)
        return pb.GetAcquisitionResponse(acquisition=_together(entry, described))

    async def FinishAcquisition(  # noqa: N802
        self, request: pb.FinishAcquisitionRequest, context: Context
    ) -> pb.FinishAcquisitionResponse:
        """End an acquisition."""
        entry = await self._lifecycle.finish(request.name, request.epoch, request.next_sequence)
        return pb.FinishAcquisitionResponse(sorting=entry_to_proto(entry))


def add_to_server(servicer: AcquisitionServicer, server: grpc.aio.Server) -> None:
    """Register the service, its two hot methods without (de)serializers."""
    rpc.add_AcquisitionServiceServicer_to_server(servicer, server)
    server.add_registered_method_handlers(
        SERVICE,
        {
            "AppendSpikes": grpc.stream_stream_rpc_method_handler(
                servicer.AppendSpikes, request_deserializer=bytes
            ),
            "FollowSpikes": grpc.unary_stream_rpc_method_handler(
                servicer.FollowSpikes, request_deserializer=pb.FollowSpikesRequest.FromString
            ),
        },
    )


def _acquisition(recording: Recording) -> pb.Acquisition:
    last = recording.last_sequence
    acquisition = pb.Acquisition(
        name=recording.name,
        acquisition_id=recording.acquisition_id,
        next_sequence=recording.next_sequence - recording.is_finished,
        spike_count=recording.log.records.spike_count,
        unit_ids=unit_ids_to_proto(recording.roster.unit_ids_at(last)),
        segments=segments_to_proto(
            recording.roster.t_starts_at(last),
            recording.roster.clocks_at(last, recording.sampling_frequency),
        ),
        sampling_frequency_hz=recording.sampling_frequency,
        finished=recording.is_finished,
    )
    acquisition.start_time.FromDatetime(recording.start_time)
    return acquisition


def _together(entry: Entry, sources: Sequence[pb.Acquisition]) -> pb.Acquisition:
    """Describe acquisitions that a view shows as one."""
    if entry.unit_ids is None or entry.t_starts is None:
        raise FormatError(entry.state_detail)
    return pb.Acquisition(
        name=entry.name,
        spike_count=sum(source.spike_count for source in sources),
        unit_ids=unit_ids_to_proto(entry.unit_ids),
        segments=segments_to_proto(entry.t_starts, entry.clocks),
        sampling_frequency_hz=entry.sampling_frequency or 0.0,
        finished=all(source.finished for source in sources),
        start_time=sources[0].start_time,
        sources=sources,
    )


def _sources(request: pb.FollowSpikesRequest, feeds: Sequence[Feed]) -> list[Followed]:
    """Return where a follower begins in each of the acquisitions that he wants."""
    units = _wanted_units(request, [feed.recording for feed in feeds])
    positions = [Position()] * len(feeds)
    match request.WhichOneof("start"):
        case "from_now" if request.from_now:
            positions = [Position(1, feed.recording.last_sequence + 1) for feed in feeds]
        case "cursor":
            known = unpack_cursor(request.cursor)
            positions = [_position(known, feed.recording) for feed in feeds]
            if all(feed.recording.acquisition_id not in known for feed in feeds):
                raise with_metadata(
                    RevisionExpiredError(
                        f"the cursor is of an earlier acquisition than the one that is now called "
                        f"{request.name!r}"
                    ),
                    name=request.name,
                    oldest=feeds[0].recording.revision_at(1),
                )
    return [
        Followed(feed, position, chosen)
        for feed, position, chosen in zip(feeds, positions, units, strict=True)
    ]


def _position(known: Mapping[str, Position], recording: Recording) -> Position:
    """Return where a cursor is in an acquisition: at its beginning if it came later."""
    position = known.get(recording.acquisition_id, Position())
    if max(position) > recording.next_sequence:
        raise InvalidValueError("field cursor: it is behind the end of the acquisition")
    return position


def _wanted_units(
    request: pb.FollowSpikesRequest, recordings: Sequence[Recording]
) -> list[NDArray[np.bool_] | None]:
    """Return which units of each a follower wants; None for all, also those to come."""
    known = [recording.roster.unit_ids_at(recording.last_sequence) for recording in recordings]
    unit_ids = known[0] if len(known) == 1 else ids_side_by_side(of_one_dtype(known))
    selection = request.units
    match selection.WhichOneof("units"):
        case "unit_ids":
            indices = {unit_id: index for index, unit_id in enumerate(unit_ids.tolist())}
            wanted = unit_ids_from_proto(selection.unit_ids).tolist()
            unknown = [unit_id for unit_id in wanted if unit_id not in indices]
            if unknown:
                raise UnitNotFoundError(f"{request.name!r} has no unit {unknown[0]!r}")
            positions = [indices[unit_id] for unit_id in wanted]
        case "unit_indices":
            positions = list(selection.unit_indices.values)
            if positions and max(positions) >= len(unit_ids):
                raise UnitNotFoundError(
                    f"unit index {max(positions)} is out of range: {request.name!r} has "
                    f"{len(unit_ids)} units"
                )
        case _:
            return [None] * len(recordings)
    chosen = np.zeros(len(unit_ids), bool)
    chosen[positions] = True
    return list(np.split(chosen, np.cumsum([len(ids) for ids in known])[:-1]))
