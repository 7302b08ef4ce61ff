"""`RemoteSorting`: a sorting on a server, with the API of one in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from itertools import zip_longest
from typing import Any, Literal, TypeVar

from spikewire.core.clocks import UnitClocks
from spikewire.core.dtypes import AnyArray, IntArray, SpikeVector, UnitId
from spikewire.core.errors import InvalidValueError
from spikewire.core.segment import BaseSortingSegment
from spikewire.core.sorting import BaseSorting
from spikewire.remote.channel import Connection, shared_connection
from spikewire.remote.columns import Pieces
from spikewire.remote.lazy import LazyAnnotations, LazyMapping, LazyProperties
from spikewire.remote.library import describe_later, describe_readable
from spikewire.remote.references import DUMP_CLASS
from spikewire.remote.source import RemoteSource
from spikewire.remote.steps import Operation
from spikewire.remote.target import parse_target, parse_url
from spikewire.wire.sortings import SortingInfo

Mode = Literal["r", "r+"]
ResultT = TypeVar("ResultT")


class RemoteSorting(BaseSorting):
    """A sorting on a server.

    Spikes are read when they are asked for, and are those of one revision: if the
    content changes on the server, reads raise `RevisionMismatchError`. Trains are
    cached, within the budget of the client. Properties and annotations are fetched
    on first use and are not pinned. Safe to use from many threads.

    Parameters
    ----------
    target : str
        The server, "host" or "host:port".
    name : str
        The sorting's name there.
    revision : str, optional
        The content that is meant; by default the present one.
    mode : {"r", "r+"}, default: "r"
        Whether property and annotation writes stay in this object ("r") or are
        written through to the server ("r+").

    Raises
    ------
    SortingNotFoundError
        The server has no sorting of this name.
    RevisionMismatchError
        Its content is not of `revision`.
    NeedsSamplingFrequencyError, FormatError
        The server cannot read it; the message says why.
    ServerUnavailableError, DeadlineExceededError
        No server answers at `target`.
    """

    _dump_class = DUMP_CLASS

    def __init__(
        self, target: str, name: str, revision: str | None = None, mode: Mode = "r"
    ) -> None:
        _check_mode(mode)
        connection = shared_connection(parse_target(target))
        info = connection.run(describe_readable(name, revision))
        self._open(connection, info, mode)

    @classmethod
    def on(cls, connection: Connection, name: str, mode: Mode = "r") -> RemoteSorting:
        """Open a sorting over a connection; what `Client` calls."""
        _check_mode(mode)
        return cls._of(connection, connection.run(describe_readable(name)), mode)

    @classmethod
    def _of(cls, connection: Connection, info: SortingInfo, mode: Mode = "r") -> RemoteSorting:
        """Make the sorting that a server has just described."""
        sorting = cls.__new__(cls)
        sorting._open(connection, info, mode)
        return sorting

    def _open(self, connection: Connection, info: SortingInfo, mode: Mode) -> None:
        source = RemoteSource(connection.resources, info)
        super().__init__(source.sampling_frequency, source.unit_ids)
        self._connection = connection
        self._source = source
        self._remote_name = info.name
        self._revision = info.revision
        self._mode = mode
        for index, (t_start, clocks) in enumerate(zip_longest(info.t_starts, info.clocks)):
            self.add_sorting_segment(
                RemoteSortingSegment(connection, source, index, t_start, clocks)
            )
        self._take_metadata(info)
        self._kwargs = {
            "target": str(connection.target),
            "name": info.name,
            "revision": info.revision,
        }

    @property
    def mode(self) -> str:
        """Whether writes stay in this object ("r") or go to the server ("r+")."""
        return self._mode

    @property
    def remote_name(self) -> str:
        """The sorting's name on the server; `name` is the annotation."""
        return self._remote_name

    @property
    def revision(self) -> str:
        """The content that is pinned."""
        return self._revision

    @property
    def url(self) -> str:
        """The address that `spikewire.load` opens."""
        return self._connection.target.url(self._remote_name)

    def __repr__(self) -> str:
        return f"{super().__repr__()}\n  {self.url}"

    def refresh(self) -> None:
        """Forget the properties and annotations and take those that the server has now.

        Edits that were made in this object alone are lost. A sorting that is being
        recorded is from now on what has been recorded until now: it has more spikes,
        and may have more units and segments. No other thread may use it meanwhile, and
        views that were made of it before must be made again.

        Raises
        ------
        RevisionMismatchError
            The spikes have changed: open the sorting again.
        """
        info = self._run(describe_later(self._remote_name, self._revision))
        if info.revision == self._revision:
            self._take_metadata(info)
        else:
            self._open(self._connection, info, self._mode)

    def _take_metadata(self, info: SortingInfo) -> None:
        metadata = self._source.metadata
        etags = {key: described.etag for key, described in info.properties.items()}
        self._properties: LazyMapping = LazyProperties(
            etags, lambda key: self._run(metadata.get_property(key))
        )
        self._annotations: LazyMapping = LazyAnnotations(
            info.annotations, lambda: self._run(metadata.get_annotations())
        )

    def _run(self, operation: Operation[ResultT]) -> ResultT:
        return self._connection.run(operation)

    # -- writing through --------------------------------------------------------------

    def _store_property(self, key: str, values: AnyArray) -> None:
        if self._mode == "r":
            super()._store_property(key, values)
        else:
            etag = self._properties.etag_to_replace(key)
            tagged = self._run(self._source.metadata.set_property(key, values, etag))
            self._properties.written(key, tagged)

    def _drop_property(self, key: str) -> None:
        if self._mode == "r":
            super()._drop_property(key)
        else:
            self._run(
                self._source.metadata.delete_property(key, self._properties.etag_to_replace(key))
            )
            self._properties.removed(key)

    def _store_annotation(self, key: str, value: Any) -> None:
        if self._mode == "r":
            super()._store_annotation(key, value)
        else:
            etag = self._annotations.etag_to_replace(key)
            tagged = self._run(self._source.metadata.set_annotation(key, value, etag))
            self._annotations.written(key, tagged)

    def _drop_annotation(self, key: str) -> None:
        if self._mode == "r":
            super()._drop_annotation(key)
        else:
            self._run(
                self._source.metadata.delete_annotation(key, self._annotations.etag_to_replace(key))
            )
            self._annotations.removed(key)

    # -- spikes -------------------------------------------------------------------------

    def _get_trains(
        self,
        unit_indices: Sequence[int] | IntArray,
        segment_index: int,
        start_frame: int | None,
        end_frame: int | None,
        use_cache: bool = True,
    ) -> list[IntArray]:
        if not use_cache:
            return self._read_trains(unit_indices, segment_index, start_frame, end_frame)
        trains = self._source.trains[segment_index]
        cached = trains.cached(unit_indices, start_frame, end_frame)
        if cached is not None:
            return cached
        return self._run(trains.trains(unit_indices, start_frame, end_frame))

    def precompute_spike_trains(self, from_spike_vector: bool | None = None) -> None:
        """Fetch the trains of every unit into the cache, as far as it holds them.

        Parameters
        ----------
        from_spike_vector : bool, optional
            Deprecated, without effect.
        """
        for trains in self._source.trains:
            self._run(trains.all_trains())

    def _build_vector(self) -> SpikeVector:
        return self._run(self._source.reader.vector())

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        # A copy (see core.copies.rebuild) has plain dicts in place of the lazy mappings.
        for metadata in (self._properties, self._annotations):
            if not isinstance(metadata, LazyMapping) or metadata.is_edited:
                return super().__reduce__()  # takes all metadata along
        return type(self), (*self._kwargs.values(), self._mode)


class RemoteSortingSegment(BaseSortingSegment):
    """One segment of a sorting on a server; every method asks it.

    Parameters
    ----------
    connection : Connection
        The way to the server.
    source : RemoteSource
        Reads the sorting.
    segment_index : int
    t_start : float, optional
        Seconds.
    clocks : UnitClocks, optional
        How frames become seconds where sync points say it.
    """

    def __init__(
        self,
        connection: Connection,
        source: RemoteSource,
        segment_index: int,
        t_start: float | None,
        clocks: UnitClocks | None = None,
    ) -> None:
        super().__init__(t_start, clocks)
        self._connection = connection
        self._reader = source.reader
        self._segment_index = segment_index

    def get_unit_spike_train(
        self, unit_id: UnitId, start_frame: int | None = None, end_frame: int | None = None
    ) -> IntArray:
        """Return the samples of one unit in [start_frame, end_frame), ascending."""
        return self.get_unit_spike_trains([unit_id], start_frame, end_frame)[0]

    def get_unit_spike_trains(
        self,
        unit_ids: Sequence[UnitId] | AnyArray,
        start_frame: int | None = None,
        end_frame: int | None = None,
    ) -> list[IntArray]:
        """Return the trains of several units, in the order of `unit_ids`."""
        sorting = self._sorting()
        indices = [sorting.id_to_index(unit_id) for unit_id in unit_ids]
        return self._connection.run(
            self._reader.trains(indices, self._segment_index, start_frame, end_frame)
        )

    def get_spike_columns(
        self, start_frame: int | None = None, end_frame: int | None = None
    ) -> tuple[IntArray, IntArray]:
        """Return samples and unit indices in the order of the spike vector."""
        return self._connection.run(
            self._reader.columns(self._segment_index, start_frame, end_frame)
        )

    def iter_spike_columns(
        self, start_frame: int | None = None, end_frame: int | None = None
    ) -> Iterator[tuple[IntArray, IntArray]]:
        """Yield what `get_spike_columns` returns, a chunk at a time, as it comes."""
        pieces = Pieces()
        operation = self._reader.pieces(pieces, self._segment_index, start_frame, end_frame)
        with closing(self._connection.iterate(operation)) as messages:
            for _ in messages:
                yield from pieces.take()

    def count_spikes(self) -> IntArray:
        """Return the number of spikes of each unit."""
        return self._connection.run(self._reader.counts(self._segment_index)).counts

    def count_spikes_between(self, start_frame: int | None, end_frame: int | None) -> IntArray:
        """Return the number of spikes of each unit in [start_frame, end_frame)."""
        return self._connection.run(
            self._reader.window_counts(self._segment_index, start_frame, end_frame)
        ).counts

    def get_last_spike_frame(self) -> int | None:
        """Return the largest sample; None if there are no spikes."""
        return self._connection.run(self._reader.counts(self._segment_index)).last_sample


def open_url(url: str, mode: Mode = "r") -> RemoteSorting:
    """Open the sorting at an address.

    Parameters
    ----------
    url : str
        ``spikewire://host:port/name``.
    mode : {"r", "r+"}, default: "r"
        As for `RemoteSorting`.
    """
    target, name = parse_url(url)
    return RemoteSorting(str(target), name, mode=mode)


def _check_mode(mode: str) -> None:
    if mode not in ("r", "r+"):
        raise InvalidValueError(f"mode must be 'r' or 'r+', not {mode!r}")
