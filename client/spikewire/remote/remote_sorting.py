"""`RemoteSorting`: a sorting on a server, with the API of one in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, Literal

import numpy as np

from spikewire.core.dtypes import SPIKE_DTYPE, AnyArray, IntArray, SpikeVector, UnitId
from spikewire.core.errors import (
    FormatError,
    InvalidValueError,
    MalformedMessageError,
    RevisionMismatchError,
)
from spikewire.core.segment import BaseSortingSegment
from spikewire.core.sorting import BaseSorting
from spikewire.remote.channel import Connection, shared_connection
from spikewire.remote.lazy import LazyAnnotations, LazyMapping, LazyProperties
from spikewire.remote.metadata import RemoteMetadata
from spikewire.remote.methods import COUNT_SPIKES, GET_SORTING
from spikewire.remote.reader import SegmentCounts, SpikeReader
from spikewire.remote.target import parse_target, parse_url
from spikewire.v1 import sorting_service_pb2 as pb
from spikewire.v1.spike_train_service_pb2 import CountSpikesRequest
from spikewire.wire.sortings import SortingInfo, sorting_from_proto

Mode = Literal["r", "r+"]

DUMP_CLASS = "spikewire.bridges.spikeinterface.RemoteSorting"


class RemoteSorting(BaseSorting):
    """A sorting on a server.

    Spikes are read when they are asked for, and are those of one revision: if the
    content changes on the server, reads raise `RevisionMismatchError`. Properties
    and annotations are fetched on first use and are not pinned. Safe to use from
    many threads.

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
    # A train costs a round trip, the trains of all units hardly more than one.
    _reads_before_caching = 2

    def __init__(
        self, target: str, name: str, revision: str | None = None, mode: Mode = "r"
    ) -> None:
        connection = shared_connection(parse_target(target))
        self._open(connection, describe(connection, name), revision, mode)

    @classmethod
    def on(cls, connection: Connection, info: SortingInfo, mode: Mode = "r") -> RemoteSorting:
        """Make the sorting that a server has just described; what `Client` calls."""
        sorting = cls.__new__(cls)
        sorting._open(connection, info, None, mode)
        return sorting

    def _open(
        self, connection: Connection, info: SortingInfo, revision: str | None, mode: Mode
    ) -> None:
        if mode not in ("r", "r+"):
            raise InvalidValueError(f"mode must be 'r' or 'r+', not {mode!r}")
        _check_readable(connection, info)
        _check_revision(info, revision)
        if info.unit_ids is None or not info.sampling_frequency:
            raise MalformedMessageError(f"the server did not describe the units of {info.name!r}")
        super().__init__(info.sampling_frequency, info.unit_ids)
        self._connection = connection
        self._remote_name = info.name
        self._revision = info.revision
        self._mode = mode
        self._reader = SpikeReader(
            connection, info.name, info.revision, len(info.unit_ids), len(info.t_starts)
        )
        self._metadata = RemoteMetadata(connection, info.name, info.revision, len(info.unit_ids))
        for index, t_start in enumerate(info.t_starts):
            self.add_sorting_segment(RemoteSortingSegment(self._reader, index, t_start))
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

        Edits that were made in this object alone are lost.

        Raises
        ------
        RevisionMismatchError
            The spikes have changed: open the sorting again.
        """
        info = describe(self._connection, self._remote_name)
        _check_revision(info, self._revision)
        self._take_metadata(info)

    def _take_metadata(self, info: SortingInfo) -> None:
        etags = {key: described.etag for key, described in info.properties.items()}
        self._properties: LazyMapping = LazyProperties(etags, self._metadata.get_property)
        self._annotations: LazyMapping = LazyAnnotations(
            info.annotations, self._metadata.get_annotations
        )

    # -- writing through --------------------------------------------------------------

    def _store_property(self, key: str, values: AnyArray) -> None:
        if self._mode == "r":
            super()._store_property(key, values)
        else:
            etag = self._properties.etag(key)
            self._properties.written(key, self._metadata.set_property(key, values, etag))

    def _drop_property(self, key: str) -> None:
        if self._mode == "r":
            super()._drop_property(key)
        else:
            self._metadata.delete_property(key, self._properties.etag(key))
            self._properties.removed(key)

    def _store_annotation(self, key: str, value: Any) -> None:
        if self._mode == "r":
            super()._store_annotation(key, value)
        else:
            etag = self._annotations.etag(key)
            self._annotations.written(key, self._metadata.set_annotation(key, value, etag))

    def _drop_annotation(self, key: str) -> None:
        if self._mode == "r":
            super()._drop_annotation(key)
        else:
            self._metadata.delete_annotation(key, self._annotations.etag(key))
            self._annotations.removed(key)

    # -- reading in one call what the base class would read segment by segment ---------

    def _build_vector(self) -> SpikeVector:
        columns = self._reader.spikes()
        spikes = np.empty(len(columns.samples), dtype=SPIKE_DTYPE)
        spikes["sample_index"] = columns.samples
        spikes["unit_index"] = columns.unit_indices
        ends = np.cumsum(columns.segment_counts)
        for index, (count, end) in enumerate(zip(columns.segment_counts, ends, strict=True)):
            spikes["segment_index"][end - count : end] = index
        return spikes

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        # A copy (see core.copies.rebuild) has plain dicts in place of the lazy mappings.
        for metadata in (self._properties, self._annotations):
            if not isinstance(metadata, LazyMapping) or metadata.is_edited:
                return super().__reduce__()  # takes all metadata along
        return type(self), (*self._kwargs.values(), self._mode)


class RemoteSortingSegment(BaseSortingSegment):
    """One segment of a sorting on a server; every method is one call.

    Parameters
    ----------
    reader : SpikeReader
        Reads the sorting.
    segment_index : int
    t_start : float, optional
        Seconds.
    """

    def __init__(self, reader: SpikeReader, segment_index: int, t_start: float | None) -> None:
        super().__init__(t_start)
        self._reader = reader
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
        return self._reader.trains(indices, self._segment_index, start_frame, end_frame)

    def get_spike_columns(
        self, start_frame: int | None = None, end_frame: int | None = None
    ) -> tuple[IntArray, IntArray]:
        """Return samples and unit indices in the order of the spike vector."""
        columns = self._reader.spikes(self._segment_index, start_frame, end_frame)
        return columns.samples, columns.unit_indices

    def count_spikes(self) -> IntArray:
        """Return the number of spikes of each unit."""
        return self._counts.counts

    def get_last_spike_frame(self) -> int | None:
        """Return the largest sample; None if there are no spikes."""
        return self._counts.last_sample

    @cached_property
    def _counts(self) -> SegmentCounts:
        return self._reader.counts(self._segment_index)


def describe(connection: Connection, name: str) -> SortingInfo:
    """Return what a server tells of a sorting."""
    response = connection.call(GET_SORTING, pb.GetSortingRequest(name=name))
    return sorting_from_proto(response.sorting)


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


def _check_readable(connection: Connection, info: SortingInfo) -> None:
    if info.state in ("broken", "needs sampling frequency"):
        # A read fails with the very class that the reader of the files raised.
        connection.call(COUNT_SPIKES, CountSpikesRequest(name=info.name))
        raise FormatError(f"the server could not read {info.name!r}: {info.state_detail}")


def _check_revision(info: SortingInfo, revision: str | None) -> None:
    if revision is not None and info.revision != revision:
        raise RevisionMismatchError(
            f"{info.name!r} has changed on the server: its revision is {info.revision!r}, "
            f"not {revision!r}; without a revision, the present content is opened"
        )
