"""Messages of spikes in time order -> columns or a spike vector."""

from __future__ import annotations

from typing import Generic, TypeVar

from spikewire.core.errors import MalformedMessageError
from spikewire.remote.columns import Columns, Pieces
from spikewire.v1 import spike_train_pb2 as pb
from spikewire.wire.chunks import decode_spikes
from spikewire.wire.cutting import CutChunk

RoomT = TypeVar("RoomT", bound=Columns | Pieces)


class SpikeCollector(Generic[RoomT]):
    """Takes the answers of StreamSpikes.

    Parameters
    ----------
    columns : Columns or Pieces
        Where the spikes go: one column of a spike vector, or samples and unit indices.
    unit_count : int
        How many units the sorting has.
    segments : range
        The segments that were asked for.
    """

    def __init__(self, columns: RoomT, unit_count: int, segments: range) -> None:
        self.columns = columns
        self._unit_count = unit_count
        self._segments = segments
        self._last = (0, 0)  # segment and sample of the last spike

    @property
    def announced(self) -> int:
        """How many spikes shall come."""
        return self.columns.announced

    @property
    def filled(self) -> int:
        """How many spikes have come."""
        return self.columns.filled

    def take(self, record: CutChunk[pb.SpikeChunk]) -> None:
        """Decode the next chunk, straight into where its spikes shall be."""
        chunk, parts = record
        if not chunk.spike_count:
            return
        segment = chunk.segment_index
        if segment not in self._segments:
            raise MalformedMessageError(f"a chunk is of segment {segment}, which nobody asked for")
        if self.filled and (segment, chunk.base_sample) < self._last:
            raise MalformedMessageError("the chunks of a stream do not ascend")
        room = self.columns.next(chunk.spike_count)
        if len(room) == 1:
            (spikes,) = room
            spikes["segment_index"] = segment
            room = [spikes["sample_index"], spikes["unit_index"]]
        samples, unit_indices = room
        decode_spikes(chunk, samples, unit_indices, self._unit_count, parts)
        self._last = (segment, int(samples[-1]))
