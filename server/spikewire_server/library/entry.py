"""What the library tells of a sorting."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikewire.core.clocks import UnitClocks


class State(Enum):
    """Whether a sorting can be read."""

    READY = "ready"
    NEEDS_SAMPLING_FREQUENCY = "needs_sampling_frequency"
    BROKEN = "broken"
    RECORDING = "recording"


class Origin(Enum):
    """Where a sorting lies."""

    ROOT = "root"
    STORE = "store"
    VIEW = "view"
    ACQUISITION = "acquisition"


class PropertyInfo(NamedTuple):
    """A property without its values; `shape` has one entry a unit along the first axis."""

    key: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    etag: str


class AnnotationInfo(NamedTuple):
    """An annotation without its value."""

    key: str
    etag: str


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One sorting, described. What is None is not known without reading the spikes."""

    name: str
    """Its name."""
    origin: Origin
    """Where it lies."""
    class_name: str
    """The class that reads it."""
    state: State = State.READY
    """Whether it can be read."""
    state_detail: str = ""
    """What is wrong, and what would mend it; empty if it can be read."""
    revision: str = ""
    """Identifies the spikes, their order, units, rate and segments; empty in listings."""
    sampling_frequency: float | None = None
    """Samples per second, in Hz."""
    unit_ids: NDArray[Any] | None = None
    """The ids, in order; None in listings."""
    t_starts: tuple[float | None, ...] | None = None
    """The time of sample 0 of each segment, in seconds, where stated; None in listings."""
    clocks: tuple[UnitClocks | None, ...] = ()
    """How samples of each segment become seconds where sync points say it; empty in listings."""
    unit_count: int | None = None
    """How many units there are."""
    segment_count: int | None = None
    """How many segments there are."""
    spike_count: int | None = None
    """How many spikes there are in all segments."""
    properties: tuple[PropertyInfo, ...] = field(default=())
    """The properties, in order; empty in listings."""
    annotations: tuple[AnnotationInfo, ...] = field(default=())
    """The annotations, in order; empty in listings."""
    update_time: datetime | None = None
    """When the content was last changed, in UTC."""
