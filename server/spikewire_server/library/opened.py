"""A sorting that was opened: its spikes as columns and trains, and itself as a sorting."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from spikewire.core.dtypes import read_only
from spikewire.core.errors import RevisionMismatchError, SegmentIndexError
from spikewire.core.segment import BaseSortingSegment
from spikewire.core.sorting import BaseSorting
from spikewire.core.trains import SegmentTrains
from spikewire.wire.chunks import MAX_CHUNK_SPIKES
from spikewire.wire.errors import with_metadata
from spikewire_server.library.cache import Cache
from spikewire_server.library.entry import Origin
from spikewire_server.library.facts import Facts, Look, Source
from spikewire_server.library.index import DamagedIndexError, IndexKeeper, SegmentIndex
from spikewire_server.library.indexed_spikes import IndexedSpikes
from spikewire_server.library.overlay import Overlay
from spikewire_server.library.served import ServedSorting
from spikewire_server.library.spikes import (
    Columns,
    FileSpikes,
    MemorySpikes,
    SegmentSpikes,
    ViewSpikes,
)
from spikewire_server.workers import check_wait

T = TypeVar("T")

_BYTES_PER_SPIKE = 18  # both columns and the trains, as they are kept in memory
# What takes longer to read than a cancelled call may go on is not read in one piece.
_MAX_IN_MEMORY = 1 << 20


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
    indexes : IndexKeeper
        Has the indexes.
    overlay : Overlay
        Has the properties and annotations.
    """

    def __init__(
        self,
        source: Source,
        look: Look,
        facts: Facts,
        cache: Cache,
        indexes: IndexKeeper,
        overlay: Overlay,
    ) -> None:
        self.name = source.name
        self.origin = source.origin
        self.facts = facts
        self.look = look
        self._source = source
        self._cache = cache
        self._indexes = indexes
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

    def spikes(self, segment_index: int) -> SegmentSpikes:
        """Return the best way to the spikes of a segment that there is now.

        The source's own; for a view of what is being recorded, its parents; an index
        that is ready; else memory, for what is small; else the files. For what is larger
        than a chunk an index is wanted then.

        Raises
        ------
        SegmentIndexError
            If there is no such segment.
        ContentChangedError
            If the files changed since the sorting was opened.
        FormatError
            If they are damaged.
        """
        self._check_segment(segment_index)
        own = self._source.spikes(segment_index)
        if own is not None:
            return own
        if self.origin is Origin.VIEW and not self.look.settled:
            # Another revision comes in a moment: what is read for this one would be read again.
            return ViewSpikes(
                lambda start, end: self._file_blocks(segment_index, start, end),
                lambda: self.counts(segment_index),
                len(self.unit_ids),
                lambda: self._load(segment_index, lambda segment: segment.get_last_spike_frame()),
            )
        indexed = self._indexed(segment_index)
        if indexed is not None:
            return indexed
        count = int(self.counts(segment_index).sum())
        if count > MAX_CHUNK_SPIKES and self.look.settled:
            self._indexes.want(self.revision, len(self.unit_ids), self._all_blocks)
        if count > _MAX_IN_MEMORY or count * _BYTES_PER_SPIKE > self._cache.max_bytes // 2:
            return FileSpikes(
                lambda start, end: self._file_blocks(segment_index, start, end),
                lambda: self.counts(segment_index),
                len(self.unit_ids),
                lambda: self._indexed(segment_index),
            )
        return MemorySpikes(self.columns(segment_index), lambda: self._trains(segment_index))

    def _indexed(self, segment_index: int) -> IndexedSpikes | None:
        index = self._indexes.get(self.revision)
        if index is None:
            return None
        return IndexedSpikes(
            index.segments[segment_index], lambda error: self._without(error, segment_index)
        )

    def index_at_hand(self, segment_index: int) -> SegmentIndex | None:
        """Return the index of a segment of the store, if it is open."""
        if self.origin is not Origin.STORE:
            return None
        index = self._indexes.opened(self.revision)
        return None if index is None else index.segments[segment_index]

    def _without(self, error: DamagedIndexError, segment_index: int) -> SegmentSpikes:
        self._indexes.discard(self.revision, error)
        return self.spikes(segment_index)

    def _all_blocks(self) -> Iterable[Iterable[Columns]]:
        for segment_index in range(self.segment_count):
            yield self._file_blocks(segment_index, None, None)

    def _file_blocks(
        self, segment_index: int, start_frame: int | None, end_frame: int | None
    ) -> Iterator[Columns]:
        """Yield spikes as the files have them, each block only if it is of our revision."""
        try:
            self.verify()
            with self._source.in_its_name():
                segment = self._segment(segment_index)
                for block in segment.iter_spike_columns(start_frame, end_frame):
                    check_wait()
                    self.verify()
                    yield block
        except Exception:
            self.verify()  # if it changed, that is why
            raise

    def spike_count(self, segment_index: int) -> int:
        """Return how many spikes a segment has."""
        return self.spikes(segment_index).count(None, None)

    def columns(self, segment_index: int) -> Columns:
        """Return all spikes of a segment, through the cache; for small ones."""
        self._check_segment(segment_index)

        def read(segment: BaseSortingSegment) -> Columns:
            samples, unit_indices = segment.get_spike_columns()
            narrow = unit_indices.astype(np.min_scalar_type(max(len(self.unit_ids) - 1, 0)))
            return read_only(np.ascontiguousarray(samples, np.int64)), read_only(narrow)

        return self._get(
            "columns", segment_index, read, lambda pair: pair[0].nbytes + pair[1].nbytes
        )

    def _trains(self, segment_index: int) -> SegmentTrains:
        def sort(_: BaseSortingSegment) -> SegmentTrains:
            return SegmentTrains.from_columns(*self.columns(segment_index), len(self.unit_ids))

        return self._get("trains", segment_index, sort, lambda trains: trains.samples.nbytes)

    def counts(self, segment_index: int) -> NDArray[np.int64]:
        """Return how many spikes each unit has in a segment, through the cache."""
        self._check_segment(segment_index)

        def count(segment: BaseSortingSegment) -> NDArray[np.int64]:
            return read_only(np.asarray(segment.count_spikes(), np.int64))

        return self._get("counts", segment_index, count, lambda counts: counts.nbytes)

    def is_current(self) -> bool:
        """Look whether opening it again would give the same.

        Raises
        ------
        FormatError
            If its files are gone.
        """
        look = self._source.look()
        return (look.spikes, look.labels, look.settled) == (
            self.look.spikes,
            self.look.labels,
            self.look.settled,
        )

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

    def _check_segment(self, segment_index: int) -> None:
        if not 0 <= segment_index < self.segment_count:
            raise with_metadata(
                SegmentIndexError(
                    f"{self.name!r} has {self.segment_count} segments, and none {segment_index}"
                ),
                segment_index=segment_index,
                segment_count=self.segment_count,
            )

    def _segment(self, segment_index: int) -> BaseSortingSegment:
        with self._lock:
            if self._reader is None:
                self._reader = self._source.read()
            return self._reader.segments[segment_index]


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
