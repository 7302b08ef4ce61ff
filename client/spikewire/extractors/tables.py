"""Spikes as most formats store them: a column of samples and a column of units."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np

from spikewire.core.dtypes import AnyArray, IntArray
from spikewire.core.errors import (
    FormatError,
    InvalidTypeError,
)
from spikewire.core.unit_ids import label_indices
from spikewire.extractors.files import Column, MappedColumn, MemoryColumn

ROWS_PER_READ = 65_536
"""Few, because a server may read for many at a time and holds some MiB for each of them."""

# A file can claim any number of segments without holding a byte for them.
MAX_SEGMENTS = 100_000

MAX_UNITS = 1_000_000
NO_FRAME = int(np.iinfo(np.int64).min)


class SpikeTable(Protocol):
    """Rows of (sample, unit index) in the order of the spike vector."""

    path: Path

    def read_samples(self, start: int, stop: int) -> IntArray:
        """Samples of the rows ``start`` to ``stop``."""

    def read_units(self, start: int, stop: int) -> IntArray:
        """Unit indices of the rows, -1 for a spike that belongs to no unit."""

    def read(self, start: int, stop: int) -> tuple[IntArray, IntArray]:
        """Both."""

    def in_any_order(self) -> SpikeTable:
        """A table of the same rows, in the order that is had soonest."""


class ColumnTable:
    """A table of two columns.

    Parameters
    ----------
    path : Path
        The file or folder that errors name.
    samples : Column
        Integers.
    labels : Column
        What tells the units apart, as long as ``samples``.
    unit_ids : array, (units,)
        What the labels should be, in the order of the units.
    skip_unknown : bool, default: False
        Leave out spikes with other labels instead of refusing them.

    Raises
    ------
    FormatError
        If the columns differ in length, or the samples are no integers.
    """

    def __init__(
        self,
        path: Path,
        samples: Column,
        labels: Column,
        unit_ids: AnyArray,
        *,
        skip_unknown: bool = False,
    ) -> None:
        if samples.size != labels.size:
            raise FormatError(
                f"{path}: {samples.size} spike times but {labels.size} labels; "
                "they should be equally many"
            )
        if samples.dtype.kind not in "iu" and samples.size:
            raise FormatError(f"{path}: spike times of type {samples.dtype} are no samples")
        self.path = path
        self.size = samples.size
        self._samples = samples
        self._labels = labels
        self._unit_ids = unit_ids
        self._skip_unknown = skip_unknown

    def read_samples(self, start: int, stop: int) -> IntArray:
        """Samples of the rows."""
        return as_int64(self._samples.read(start, stop), self.path)

    def read_units(self, start: int, stop: int) -> IntArray:
        """Unit indices of the rows."""
        labels = self._labels.read(start, stop)
        indices = indices_of_labels(labels, self._unit_ids, self.path)
        if not self._skip_unknown and indices.size and indices.min() < 0:
            unknown = labels[indices < 0][0].item()
            raise FormatError(f"{self.path}: spikes of {unknown!r}, which is no unit's id")
        return indices

    def read(self, start: int, stop: int) -> tuple[IntArray, IntArray]:
        """Both."""
        return self.read_samples(start, stop), self.read_units(start, stop)

    def in_any_order(self) -> ColumnTable:
        """This table."""
        return self

    def in_time_order(self) -> ColumnTable:
        """This table if its samples ascend, else a sorted copy in memory; ties keep their order."""
        latest = NO_FRAME
        for start, stop in row_stretches(0, self.size):
            samples = self.read_samples(start, stop)
            if samples[0] < latest or (samples[1:] < samples[:-1]).any():
                break
            latest = int(samples[-1])
        else:
            return self
        samples = self.read_samples(0, self.size)
        order = np.argsort(samples, kind="stable")
        return ColumnTable(
            self.path,
            MemoryColumn(samples[order]),
            MemoryColumn(self._labels.read(0, self.size)[order]),
            self._unit_ids,
            skip_unknown=self._skip_unknown,
        )


class OrderedTable:
    """A table in time order of one that may be in another.

    Some programs leave a few spikes out of order. Whether there are any is found out
    when order first matters, in one pass over the times; if so, a sorted copy is kept
    in memory, ties in the order of the file.
    """

    def __init__(self, stored: ColumnTable) -> None:
        self.path = stored.path
        self.size = stored.size
        self._stored = stored

    @cached_property
    def _ordered(self) -> ColumnTable:
        return self._stored.in_time_order()

    def read_samples(self, start: int, stop: int) -> IntArray:
        """Samples of the rows, in time order."""
        return self._ordered.read_samples(start, stop)

    def read_units(self, start: int, stop: int) -> IntArray:
        """Unit indices of the rows, in time order."""
        return self._ordered.read_units(start, stop)

    def read(self, start: int, stop: int) -> tuple[IntArray, IntArray]:
        """Samples and unit indices of the rows, in time order."""
        return self._ordered.read(start, stop)

    def in_any_order(self) -> ColumnTable:
        """The rows in the order of the file."""
        return self._stored


def as_int64(values: AnyArray, path: Path) -> IntArray:
    """Integers of any width as int64.

    Raises
    ------
    FormatError
        If one is too large for int64.
    """
    if values.dtype == np.uint64 and values.size and values.max() > np.iinfo(np.int64).max:
        raise FormatError(f"{path}: {values.max()} is beyond the int64 range")
    return values.astype(np.int64, copy=False)


def rounded(values: AnyArray, path: Path) -> IntArray:
    """Numbers as the nearest int64.

    Raises
    ------
    FormatError
        If one is not finite, or so large that floats cannot tell integers apart.
    """
    if values.dtype.kind in "iu":
        return as_int64(values, path)
    whole = np.rint(values.astype(np.float64, copy=False))
    if not (np.abs(whole) < 2**53).all():
        bad = values[~(np.abs(whole) < 2**53)][0]
        raise FormatError(f"{path}: {bad} cannot be a number of samples")
    return whole.astype(np.int64)


def samples_of_times(times: Column, ticks_per_second: float, rate: float, path: Path) -> Column:
    """Times in seconds, or in ticks, as samples."""

    def samples(values: AnyArray) -> IntArray:
        return rounded(values / ticks_per_second * rate, path)

    if times.dtype.kind not in "iuf":
        raise FormatError(f"{path}: times of type {times.dtype}")
    return MappedColumn(times, samples, np.dtype(np.int64))


def indices_of_labels(labels: AnyArray, unit_ids: AnyArray, path: Path) -> IntArray:
    """For each label of a file its position in `unit_ids`; -1 where it is no unit's id.

    Raises
    ------
    FormatError
        If the labels are of a type that cannot name the units.
    """
    # SpikeInterface writes integer labels as floats where a unit is silent.
    if labels.dtype.kind not in "iufUS" or (
        labels.dtype.kind == "f" and not (np.abs(labels) < 2**53).all()
    ):
        raise FormatError(f"{path}: spike labels of type {labels.dtype} name no units")
    try:
        return label_indices(labels, unit_ids)
    except InvalidTypeError as error:
        raise FormatError(f"{path}: {error}") from error


@contextmanager
def blaming(path: Path) -> Iterator[None]:
    """Turn what core says of a value that came from a file into an error that names the file."""
    try:
        yield
    except (AssertionError, OverflowError, TypeError, ValueError) as error:
        raise FormatError(f"{path}: {error}") from error


def distinct_labels(column: Column, path: Path) -> IntArray:
    """The values of a column of integers, ascending, in one pass.

    Raises
    ------
    FormatError
        If they are no integers, or more than any sorting has units.
    """
    if column.dtype.kind not in "iu" and column.size:
        raise FormatError(f"{path}: unit labels of type {column.dtype} are no integers")
    values = np.empty(0, dtype=np.int64)
    for start, stop in row_stretches(0, column.size):
        values = np.union1d(values, _distinct(as_int64(column.read(start, stop), path)))
        if values.size > MAX_UNITS:
            raise FormatError(f"{path}: more than {MAX_UNITS} units; this is no sorting")
    return values


def _distinct(labels: IntArray) -> IntArray:
    low, high = int(labels.min()), int(labels.max())
    if high - low >= ROWS_PER_READ:
        return np.unique(labels)
    # Counting is ten times faster than sorting.
    return np.flatnonzero(np.bincount(labels - low)) + low


def row_stretches(start: int, stop: int) -> Iterator[tuple[int, int]]:
    """Cut rows into stretches of a bounded length."""
    for first in range(start, stop, ROWS_PER_READ):
        yield first, min(first + ROWS_PER_READ, stop)
