"""A sorting that was opened: its spikes as columns and trains, and itself as a sorting."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from spikewire.core.bounds import window
from spikewire.core.dtypes import UnitId
from spikewire.core.errors import RevisionMismatchError, SegmentIndexError
from spikewire.core.segment import BaseSortingSegment
from spikewire.core.sorting import BaseSorting
from spikewire.core.trains import SegmentTrains
from spikewire.wire.errors import with_metadata
from spikewire_server.library.cache import Cache
from spikewire_server.library.facts import Facts, Look, Source
from spikewire_server.library.overlay import Overlay

T = TypeVar("T")
Columns = tuple[NDArray[np.int64], NDArray[Any]]


class OpenedSorting:
    """One revision of a sorting, read through the cache.

    Safe to use from several threads. What it gives is of its revision or an error:
    files that are not ours are looked at before and after they are read.

    Parameters
    ----------
    source : Source
        Where it is.
    look : Look
        What was seen when it was opened.
    facts : Facts
        What was read then.
    cache : Cache
        Where spikes are kept.
    overlay : Overlay
        Has the properties and annotations.
    """

    def __init__(
        self,
        source: Source,
        look: Look,
        facts: Facts,
        cache: Cache,
        overlay: Overlay,
    ) -> None:
        self.name = source.name
        self.origin = source.origin
        self.facts = facts
        self.look = look
        self._source = source
        self._cache = cache
        self.overlay = overlay
        self._lock = threading.RLock()  # guards the two below
        self._held: dict[tuple[object, ...], Any] = {}  # what the cache must not keep
        self._reader: BaseSorting | None = None

    @property
    def revision(self) -> str:
        """Identifies the spikes, their order, units, rate and segments."""
        return self.facts.revision

    @property
    def unit_ids(self) -> NDArray[Any]:
        """The ids of the units, in order."""
        return self.facts.unit_ids

    @property
    def segment_count(self) -> int:
        """How many segments there are."""
        return len(self.facts.t_starts)

    @property
    def sorting(self) -> BaseSorting:
        """The sorting itself: a new object, with the properties and annotations of now."""
        sorting = ServedSorting(self)
        self.overlay.lay_over(sorting)
        return sorting

    def columns(self, segment_index: int) -> Columns:
        """Return all spikes of a segment in the order of the spike vector.

        Returns
        -------
        samples : ndarray of int64, shape (spikes,)
            Ascending; read-only.
        unit_indices : ndarray of the narrowest unsigned type, shape (spikes,)
            Positions in `unit_ids`; read-only.

        Raises
        ------
        ContentChangedError
            If the files changed since the sorting was opened.
        FormatError
            If they are damaged.
        """

        def read(segment: BaseSortingSegment) -> Columns:
            samples, unit_indices = segment.get_spike_columns()
            narrow = unit_indices.astype(np.min_scalar_type(max(len(self.unit_ids) - 1, 0)))
            return _read_only(np.ascontiguousarray(samples, np.int64)), _read_only(narrow)

        return self._get(
            "columns", segment_index, read, lambda pair: pair[0].nbytes + pair[1].nbytes
        )

    def train(self, unit_index: int, segment_index: int) -> NDArray[np.int64]:
        """Return the samples of one unit in a segment, ascending, read-only.

        Raises
        ------
        ContentChangedError, FormatError
            As `columns`.
        """

        def sort(_: BaseSortingSegment) -> SegmentTrains:
            return SegmentTrains.from_columns(*self.columns(segment_index), len(self.unit_ids))

        trains = self._get("trains", segment_index, sort, lambda trains: trains.samples.nbytes)
        return trains.train(unit_index)

    def counts(self, segment_index: int) -> NDArray[np.int64]:
        """Return the number of spikes of each unit in a segment, read-only.

        Raises
        ------
        ContentChangedError, FormatError
            As `columns`.
        """

        def count(segment: BaseSortingSegment) -> NDArray[np.int64]:
            return _read_only(np.asarray(segment.count_spikes(), np.int64))

        return self._get("counts", segment_index, count, lambda counts: counts.nbytes)

    def spike_count(self, segment_index: int) -> int:
        """Return the number of spikes in a segment."""
        return int(self.counts(segment_index).sum())

    def verify(self) -> None:
        """Look whether files that it is read from are still what they were.

        Raises
        ------
        RevisionMismatchError
            If it is of another one now.
        ContentChangedError
            If it is gone, or cannot be looked at.
        """
        for source, expected in self.look.watched.values():
            actual = source.look().spikes
            if actual != expected:
                raise revision_mismatch(source.name, expected, actual)

    def _get(
        self,
        what: str,
        segment_index: int,
        read: Callable[[BaseSortingSegment], T],
        size: Callable[[T], int],
    ) -> T:
        if not 0 <= segment_index < self.segment_count:
            raise with_metadata(
                SegmentIndexError(
                    f"{self.name!r} has {self.segment_count} segments, and none {segment_index}"
                ),
                segment_index=segment_index,
                segment_count=self.segment_count,
            )

        def load() -> T:
            return self._load(segment_index, read)

        key = (what, self.revision, segment_index)
        if self.look.settled:
            return self._cache.get(key, load, size)
        with self._lock:
            if key not in self._held:
                self._held[key] = load()
            value: T = self._held[key]
            return value

    def _load(self, segment_index: int, read: Callable[[BaseSortingSegment], T]) -> T:
        try:
            self.verify()
            with self._source.in_its_name():
                value = read(self._segment(segment_index))
        except Exception:
            self.verify()  # if it changed, that is why
            raise
        self.verify()
        return value

    def _segment(self, segment_index: int) -> BaseSortingSegment:
        with self._lock:
            if self._reader is None:
                self._reader = self._source.read()
            return self._reader.segments[segment_index]


class ServedSorting(BaseSorting):
    """An opened sorting as a sorting, for views of it and for copies."""

    # The library's cache lies behind it, and is the one whose size is bounded.
    _reads_before_caching = math.inf

    def __init__(self, opened: OpenedSorting) -> None:
        facts = opened.facts
        super().__init__(facts.sampling_frequency, facts.unit_ids)
        for index, t_start in enumerate(facts.t_starts):
            self.add_sorting_segment(_ServedSegment(opened, index, t_start))


class _ServedSegment(BaseSortingSegment):
    def __init__(self, opened: OpenedSorting, index: int, t_start: float | None) -> None:
        super().__init__(t_start)
        self._opened = opened
        self._index = index

    def get_unit_spike_train(
        self, unit_id: UnitId, start_frame: int | None = None, end_frame: int | None = None
    ) -> NDArray[np.int64]:
        train = self._opened.train(self._sorting().id_to_index(unit_id), self._index)
        return window(train, start_frame, end_frame)

    def get_spike_columns(
        self, start_frame: int | None = None, end_frame: int | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        samples, unit_indices = self._opened.columns(self._index)
        first = 0 if start_frame is None else np.searchsorted(samples, start_frame)
        last = len(samples) if end_frame is None else np.searchsorted(samples, end_frame)
        return samples[first:last], unit_indices[first:last].astype(np.int64)

    def count_spikes(self) -> NDArray[np.int64]:
        return self._opened.counts(self._index)


def revision_mismatch(name: str, expected: str, actual: str) -> RevisionMismatchError:
    """Return the error of who wants one revision where there is another."""
    return with_metadata(
        RevisionMismatchError(
            f"{name!r} is not, or no longer, of the revision {expected!r}: it is of {actual!r}"
        ),
        name=name,
        expected=expected,
        actual=actual,
    )


def _read_only(array: NDArray[Any]) -> NDArray[Any]:
    array.flags.writeable = False
    return array
