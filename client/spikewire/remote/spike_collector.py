"""Messages of spikes in time order -> columns or a spike vector."""

from __future__ import annotations

import numpy as np

from spikewire.core.dtypes import SPIKE_DTYPE, IntArray, SpikeVector
from spikewire.core.errors import MalformedMessageError
from spikewire.remote.columns import Columns
from spikewire.v1 import spike_train_pb2 as pb
from spikewire.wire.chunks import decode_spikes
from spikewire.wire.cutting import CutChunk


class SpikeCollector:
    """Takes the answers of StreamSpikes.

    Parameters
    ----------
    announced : int
        How many spikes the server says will come.
    unit_count : int
        How many units the sorting has.
    segments : range
        The segments that were asked for.
    as_vector : bool
        Whether a spike vector is wanted, and not two columns.
    """

    def __init__(self, announced: int, unit_count: int, segments: range, as_vector: bool) -> None:
        self._columns = Columns([SPIKE_DTYPE] if as_vector else [np.int64, np.int64], announced)
        self._unit_count = unit_count
        self._segments = segments
        self._as_vector = as_vector
        self._last = (0, 0)  # segment and sample of the last spike

    @property
    def announced(self) -> int:
        """How many spikes shall come."""
        return self._columns.announced

    @property
    def filled(self) -> int:
        """How many spikes have come."""
        return self._columns.filled

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
        room = self._columns.next(chunk.spike_count)
        if self._as_vector:
            (spikes,) = room
            spikes["segment_index"] = segment
            room = [spikes["sample_index"], spikes["unit_index"]]
        samples, unit_indices = room
        decode_spikes(chunk, samples, unit_indices, self._unit_count, parts)
        self._last = (segment, int(samples[-1]))

    def columns(self) -> tuple[IntArray, IntArray]:
        """Return samples and unit indices of all spikes."""
        samples, unit_indices = self._columns.complete()
        return samples, unit_indices

    def vector(self) -> SpikeVector:
        """Return all spikes as a spike vector."""
        (spikes,) = self._columns.complete()
        vector: SpikeVector = spikes
        return vector
