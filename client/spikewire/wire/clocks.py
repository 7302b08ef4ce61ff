"""Clocks of segments <-> messages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import zip_longest

from spikewire.core.clocks import Clock, UnitClocks
from spikewire.core.errors import InvalidValueError, MalformedMessageError
from spikewire.v1 import sorting_pb2 as pb


def segments_to_proto(
    t_starts: Iterable[float | None], clocks: Iterable[UnitClocks | None]
) -> list[pb.Segment]:
    """Return the messages of segments; without any clocks, these may be left out."""
    segments = []
    for t_start, of_segment in zip_longest(t_starts, clocks):
        segment = pb.Segment(t_start_seconds=t_start)
        if of_segment is not None:
            segment.t_start_seconds = of_segment.t_start
            segment.clocks.extend(
                pb.Clock(sample_indices=clock.samples, times_seconds=clock.seconds)
                for clock in of_segment.clocks
            )
            if of_segment.indices is not None:
                segment.clock_indices.extend(of_segment.indices.tolist())
        segments.append(segment)
    return segments


def clocks_to_bytes(clocks: Sequence[UnitClocks | None]) -> bytes | None:
    """Return clocks as `clocks_from_bytes` reads them; None if there are none."""
    if not any(clocks):
        return None
    segments = segments_to_proto([None] * len(clocks), clocks)
    return pb.Sorting(segments=segments).SerializeToString(deterministic=True)


def clocks_from_bytes(
    data: bytes | None, sampling_frequency: float, unit_count: int
) -> tuple[UnitClocks | None, ...]:
    """Return the clocks of segments that `clocks_to_bytes` wrote."""
    segments = pb.Sorting.FromString(data or b"").segments
    return tuple(clocks_from_proto(segment, sampling_frequency, unit_count) for segment in segments)


def clocks_from_proto(
    segment: pb.Segment, sampling_frequency: float, unit_count: int
) -> UnitClocks | None:
    """Return the clocks of a segment; None if it has none.

    Raises
    ------
    MalformedMessageError
        Sync points do not ascend, or a unit has a clock that there is not.
    """
    if not segment.clocks:
        return None
    indices = segment.clock_indices or None
    if indices is not None and len(indices) != unit_count:
        raise MalformedMessageError(f"{len(indices)} clocks for {unit_count} units")
    try:
        clocks = [
            Clock(clock.sample_indices, clock.times_seconds, sampling_frequency)
            for clock in segment.clocks
        ]
        return UnitClocks(clocks, indices)
    except InvalidValueError as error:
        raise MalformedMessageError(f"a segment has impossible sync points: {error}") from error
