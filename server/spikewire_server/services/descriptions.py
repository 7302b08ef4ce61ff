"""What the library tells of a sorting -> the Sorting message."""

from __future__ import annotations

from spikewire.v1 import sorting_pb2 as pb
from spikewire.wire.arrays import dtype_to_proto
from spikewire.wire.clocks import segments_to_proto
from spikewire.wire.unit_ids import unit_ids_to_proto
from spikewire_server.library import Entry, Origin, State

_STATES = {
    State.READY: pb.SORTING_STATE_READY,
    State.NEEDS_SAMPLING_FREQUENCY: pb.SORTING_STATE_NEEDS_SAMPLING_FREQUENCY,
    State.BROKEN: pb.SORTING_STATE_BROKEN,
    State.RECORDING: pb.SORTING_STATE_RECORDING,
}
_ORIGINS = {
    Origin.ROOT: pb.SORTING_ORIGIN_ROOT,
    Origin.STORE: pb.SORTING_ORIGIN_STORE,
    Origin.VIEW: pb.SORTING_ORIGIN_VIEW,
    Origin.ACQUISITION: pb.SORTING_ORIGIN_ACQUISITION,
}


def entry_to_proto(entry: Entry) -> pb.Sorting:
    """Describe one sorting; what the library does not know stays unset."""
    sorting = pb.Sorting(
        name=entry.name,
        state=_STATES[entry.state],
        state_detail=entry.state_detail,
        origin=_ORIGINS[entry.origin],
        class_name=entry.class_name,
        revision=entry.revision,
        sampling_frequency_hz=entry.sampling_frequency or 0.0,
        unit_count=entry.unit_count,
        segment_count=entry.segment_count,
        spike_count=entry.spike_count,
        properties=[
            pb.PropertyInfo(key=key, type=dtype_to_proto(dtype), shape=shape, etag=etag)
            for key, dtype, shape, etag in entry.properties
        ],
        annotations=[pb.AnnotationInfo(key=key, etag=etag) for key, etag in entry.annotations],
    )
    if entry.unit_ids is not None:
        sorting.unit_ids.CopyFrom(unit_ids_to_proto(entry.unit_ids))
    if entry.t_starts is not None:
        sorting.segments.extend(segments_to_proto(entry.t_starts, entry.clocks))
    if entry.update_time is not None:
        sorting.update_time.FromDatetime(entry.update_time)
    return sorting
