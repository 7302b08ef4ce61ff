"""Sortings on their way into the store."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, Self

import numpy as np
from numpy.typing import NDArray

from spikewire.core.clocks import UnitClocks
from spikewire.core.dtypes import SPIKE_DTYPE
from spikewire.core.errors import (
    ContractError,
    InvalidValueError,
    LimitExceededError,
    StoreUnwritableError,
    UploadIncompleteError,
)
from spikewire.core.unit_ids import as_unit_ids
from spikewire.extractors.tables import MAX_SEGMENTS
from spikewire.wire.clocks import clocks_to_bytes
from spikewire.wire.errors import with_metadata
from spikewire.wire.unit_ids import unit_ids_to_proto
from spikewire_server.library.catalogue import Catalogue
from spikewire_server.library.entry import Entry
from spikewire_server.library.names import check_key
from spikewire_server.library.notes import Content, Kind, drop_staged, staging_name, write_note
from spikewire_server.library.object_writer import ObjectWriter
from spikewire_server.library.opened import OpenedSorting
from spikewire_server.library.store import Store

if TYPE_CHECKING:
    from spikewire_server.settings import Settings


@dataclass(frozen=True)
class UploadHeader:
    """What an upload announces, checked."""

    sampling_frequency: float
    unit_ids: NDArray[Any]
    unit_ids_proto: bytes
    t_starts: tuple[float | None, ...]
    spike_counts: tuple[int, ...]
    clocks: bytes | None = None
    """The sync points of the segments, serialized; None if there are none."""

    @classmethod
    def checked(
        cls,
        sampling_frequency: float,
        unit_ids: Any,
        t_starts: Sequence[float | None],
        spike_counts: Sequence[int],
        clocks: Sequence[UnitClocks | None],
        settings: Settings,
    ) -> Self:
        """Return the header of an upload that can be taken.

        Raises
        ------
        InvalidValueError, ContractError
            If a sorting cannot be like this.
        LimitExceededError
            If it is larger than the settings allow.
        """
        if not (math.isfinite(sampling_frequency) and sampling_frequency > 0):
            raise InvalidValueError(
                f"the sampling frequency is {sampling_frequency}, but must be positive"
            )
        check_unit_count(len(unit_ids), settings)
        if len(t_starts) != len(spike_counts):
            raise InvalidValueError(
                f"{len(t_starts)} segments, but spike counts of {len(spike_counts)}"
            )
        if len(t_starts) > MAX_SEGMENTS:
            _refuse("segment_count", MAX_SEGMENTS, f"{len(t_starts)} segments")
        for t_start in t_starts:
            if t_start is not None and not math.isfinite(t_start):
                raise InvalidValueError(f"a segment starts at {t_start} s")
        if any(count < 0 for count in spike_counts):
            raise InvalidValueError("a spike count is negative")
        unit_ids = as_unit_ids(unit_ids)
        return cls(
            float(sampling_frequency),
            unit_ids,
            unit_ids_to_proto(unit_ids).SerializeToString(),
            tuple(t_starts),
            tuple(map(int, spike_counts)),
            clocks_to_bytes(clocks),
        )


class Upload:
    """Takes a sorting piece by piece; nothing of it is to be seen before `commit`.

    Safe to abort from another thread than the one that writes.

    Parameters
    ----------
    header : UploadHeader
        What is announced.
    annotations : mapping
        The annotations.
    store, catalogue, settings
        Where it goes, and how much may.
    publish : callable
        Gives the finished object its name; returns whether it was needed.
    describe : callable
        Describes what has the name then.

    Raises
    ------
    LimitExceededError
        If more is announced than the settings allow.
    """

    def __init__(
        self,
        header: UploadHeader,
        annotations: Mapping[str, Any],
        store: Store,
        catalogue: Catalogue,
        settings: Settings,
        publish: Callable[[Upload], bool],
        describe: Callable[[], Entry],
    ) -> None:
        self.header = header
        self._catalogue = catalogue
        self._settings = settings
        self._publish = publish
        self._describe = describe
        self._bytes = 0
        self._add_bytes(sum(header.spike_counts) * SPIKE_DTYPE.itemsize)
        self._lock = threading.Lock()  # held by whatever the upload is doing
        self._over = False
        self._writer: ObjectWriter = store.write(
            header.sampling_frequency, header.unit_ids, header.spike_counts
        )
        self.object_id = self._writer.object_id
        try:
            for key, value in annotations.items():
                self._note(Kind.ANNOTATION, key, Content.of_annotation(value))
        except BaseException:
            self.abort()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.abort()

    @property
    def revision(self) -> str:
        """The revision of what was written."""
        header = self.header
        return self._writer.digest.revision(
            header.sampling_frequency, header.unit_ids, header.t_starts, header.clocks
        )

    def write_property(self, key: str, values: NDArray[Any]) -> None:
        """Take a property, shape (units, ...).

        Raises
        ------
        ContractError
            If there is not one value a unit.
        LimitExceededError
            If it is too large.
        """
        values = checked_property(key, values, len(self.header.unit_ids))
        with self._lock:
            self._check_open()
            self._note(Kind.PROPERTY, key, Content.of_property(values, self.header.unit_ids))

    def write_spikes(
        self, segment_index: int, samples: NDArray[np.int64], unit_indices: NDArray[Any]
    ) -> None:
        """Take the next spikes in the order of the spike vector.

        Raises
        ------
        InvalidValueError
            If they are out of order, of no unit, or more than announced.
        StoreUnwritableError
            If the disk is full or failing.
        """
        with self._lock:
            self._check_open()
            self._writer.write(segment_index, samples, unit_indices)

    def write_all_of(self, opened: OpenedSorting, stop: Callable[[], bool]) -> None:
        """Take the properties and the spikes of a sorting of this server.

        Raises
        ------
        UploadIncompleteError
            Once `stop`, which is asked again and again, answers True.
        """
        for info in opened.overlay.properties():
            self.write_property(info.key, opened.overlay.property(info.key)[0])
        for segment in range(opened.segment_count):
            for samples, unit_indices in opened.spikes(segment).blocks(None, None):
                if stop():
                    raise UploadIncompleteError("the copy was stopped")
                self.write_spikes(segment, samples, unit_indices)

    def commit(self) -> Entry:
        """Sync everything to the disk, give it its name, and describe it.

        Raises
        ------
        UploadIncompleteError
            If fewer spikes came than were announced.
        SortingExistsError, RevisionMismatchError
            If the name is taken by something else than may be replaced.
        """
        with self._lock:
            self._check_open()
            self._writer.finish()
            try:
                needed = self._publish(self)
            except StoreUnwritableError:
                # Whether the catalogue has it is not known; if not, the next start removes it.
                self._over = True
                raise
            self._over = needed
        self.abort()
        return self._describe()

    def abort(self) -> None:
        """Remove all of it, unless it was committed."""
        with self._lock:
            if self._over:
                return
            self._over = True
            self._writer.abort()
            with self._catalogue.write() as connection:
                drop_staged(connection, self.object_id)

    def _note(self, kind: Kind, key: str, content: Content) -> None:
        check_key(key)
        content.check_size(key, self._settings.max_property_bytes)
        self._add_bytes(len(content.value))
        with self._catalogue.write() as connection:
            write_note(connection, staging_name(self.object_id), kind, key, content)

    def _add_bytes(self, count: int) -> None:
        self._bytes += count
        if self._bytes > self._settings.max_upload_bytes:
            _refuse("upload_bytes", self._settings.max_upload_bytes, f"{self._bytes} bytes")

    def _check_open(self) -> None:
        if self._over:
            raise UploadIncompleteError("the upload is over")


def check_unit_count(count: int, settings: Settings) -> None:
    """Refuse a sorting of too many units.

    Raises
    ------
    LimitExceededError
        If there are more than the settings allow.
    """
    if count > settings.max_unit_count:
        _refuse("unit_count", settings.max_unit_count, f"{count} units")


def checked_property(key: str, values: NDArray[Any], unit_count: int) -> NDArray[Any]:
    """Return the values of a property, if units can have them.

    Raises
    ------
    InvalidNameError
        If the key cannot be one.
    ContractError
        If there is not one value a unit.
    """
    check_key(key)
    values = np.asarray(values)
    if values.ndim == 0 or len(values) != unit_count:
        raise with_metadata(
            ContractError(
                f"property {key!r} needs {unit_count} values, one a unit, not shape {values.shape}"
            ),
            key=key,
        )
    return values


def _refuse(limit: str, maximum: int, what: str) -> NoReturn:
    raise with_metadata(
        LimitExceededError(f"{what} are more than this server accepts, {maximum}"),
        limit=limit,
        maximum=maximum,
    )
