"""The units of several sortings side by side."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from spikewire.core.clocks import Clock, UnitClocks
from spikewire.core.dtypes import AnyArray, IntArray, UnitId
from spikewire.core.errors import InvalidValueError, UnitSelectionError
from spikewire.core.registry import register_class
from spikewire.core.segment import BaseSortingSegment
from spikewire.core.shape import check_sampling_frequencies
from spikewire.core.sorting import BaseSorting
from spikewire.core.unit_ids import ids_side_by_side


class UnitsAggregationSorting(BaseSorting):
    """The units of several sortings of the same segments, as one sorting.

    Ids are kept where they are of one dtype and unique. Else integers give way to
    0, 1, 2, ... (uint64), and strings, or a mix, to "0", "1", "2", ...

    Frames are each sorting's own. Where there are sync points, times in seconds are by
    those of the sorting that a unit is of, and times of frames by the first sorting's.

    Annotations are kept if they are equal in every sorting, properties if they are
    of one kind wherever they exist; units of sortings that lack one get a missing value.

    Parameters
    ----------
    sorting_list : list or dict of BaseSorting
        With a dict, each unit gets the property `aggregation_key`.
    renamed_unit_ids : sequence, optional
        The ids of all units.
    sampling_frequency_max_diff : float, default: 0
        By how many Hz sampling frequencies may differ; that of the first is used.

    Raises
    ------
    InvalidValueError
        If segments or sampling frequencies differ, or only some have `main_channel_id`.
    UnitSelectionError
        If the new ids are not unique or not as many as units.
    """

    _dump_class = "spikeinterface.core.unitsaggregationsorting.UnitsAggregationSorting"
    _reads_before_caching = math.inf

    def __init__(
        self,
        sorting_list: Sequence[BaseSorting] | Mapping[Any, BaseSorting],
        renamed_unit_ids: Any = None,
        sampling_frequency_max_diff: float = 0,
    ) -> None:
        keys = None
        if isinstance(sorting_list, Mapping):
            keys, sorting_list = list(sorting_list), list(sorting_list.values())
        sortings = list(sorting_list)
        if not sortings:
            raise InvalidValueError("there are no sortings to put together")
        frequency = check_sampling_frequencies(sortings, sampling_frequency_max_diff)
        if len({sorting.get_num_segments() for sorting in sortings}) != 1:
            raise InvalidValueError("the sortings have different numbers of segments")
        super().__init__(frequency, _unit_ids(sortings, renamed_unit_ids))
        self._sortings = sortings
        for index in range(sortings[0].get_num_segments()):
            self.add_sorting_segment(_AggregatedSegment(sortings, index))
        _aggregate_annotations(self, sortings)
        _aggregate_properties(self, sortings)
        if keys is not None:
            counts = [sorting.get_num_units() for sorting in sortings]
            labels = [key for key, count in zip(keys, counts, strict=True) for _ in range(count)]
            self.set_property("aggregation_key", labels)
        self._kwargs = {
            "sorting_list": dict(zip(keys, sortings, strict=True)) if keys else sortings,
            "renamed_unit_ids": None if renamed_unit_ids is None else self.unit_ids,
        }
        if sampling_frequency_max_diff:
            self._kwargs["sampling_frequency_max_diff"] = sampling_frequency_max_diff

    @property
    def sortings(self) -> list[BaseSorting]:
        """The sortings, in order."""
        return self._sortings


class _AggregatedSegment(BaseSortingSegment):
    """One segment of several sortings side by side."""

    def __init__(self, sortings: Sequence[BaseSorting], segment_index: int) -> None:
        starts = (sorting.segments[segment_index]._t_start for sorting in sortings)
        t_start = next((start for start in starts if start is not None), None)
        super().__init__(t_start, _unit_clocks(sortings, segment_index))
        self._sortings = sortings
        self._segment_index = segment_index
        self._edges = np.cumsum([0, *(sorting.get_num_units() for sorting in sortings)])

    def get_unit_spike_trains(
        self,
        unit_ids: Sequence[UnitId] | AnyArray,
        start_frame: int | None = None,
        end_frame: int | None = None,
    ) -> list[IntArray]:
        """The trains of several units, in the order of `unit_ids`."""
        view = self._sorting()
        wanted = np.array([view.id_to_index(unit_id) for unit_id in unit_ids], dtype=np.int64)
        owners = np.searchsorted(self._edges, wanted, side="right") - 1
        trains: list[IntArray] = [np.empty(0, dtype=np.int64)] * len(wanted)
        for owner in np.unique(owners):
            (positions,) = np.nonzero(owners == owner)
            indices = (wanted[positions] - self._edges[owner]).tolist()
            found = self._sortings[owner]._get_trains(
                indices, self._segment_index, start_frame, end_frame
            )
            for position, train in zip(positions, found, strict=True):
                trains[position] = train
        return trains

    def get_unit_spike_train(
        self, unit_id: UnitId, start_frame: int | None = None, end_frame: int | None = None
    ) -> IntArray:
        """The samples of one unit in [start_frame, end_frame), ascending."""
        return self.get_unit_spike_trains([unit_id], start_frame, end_frame)[0]

    def get_spike_columns(
        self, start_frame: int | None = None, end_frame: int | None = None
    ) -> tuple[IntArray, IntArray]:
        """Every spike in [start_frame, end_frame); ties sorting by sorting."""
        columns = [
            sorting._read_columns(self._segment_index, start_frame, end_frame)
            for sorting in self._sortings
        ]
        return self._side_by_side(columns)

    def iter_spike_columns(
        self, start_frame: int | None = None, end_frame: int | None = None
    ) -> Iterator[tuple[IntArray, IntArray]]:
        """The spikes of `get_spike_columns`, some at a time where the sortings can."""
        streams = [
            iter(sorting._iter_columns(self._segment_index, start_frame, end_frame))
            for sorting in self._sortings
        ]
        nothing = np.empty(0, dtype=np.int64)
        held = [(nothing, nothing)] * len(streams)
        lacking = set(range(len(streams)))  # of these more must be read before any is given
        ended: set[int] = set()
        while lacking:
            for place in lacking:
                block = next(streams[place], None)
                if block is None:
                    ended.add(place)
                else:
                    held[place] = _joined(held[place], block)
            # What is read last of a sorting may be followed by more of the same sample.
            last = {
                place: int(samples[-1]) if len(samples) else None
                for place, (samples, _) in enumerate(held)
                if place not in ended
            }
            lacking = {place for place, sample in last.items() if sample is None}
            if lacking:
                continue
            bound = min((sample for sample in last.values() if sample is not None), default=None)
            lacking = {place for place, sample in last.items() if sample == bound}
            cuts = [
                len(samples) if bound is None else int(samples.searchsorted(bound))
                for samples, _ in held
            ]
            pairs = list(zip(held, cuts, strict=True))
            held = [(samples[cut:], units[cut:]) for (samples, units), cut in pairs]
            if any(cuts):
                yield self._side_by_side(
                    [(samples[:cut], units[:cut]) for (samples, units), cut in pairs]
                )

    def _side_by_side(
        self, columns: Sequence[tuple[IntArray, IntArray]]
    ) -> tuple[IntArray, IntArray]:
        """Spikes of each sorting as spikes of the view; ties sorting by sorting."""
        samples = np.concatenate([samples for samples, _ in columns])
        units = np.concatenate(
            [units + edge for (_, units), edge in zip(columns, self._edges, strict=False)]
        )
        order = np.argsort(samples, kind="stable")
        return samples[order], units[order]

    def count_spikes(self) -> IntArray:
        """The number of spikes of each unit."""
        return self.count_spikes_between(None, None)

    def count_spikes_between(self, start_frame: int | None, end_frame: int | None) -> IntArray:
        """The number of spikes of each unit in [start_frame, end_frame)."""
        return np.concatenate(
            [s._count_spikes(self._segment_index, start_frame, end_frame) for s in self._sortings]
        )

    def get_last_spike_frame(self) -> int | None:
        """The largest sample of the segment; None where it has no spikes."""
        frames = [sorting._last_spike_frame(self._segment_index) for sorting in self._sortings]
        return max((frame for frame in frames if frame is not None), default=None)


def _joined(
    held: tuple[IntArray, IntArray], block: tuple[IntArray, IntArray]
) -> tuple[IntArray, IntArray]:
    return np.concatenate([held[0], block[0]]), np.concatenate([held[1], block[1]])


def _unit_clocks(sortings: Sequence[BaseSorting], segment_index: int) -> UnitClocks | None:
    """The clock of each unit is that of its own sorting; None where none has sync points."""
    segments = [sorting.segments[segment_index] for sorting in sortings]
    if all(segment._clocks is None for segment in segments):
        return None
    clocks: list[Clock] = []
    indices = []
    for sorting, segment in zip(sortings, segments, strict=True):
        own = segment._clocks
        if own is None:
            start = segment._t_start or 0.0
            own = UnitClocks([Clock([0], [start], sorting.sampling_frequency)])
        of_units = own.indices
        if of_units is None:
            of_units = np.zeros(sorting.get_num_units(), np.int64)
        indices.append(of_units + len(clocks))
        clocks += own.clocks
    return UnitClocks(clocks, np.concatenate(indices))


def _unit_ids(sortings: Sequence[BaseSorting], renamed: Any) -> AnyArray:
    """The ids of all units: the new ones, else the old ones where they can be kept."""
    if renamed is None:
        return ids_side_by_side([sorting.unit_ids for sorting in sortings])
    count = sum(sorting.get_num_units() for sorting in sortings)
    ids = np.asarray(renamed)
    if len(ids) != count or len(np.unique(ids)) != count:
        raise UnitSelectionError(f"renamed_unit_ids must be {count} unique ids")
    return ids


def _aggregate_annotations(view: BaseSorting, sortings: Sequence[BaseSorting]) -> None:
    """Keep what every sorting says alike."""
    first, *others = sortings
    for key in first.get_annotation_keys():
        value = first.get_annotation(key)
        if all(
            key in sorting._annotations and _equal(sorting._annotations[key], value)
            for sorting in others
        ):
            view._store_annotation(key, value)


def _equal(one: Any, other: Any) -> bool:
    try:
        return bool(np.array_equal(one, other) if isinstance(one, np.ndarray) else one == other)
    except ValueError:  # arrays inside: not comparable as a whole
        return False


def _aggregate_properties(view: BaseSorting, sortings: Sequence[BaseSorting]) -> None:
    have_channels = ["main_channel_id" in sorting._properties for sorting in sortings]
    if any(have_channels) and not all(have_channels):
        raise InvalidValueError("either every sorting or none must have 'main_channel_id'")
    keys = dict.fromkeys(key for sorting in sortings for key in sorting.get_property_keys())
    for key in keys:
        values = _side_by_side(key, sortings)
        if values is not None:
            view.set_property(key, values)


def _side_by_side(key: str, sortings: Sequence[BaseSorting]) -> AnyArray | None:
    """A property of all units; None, and a warning, where it cannot be put together."""
    parts = [sorting.get_property(key) for sorting in sortings]
    existing = [part for part in parts if part is not None]
    kinds = {part.dtype.kind for part in existing}
    shapes = {part.shape[1:] for part in existing}
    defaults = BaseSorting.default_missing_property_values
    problem = None
    if len(kinds) > 1 or len(shapes) > 1:
        problem = "its kind or shape differs between sortings"
    elif len(existing) < len(parts) and not kinds & defaults.keys():
        problem = f"{existing[0].dtype} has no natural missing value, and some sortings lack it"
    if problem:
        warnings.warn(f"property {key!r} is left out: {problem}", stacklevel=5)
        return None
    filled = [
        np.full((sorting.get_num_units(), *existing[0].shape[1:]), defaults[existing[0].dtype.kind])
        if part is None
        else part
        for part, sorting in zip(parts, sortings, strict=True)
    ]
    return np.concatenate(filled)


aggregate_units = UnitsAggregationSorting
register_class(UnitsAggregationSorting._dump_class, UnitsAggregationSorting)
