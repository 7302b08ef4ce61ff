"""The skeleton of a sorting: its units, its sampling frequency and its segments."""

from __future__ import annotations

import math
import operator
import warnings
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from spikewire.core.dtypes import AnyArray, IntArray, UnitId
from spikewire.core.errors import (
    ContractError,
    InvalidTypeError,
    InvalidValueError,
    SegmentIndexError,
    SegmentRequiredError,
    UnitNotFoundError,
)
from spikewire.core.segment import BaseSortingSegment
from spikewire.core.unit_ids import as_unit_ids, some


class SortingShape:
    """Units, sampling frequency and segments; the lowest layer of `BaseSorting`."""

    def __init__(self, sampling_frequency: float, unit_ids: Iterable[UnitId] | AnyArray) -> None:
        self._sampling_frequency = _positive(sampling_frequency)
        self._main_ids = as_unit_ids(unit_ids)
        self._indices = {unit_id: i for i, unit_id in enumerate(self._main_ids.tolist())}
        self._segments: list[BaseSortingSegment] = []
        self._kwargs: dict[str, Any] = {}

    @property
    def unit_ids(self) -> AnyArray:
        """The unit ids, integers or strings, read-only."""
        return self._main_ids

    def get_unit_ids(self) -> AnyArray:
        """The unit ids, integers or strings, read-only."""
        return self._main_ids

    def get_num_units(self) -> int:
        """The number of units."""
        return len(self._main_ids)

    @property
    def sampling_frequency(self) -> float:
        """Frames per second."""
        return self._sampling_frequency

    def get_sampling_frequency(self) -> float:
        """Frames per second."""
        return self._sampling_frequency

    @property
    def segments(self) -> list[BaseSortingSegment]:
        """The segments, in order."""
        return self._segments

    @property
    def _sorting_segments(self) -> list[BaseSortingSegment]:
        # The name of `segments` before SpikeInterface 0.105.
        return self._segments

    def get_num_segments(self) -> int:
        """The number of segments."""
        return len(self._segments)

    def add_sorting_segment(self, sorting_segment: BaseSortingSegment) -> None:
        """Append a segment; only constructors call this."""
        self._segments.append(sorting_segment)
        sorting_segment.set_parent_extractor(self)

    def add_segment(self, segment: BaseSortingSegment) -> None:
        """Append a segment; the same as `add_sorting_segment`."""
        self.add_sorting_segment(segment)

    def id_to_index(self, id: UnitId) -> int:  # noqa: A002
        """The position of a unit id in `unit_ids`.

        Raises
        ------
        UnitNotFoundError
            If no unit has the id. `1`, `1.0` and `np.int64(1)` are the same id,
            `"1"` is another.
        """
        try:
            return self._indices[id]
        except KeyError:
            pass
        except TypeError:  # not hashable; an array of one id is, however, a fair question
            if isinstance(id, np.ndarray) and id.ndim == 0:
                return self.id_to_index(id.item())
        raise UnitNotFoundError(
            f"{id!r} is not a unit of this sorting; its units are {some(self._main_ids.tolist())}"
        )

    def ids_to_indices(
        self, ids: list[Any] | tuple[Any, ...] | AnyArray | None = None, prefer_slice: bool = False
    ) -> IntArray | slice:
        """The positions of unit ids in `unit_ids`.

        Parameters
        ----------
        ids : list, tuple or array, optional
            In any order, repeats allowed; None stands for all units.
        prefer_slice : bool, default: False
            Give a slice if the positions are consecutive.

        Returns
        -------
        int64, (ids,), or slice

        Raises
        ------
        ContractError
            If `ids` is not a list, tuple or array.
        UnitNotFoundError
            If an id is not a unit's.
        """
        if ids is None:
            return slice(None) if prefer_slice else np.arange(self.get_num_units())
        if not isinstance(ids, list | tuple | np.ndarray):
            raise ContractError(
                f"'ids' must be a list, tuple or array of unit ids, not {type(ids).__name__}"
            )
        given = ids.tolist() if isinstance(ids, np.ndarray) else ids
        positions = [self._position(unit_id) for unit_id in given]
        if -1 in positions:
            unknown = [unit_id for unit_id, i in zip(given, positions, strict=True) if i < 0]
            raise UnitNotFoundError(
                f"not units of this sorting: {some(unknown)}; "
                f"its units are {some(self._main_ids.tolist())}"
            )
        indices = np.array(positions, dtype=np.int64)
        if prefer_slice and np.all(np.diff(indices) == 1):
            return slice(indices[0], indices[-1] + 1) if len(indices) else slice(0, 0)
        return indices

    def _position(self, unit_id: Any) -> int:
        """The position of a unit id; -1 for what is none."""
        try:
            return self._indices.get(unit_id, -1)
        except TypeError:  # not hashable
            return -1

    def _check_segment_index(self, segment_index: int | None) -> int:
        """The index of a segment, counted from 0; None means the only one."""
        count = len(self._segments)
        if segment_index is None:
            if count == 1:
                return 0
            raise SegmentRequiredError(
                f"this sorting has {count} segments: say which one with 'segment_index'"
            )
        try:
            index = operator.index(segment_index)
        except TypeError as error:
            raise InvalidTypeError(
                f"segment_index must be an integer, not {type(segment_index).__name__}"
            ) from error
        if -count <= index < count:
            return index % count
        raise SegmentIndexError(f"segment {index} does not exist: this sorting has {count}")


def check_sampling_frequencies(sortings: Sequence[SortingShape], max_diff: float) -> float:
    """The sampling frequency that sortings share, that of the first.

    Raises
    ------
    InvalidValueError
        If others differ from it by more than `max_diff` Hz.
    """
    if max_diff < 0:
        raise ContractError(f"sampling_frequency_max_diff cannot be negative: {max_diff}")
    first = sortings[0].sampling_frequency
    difference = max(abs(sorting.sampling_frequency - first) for sorting in sortings)
    if difference > max_diff:
        raise InvalidValueError(
            f"sampling frequencies differ by {difference} Hz; "
            f"sampling_frequency_max_diff is {max_diff}"
        )
    if difference:
        warnings.warn(
            f"sampling frequencies differ by {difference} Hz; that of the first is used",
            stacklevel=4,
        )
    return first


def _positive(sampling_frequency: Any) -> float:
    try:
        frequency = float(sampling_frequency)
    except TypeError as error:
        raise InvalidTypeError(
            f"sampling_frequency must be a number, not {type(sampling_frequency).__name__}"
        ) from error
    except ValueError as error:
        raise InvalidValueError(
            f"sampling_frequency must be a number, not {sampling_frequency!r}"
        ) from error
    if not (math.isfinite(frequency) and frequency >= 0):
        raise InvalidValueError(f"sampling_frequency must be finite and >= 0, not {frequency}")
    return frequency
