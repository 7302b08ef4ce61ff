"""Sorting messages -> what a client knows of a sorting."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

from spikewire.core.clocks import UnitClocks
from spikewire.core.errors import MalformedMessageError
from spikewire.v1 import sorting_pb2 as pb
from spikewire.wire.arrays import AnyArray, AnyDType, checked_shape, dtype_from_proto
from spikewire.wire.clocks import clocks_from_proto
from spikewire.wire.unit_ids import unit_ids_from_proto

_UNKNOWN = "unknown"
_STATES = {
    pb.SORTING_STATE_READY: "ready",
    pb.SORTING_STATE_NEEDS_SAMPLING_FREQUENCY: "needs sampling frequency",
    pb.SORTING_STATE_BROKEN: "broken",
    pb.SORTING_STATE_RECORDING: "recording",
}
_ORIGINS = {
    pb.SORTING_ORIGIN_ROOT: "root",
    pb.SORTING_ORIGIN_STORE: "store",
    pb.SORTING_ORIGIN_VIEW: "view",
    pb.SORTING_ORIGIN_ACQUISITION: "acquisition",
}


class PropertyInfo(NamedTuple):
    """A property without its values."""

    dtype: AnyDType
    shape: tuple[int, ...]
    etag: str


@dataclass(frozen=True)
class SortingInfo:
    """What a server tells of one sorting; None where it does not know."""

    name: str
    """The name."""
    state: str
    """"ready", "needs sampling frequency", "broken", "recording" or "unknown"."""
    state_detail: str
    """What is wrong and what would mend it; empty if it can be read."""
    origin: str
    """"root", "store", "view", "acquisition" or "unknown"."""
    class_name: str
    """The class that reads it on the server."""
    revision: str
    """Identifies the spikes, units, rate and segments; empty in listings."""
    sampling_frequency: float | None
    """Samples per second, in Hz."""
    unit_count: int | None
    """How many units there are."""
    segment_count: int | None
    """How many segments there are."""
    spike_count: int | None
    """How many spikes there are in all segments."""
    update_time: datetime | None
    """When the content was last changed, in UTC."""
    unit_ids: AnyArray | None = field(default=None, compare=False)
    """The ids of the units, in order; None in listings."""
    t_starts: tuple[float | None, ...] = ()
    """The time of sample 0 of each segment, in seconds, where stated."""
    clocks: tuple[UnitClocks | None, ...] = field(default=(), compare=False)
    """How samples of each segment become seconds, where sync points say it."""
    properties: dict[str, PropertyInfo] = field(default_factory=dict, compare=False)
    """The properties by key; empty in listings."""
    annotations: dict[str, str] = field(default_factory=dict, compare=False)
    """The etags of the annotations by key; empty in listings."""

    def __repr__(self) -> str:
        facts = [
            f"{count:,} {what}"
            for count, what in (
                (self.unit_count, "units"),
                (self.segment_count, "segments"),
                (self.spike_count, "spikes"),
            )
            if count is not None
        ]
        if self.sampling_frequency:
            facts.append(f"{self.sampling_frequency / 1000:.1f}kHz")
        facts += [self.class_name] if self.class_name else []
        return f"<{self.name}: {', '.join([self.state, *facts])}>"


def sorting_from_proto(proto: pb.Sorting) -> SortingInfo:
    """Return what a Sorting message says.

    Raises
    ------
    MalformedMessageError
        Unit ids, or the type of a property, are not legal.
    """
    unit_ids = unit_ids_from_proto(proto.unit_ids) if proto.HasField("unit_ids") else None
    unit_count = 0 if unit_ids is None else len(unit_ids)
    return SortingInfo(
        name=proto.name,
        state=_STATES.get(proto.state, _UNKNOWN),
        state_detail=proto.state_detail,
        origin=_ORIGINS.get(proto.origin, _UNKNOWN),
        class_name=proto.class_name,
        revision=proto.revision,
        sampling_frequency=proto.sampling_frequency_hz or None,
        unit_count=proto.unit_count if proto.HasField("unit_count") else None,
        segment_count=proto.segment_count if proto.HasField("segment_count") else None,
        spike_count=proto.spike_count if proto.HasField("spike_count") else None,
        update_time=_update_time(proto),
        unit_ids=unit_ids,
        t_starts=tuple(
            segment.t_start_seconds if segment.HasField("t_start_seconds") else None
            for segment in proto.segments
        ),
        clocks=tuple(
            clocks_from_proto(segment, proto.sampling_frequency_hz, unit_count)
            for segment in proto.segments
        ),
        properties={
            info.key: PropertyInfo(
                dtype_from_proto(info.type), checked_shape(info.shape), info.etag
            )
            for info in proto.properties
        },
        annotations={info.key: info.etag for info in proto.annotations},
    )


def _update_time(proto: pb.Sorting) -> datetime | None:
    if not proto.HasField("update_time"):
        return None
    try:
        return proto.update_time.ToDatetime(UTC)
    except (ValueError, OverflowError) as error:
        raise MalformedMessageError(f"{proto.name!r} has no possible update time") from error
