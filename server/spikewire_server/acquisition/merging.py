"""Spikes in time order from records that came in any order."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from spikewire_server.acquisition.append_messages import decode_batch
from spikewire_server.acquisition.log import SpikeLog
from spikewire_server.acquisition.record import Kind
from spikewire_server.acquisition.table import Rows

Columns = tuple[NDArray[np.int64], NDArray[np.int64]]

BLOCK_SPIKES = 1 << 20
"""How many spikes are decoded before the next block is sorted; this bounds the memory."""
_READ_BYTES = 4 * 1024 * 1024


def merged(
    log: SpikeLog,
    last_sequence: int,
    segment_index: int,
    start_frame: int | None = None,
    end_frame: int | None = None,
) -> Iterator[Columns]:
    """Yield the spikes of a segment in the order (sample, sequence, position).

    Only records that overlap the window are read, each once. The memory is that of
    one block and of the records that overlap its end.

    Parameters
    ----------
    log : SpikeLog
        Has the records.
    last_sequence : int
        The last record that counts.
    segment_index : int
        The segment.
    start_frame, end_frame : int, optional
        The half-open window.

    Yields
    ------
    samples, unit_indices : ndarray of int64, shape (spikes,)
        The next spikes; never none.
    """
    rows = log.records.rows_of(1, last_sequence + 1)
    wanted = overlapping(rows, segment_index, start_frame, end_frame)
    # By their first sample: all below the first sample of the record that is next is complete.
    wanted = wanted[np.argsort(rows.min_sample[wanted], kind="stable")]
    first_samples = rows.min_sample[wanted]
    ends = np.cumsum(rows.spikes[wanted], dtype=np.int64)
    held = _Held()
    start = done = 0
    while start < len(wanted):
        stop = max(int(np.searchsorted(ends, done + BLOCK_SPIKES, side="right")), start + 1)
        positions = np.sort(wanted[start:stop])
        held.add(decoded_records(log, positions, start_frame, end_frame))
        bound = int(first_samples[stop]) if stop < len(wanted) else None
        columns = held.take_below(bound)
        if len(columns[0]):
            yield columns
        start, done = stop, int(ends[stop - 1])


def overlapping(
    rows: Rows, segment_index: int, start_frame: int | None, end_frame: int | None
) -> NDArray[np.intp]:
    """Return which rows of a table of records have spikes in a window, ascending."""
    chosen = (rows.kind == Kind.SPIKES) & (rows.segment == segment_index)
    if start_frame is not None:
        chosen &= rows.max_sample >= start_frame
    if end_frame is not None:
        chosen &= rows.min_sample < end_frame
    return np.flatnonzero(chosen)


class _Held:
    """Spikes that were read and cannot be given yet, in their order."""

    def __init__(self) -> None:
        self._samples = np.empty(0, np.int64)
        self._units = np.empty(0, np.int64)
        self._sequences = np.empty(0, np.int64)

    def add(self, records: Iterator[tuple[NDArray[np.int64], NDArray[np.int64], int]]) -> None:
        """Add the spikes of records in the order of their sequences."""
        parts = [(self._samples, self._units, self._sequences)]
        for record_samples, record_units, sequence in records:
            numbers = np.full(len(record_samples), sequence)
            parts.append((record_samples, record_units, numbers))
        samples, units, sequences = (np.concatenate(column) for column in zip(*parts, strict=True))
        ascending = samples[1:] >= samples[:-1]
        if not ascending.all() or (sequences[1:] < sequences[:-1]).any():
            # Both sorts are stable; within a record the spikes are in order already.
            order = np.lexsort((sequences, samples))
            samples, units, sequences = samples[order], units[order], sequences[order]
        self._samples, self._units, self._sequences = samples, units, sequences

    def take_below(self, bound: int | None) -> Columns:
        """Return, and forget, the spikes below a sample; all if there is no bound."""
        count = len(self._samples) if bound is None else int(self._samples.searchsorted(bound))
        taken = self._samples[:count], self._units[:count]
        self._samples = self._samples[count:]
        self._units = self._units[count:]
        self._sequences = self._sequences[count:]
        return taken


def decoded_records(
    log: SpikeLog,
    positions: NDArray[np.intp],
    start_frame: int | None = None,
    end_frame: int | None = None,
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], int]]:
    """Yield samples, unit indices and sequence of batches, cut to a window.

    Parameters
    ----------
    log : SpikeLog
        Has the records.
    positions : ndarray of int, shape (records,)
        The rows of the batches in the table, ascending.
    start_frame, end_frame : int, optional
        The half-open window.
    """
    for sequence, payload in _payloads(log, positions):
        samples, unit_indices, _ = decode_batch(payload)
        first, last = 0, len(samples)
        if start_frame is not None:
            first = int(samples.searchsorted(start_frame))
        if end_frame is not None:
            last = int(samples.searchsorted(end_frame))
        yield samples[first:last], unit_indices[first:last], sequence


def _payloads(log: SpikeLog, positions: NDArray[np.intp]) -> Iterator[tuple[int, memoryview]]:
    """Yield sequence and payload of records; neighbours are read together."""
    rows = log.records.rows
    breaks = np.flatnonzero(np.diff(positions) != 1) + 1
    for neighbours in np.split(positions, breaks) if len(positions) else ():
        offsets = rows.offset[neighbours]
        ends = offsets + rows.length[neighbours]
        first = 0
        while first < len(neighbours):
            stop = int(np.searchsorted(ends, offsets[first] + _READ_BYTES, side="right"))
            stop = max(stop, first + 1)
            run = neighbours[first:stop] + 1
            yield from zip(run.tolist(), log.read(run[0], run[-1] + 1), strict=True)
            first = stop
