"""What is known of a sorting without its spikes, and where it is known from."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from spikewire.core.clocks import UnitClocks
from spikewire.core.dtypes import read_only
from spikewire.core.sorting import BaseSorting
from spikewire_server.library.entry import Origin
from spikewire_server.library.revision import digest
from spikewire_server.library.spikes import SegmentSpikes

_OBJECT_BYTES = 100  # what one Python object takes, more or less


class Look(NamedTuple):
    """What can be seen of a sorting without reading it."""

    spikes: str
    """Differs when the spikes do."""
    labels: str
    """Differs when the properties and annotations in the files do."""
    settled: bool
    """Whether it is old enough for a further change to be seen for certain."""
    update_time: datetime
    """When it was last changed, in UTC."""
    watched: Mapping[str, tuple[Source, str]] = MappingProxyType({})
    """What may change while it is read: sources by what tells them apart, and their `spikes`."""
    pins: Mapping[str, int] = MappingProxyType({})
    """The recordings that it is made of, by name, and up to which record, as they are met."""
    is_recording: bool = False
    """Whether one of these goes on."""

    @property
    def identity(self) -> str:
        """What `spikes` have in common as a recording goes on."""
        return self.spikes.partition(".")[0] if self.pins else self.spikes


@dataclass(frozen=True, kw_only=True)
class Facts:
    """A sorting without its spikes."""

    class_name: str
    """The class that reads it."""
    revision: str
    """Identifies the spikes, their order, units, rate and segments."""
    sampling_frequency: float
    """In Hz."""
    unit_ids: NDArray[Any]
    """The ids, in order."""
    t_starts: tuple[float | None, ...]
    """The time of sample 0 of each segment, in seconds, where stated."""
    clocks: tuple[UnitClocks | None, ...] = ()
    """How samples of each segment become seconds where sync points say it; empty if nowhere."""
    spike_count: int | None = None
    """How many spikes there are, where somebody counted."""
    labels: str = ""
    """Differs when the two below do."""
    properties: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    """The properties in the files."""
    annotations: Mapping[str, Any] = field(default_factory=dict)
    """The annotations in the files."""

    @property
    def nbytes(self) -> int:
        """How much memory they take, more or less."""
        arrays = [self.unit_ids, *self.properties.values()]
        objects = sum(array.size for array in arrays if array.dtype.hasobject)
        objects += len(self.unit_ids) + len(self.annotations)
        return sum(array.nbytes for array in arrays) + _OBJECT_BYTES * (objects + 20)

    def etag(self, kind: str, key: str) -> str:
        """Return the etag of a property or annotation in the files; empty if there is none."""
        here = self.properties if kind == "property" else self.annotations
        return digest("etag", self.revision, self.labels, kind, key) if key in here else ""


class Source(Protocol):
    """A sorting of some origin."""

    @property
    def name(self) -> str:
        """Its name, which errors use."""

    @property
    def origin(self) -> Origin:
        """Where it lies."""

    @property
    def class_name(self) -> str:
        """The class that reads it."""

    def look(self) -> Look:
        """Look at it as it is now, without reading the spikes."""

    def facts(self, look: Look) -> Facts:
        """Read everything but the spikes."""

    def read(self) -> BaseSorting:
        """Return what reads the spikes."""

    def spikes(self, segment_index: int) -> SegmentSpikes | None:
        """Return a way of its own to the spikes of a segment; None if they are to be read."""

    def in_its_name(self) -> AbstractContextManager[None]:
        """Wrap what reads the spikes: errors then speak of the sorting by its name."""


def facts_of(sorting: BaseSorting, revision: str, labels: str) -> Facts:
    """Return the facts of a sorting that was opened."""
    keys = sorting.get_property_keys()
    return Facts(
        class_name=type(sorting).__name__,
        revision=revision,
        sampling_frequency=sorting.sampling_frequency,
        unit_ids=sorting.unit_ids,
        t_starts=tuple(segment._t_start for segment in sorting.segments),
        clocks=tuple(segment._clocks for segment in sorting.segments),
        labels=labels,
        properties={key: read_only(np.asarray(sorting.get_property(key))) for key in keys},
        annotations={key: sorting.get_annotation(key) for key in sorting.get_annotation_keys()},
    )
