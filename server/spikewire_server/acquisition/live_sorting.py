"""A live acquisition as a sorting, pinned at one of its records."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from spikewire.core.clocks import UnitClocks
from spikewire.core.dtypes import IntArray, UnitId
from spikewire.core.errors import FormatError
from spikewire.core.segment import BaseSortingSegment
from spikewire.core.sorting import BaseSorting
from spikewire.wire.errors import with_metadata
from spikewire_server.acquisition.merging import decoded_records, merged, overlapping
from spikewire_server.acquisition.recording import Recording
from spikewire_server.acquisition.table import Rows
from spikewire_server.library import Origin
from spikewire_server.library.facts import Facts, Look
from spikewire_server.library.spikes import FileSpikes

CLASS_NAME = "LiveSorting"


class LiveSource:
    """An acquisition up to one of its records, as the library opens it.

    Parameters
    ----------
    recording : Recording
        Has the records.
    sequence : int
        The last record that counts; it is durable.
    """

    origin = Origin.ACQUISITION
    class_name = CLASS_NAME

    def __init__(self, recording: Recording, sequence: int) -> None:
        self.name = recording.name
        self._recording = recording
        self._sequence = sequence

    def look(self) -> Look:
        """Return what was pinned: a log only grows."""
        return Look(
            spikes=self._recording.revision_at(self._sequence),
            labels="",
            settled=False,  # there is another revision in a moment: not worth keeping
            update_time=datetime.fromtimestamp(
                self._recording.log.time_ns(self._sequence) / 1e9, UTC
            ),
            pins={self.name: self._sequence},
            is_recording=True,
        )

    def facts(self, look: Look) -> Facts:
        """Return everything but the spikes."""
        roster, rate = self._recording.roster, self._recording.sampling_frequency
        clocks = roster.clocks_at(self._sequence, rate)
        t_starts = zip(roster.t_starts_at(self._sequence), clocks, strict=True)
        return Facts(
            class_name=CLASS_NAME,
            revision=look.spikes,
            sampling_frequency=rate,
            unit_ids=roster.unit_ids_at(self._sequence),
            t_starts=tuple(own.t_start if own else stated for stated, own in t_starts),
            clocks=clocks,
            spike_count=self._recording.log.records.spikes_before(self._sequence + 1),
        )

    def read(self) -> LiveSorting:
        """Return what reads the spikes."""
        return LiveSorting(self._recording, self._sequence)

    def spikes(self, segment_index: int) -> LiveSpikes:
        """Return the way to the spikes of a segment."""
        return LiveSpikes(self._recording, self._sequence, segment_index)

    def in_its_name(self) -> AbstractContextManager[None]:
        """Wrap what reads the spikes; errors speak of the acquisition anyway."""
        return nullcontext()


class DamagedSource(LiveSource):
    """An acquisition whose log cannot be read.

    Parameters
    ----------
    name : str
        Its name.
    error : FormatError
        Why not.
    """

    def __init__(self, name: str, error: FormatError) -> None:
        self.name = name
        self._error = error

    def look(self) -> Look:
        """Raise why it cannot be read."""
        raise with_metadata(self._error, name=self.name)


class LiveSorting(BaseSorting):
    """An acquisition up to one of its records.

    Parameters
    ----------
    recording : Recording
        Has the records.
    sequence : int
        The last record that counts; it is durable.
    """

    def __init__(self, recording: Recording, sequence: int) -> None:
        roster = recording.roster
        rate = recording.sampling_frequency
        super().__init__(rate, roster.unit_ids_at(sequence))
        t_starts, clocks = roster.t_starts_at(sequence), roster.clocks_at(sequence, rate)
        for index, (t_start, own) in enumerate(zip(t_starts, clocks, strict=True)):
            spikes = LiveSpikes(recording, sequence, index)
            self.add_sorting_segment(_LiveSegment(spikes, t_start, own))


class _LiveSegment(BaseSortingSegment):
    def __init__(
        self, spikes: LiveSpikes, t_start: float | None, clocks: UnitClocks | None
    ) -> None:
        super().__init__(t_start, clocks)
        self._spikes = spikes

    def get_unit_spike_train(
        self, unit_id: UnitId, start_frame: int | None = None, end_frame: int | None = None
    ) -> IntArray:
        unit = np.array([self._sorting().id_to_index(unit_id)])
        (train,) = self._spikes.trains(unit, start_frame, end_frame)
        return train

    def get_spike_columns(
        self, start_frame: int | None = None, end_frame: int | None = None
    ) -> tuple[IntArray, IntArray]:
        return _joined(self._spikes.blocks(start_frame, end_frame))

    def iter_spike_columns(
        self, start_frame: int | None = None, end_frame: int | None = None
    ) -> Iterator[tuple[IntArray, IntArray]]:
        return self._spikes.blocks(start_frame, end_frame)

    def count_spikes(self) -> IntArray:
        return self._spikes.counts(np.arange(self._sorting().get_num_units()), None, None)

    def get_last_spike_frame(self) -> int | None:
        return self._spikes.last_sample(None, None)


class LiveSpikes(FileSpikes):
    """The spikes of one segment; a window is made of the records that overlap it.

    Parameters
    ----------
    recording : Recording
        Has the records.
    sequence : int
        The last record that counts.
    segment_index : int
        The segment.
    """

    def __init__(self, recording: Recording, sequence: int, segment_index: int) -> None:
        super().__init__(
            self._merged,
            lambda: recording.counts(sequence, segment_index),
            recording.roster.unit_count,
        )
        self._recording = recording
        self._sequence = sequence
        self._segment_index = segment_index

    def count(self, start_frame: int | None, end_frame: int | None) -> int:
        """Return how many spikes lie in a window; reads the records across its bounds."""
        rows, within = self._overlapping(start_frame, end_frame)
        cut = np.zeros(len(within), bool)
        if start_frame is not None:
            cut |= rows.min_sample[within] < start_frame
        if end_frame is not None:
            cut |= rows.max_sample[within] >= end_frame
        whole = int(rows.spikes[within[~cut]].sum(dtype=np.int64))
        parts = decoded_records(self._recording.log, within[cut], start_frame, end_frame)
        return whole + sum(len(samples) for samples, _, _ in parts)

    def last_sample(self, start_frame: int | None, end_frame: int | None) -> int | None:
        """Return the sample of the last spike in a window, None if it is empty."""
        if end_frame is not None:
            return super().last_sample(start_frame, end_frame)
        rows, within = self._overlapping(start_frame, None)
        return int(rows.max_sample[within].max()) if len(within) else None

    def _merged(
        self, start_frame: int | None, end_frame: int | None
    ) -> Iterator[tuple[IntArray, IntArray]]:
        log, segment_index = self._recording.log, self._segment_index
        return merged(log, self._sequence, segment_index, start_frame, end_frame)

    def _overlapping(
        self, start_frame: int | None, end_frame: int | None
    ) -> tuple[Rows, NDArray[np.intp]]:
        rows = self._recording.log.records.rows_of(1, self._sequence + 1)
        return rows, overlapping(rows, self._segment_index, start_frame, end_frame)


def _joined(blocks: Iterator[tuple[IntArray, IntArray]]) -> tuple[IntArray, IntArray]:
    samples, unit_indices = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for block_samples, block_units in blocks:
        samples.append(block_samples)
        unit_indices.append(block_units)
    return np.concatenate(samples), np.concatenate(unit_indices)
