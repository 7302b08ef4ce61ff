"""Sortings whose spikes lie in memory."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from spikewire.core.dtypes import SPIKE_DTYPE, AnyArray, IntArray, read_only
from spikewire.core.errors import ContractError, InvalidTypeError, InvalidValueError
from spikewire.core.metadata import copy_all_metadata
from spikewire.core.registry import register_class, register_saver
from spikewire.core.segment import (
    BaseSortingSegment,
    NumpySortingSegment,
    SpikeVectorSortingSegment,
)
from spikewire.core.sorting import BaseSorting
from spikewire.core.spike_inputs import flat_samples, segment_arrays
from spikewire.core.spike_vector import check_spike_vector, spike_vector_of
from spikewire.core.trains import merge_trains
from spikewire.core.unit_ids import label_indices, some


class NumpySorting(BaseSorting):
    """A sorting around a spike vector in memory.

    Parameters
    ----------
    spikes : structured array, (spikes,)
        Ordered by segment, then sample; see `minimum_spike_dtype`. Not copied.
    sampling_frequency : float
        Frames per second.
    unit_ids : sequence of int or of str
        What `unit_index` counts.
    num_segments : int, optional
        By default up to the last segment that has spikes.

    Raises
    ------
    InvalidTypeError, InvalidValueError
        If `spikes` is not a spike vector of these units.

    Notes
    -----
    `NumpySorting(sampling_frequency, unit_ids)` followed by `add_sorting_segment`
    for each segment, as until SpikeInterface 0.98, still works and warns.
    """

    _dump_class = "spikeinterface.core.numpyextractors.NumpySorting"
    _serializability: ClassVar[dict[str, bool]] = {"memory": True, "json": False, "pickle": False}
    _reads_before_caching = 0

    def __init__(
        self,
        spikes: Any = None,
        sampling_frequency: Any = None,
        unit_ids: Any = None,
        num_segments: int | None = None,
    ) -> None:
        if not isinstance(spikes, np.ndarray):
            self._start_empty(spikes, sampling_frequency, unit_ids)
            return
        if unit_ids is None:
            raise InvalidTypeError("NumpySorting needs unit_ids")
        super().__init__(sampling_frequency, unit_ids)
        check_spike_vector(spikes, self.get_num_units())
        spikes = read_only(spikes)
        used = int(spikes["segment_index"][-1]) + 1 if len(spikes) else 1
        count = used if num_segments is None else num_segments
        if count < used:
            raise InvalidValueError(f"spikes lie in {used} segments, not in {count}")
        for index in range(count):
            self.add_sorting_segment(SpikeVectorSortingSegment(spikes, index, self.unit_ids))
        self._vector = spikes
        self._kwargs = {
            "spikes": spikes,
            "sampling_frequency": self._sampling_frequency,
            "unit_ids": self.unit_ids,
        }
        if count != used:  # else a dump of ours is one of SpikeInterface's
            self._kwargs["num_segments"] = count

    def _start_empty(self, spikes: Any, sampling_frequency: Any, unit_ids: Any) -> None:
        """The constructor until SpikeInterface 0.98: segments are added afterwards."""
        if spikes is not None:  # positional: NumpySorting(sampling_frequency, unit_ids)
            sampling_frequency, unit_ids = spikes, sampling_frequency
        if isinstance(sampling_frequency, list | tuple | np.ndarray) or sampling_frequency is None:
            raise InvalidTypeError("NumpySorting needs a spike vector and a sampling frequency")
        warnings.warn(
            "NumpySorting(sampling_frequency, unit_ids) is deprecated; use from_unit_dict()",
            DeprecationWarning,
            stacklevel=3,
        )
        super().__init__(sampling_frequency, [] if unit_ids is None else unit_ids)

    def add_sorting_segment(self, sorting_segment: BaseSortingSegment) -> None:
        """Append a segment; only constructors call this, and code for SpikeInterface 0.98."""
        super().add_sorting_segment(sorting_segment)
        if isinstance(sorting_segment, NumpySortingSegment):
            self._kwargs = {
                "spikes": self._spike_vector(),
                "sampling_frequency": self._sampling_frequency,
                "unit_ids": self.unit_ids,
                "num_segments": self.get_num_segments(),
            }

    @staticmethod
    def from_sorting(
        source_sorting: BaseSorting, with_metadata: bool = False, copy_spike_vector: bool = False
    ) -> NumpySorting:
        """The spikes of another sorting, in memory.

        Parameters
        ----------
        source_sorting : BaseSorting
        with_metadata : bool, default: False
            Copy properties and annotations too.
        copy_spike_vector : bool, default: False
            Copy the vector, rather than share the one that the source caches.
        """
        spikes = source_sorting.to_spike_vector()
        sorting = NumpySorting(
            spikes.copy() if copy_spike_vector else spikes,
            source_sorting.get_sampling_frequency(),
            source_sorting.get_unit_ids(),
            source_sorting.get_num_segments(),
        )
        sorting._recording = source_sorting._recording
        for source, target in zip(source_sorting.segments, sorting.segments, strict=True):
            target._take_times_of(source)
        if with_metadata:
            copy_all_metadata(source_sorting, sorting)
        return sorting

    @staticmethod
    def from_samples_and_labels(
        samples_list: Any, labels_list: Any, sampling_frequency: float, unit_ids: Any = None
    ) -> NumpySorting:
        """Spikes given as samples and, for each, the id of its unit.

        Parameters
        ----------
        samples_list : array, or list of array, (spikes,)
            Frames of one segment, or of each; fractions are cut off. Need not be sorted.
        labels_list : array, or list of array, (spikes,)
            Unit ids.
        sampling_frequency : float
        unit_ids : sequence, optional
            The units to keep, in this order; by default every label, sorted.

        Raises
        ------
        ContractError
            If one argument is an array and the other is not, or if labels are floats.
        InvalidValueError
            If samples and labels are not equally many, or a sample is not finite.
        """
        samples_list, labels_list = segment_arrays(samples_list, labels_list)
        if unit_ids is None:
            found = [np.unique(labels) for labels in labels_list if len(labels)]
            unit_ids = np.unique(np.concatenate(found)) if found else []
        ids = np.asarray(unit_ids)
        columns = []
        for samples, labels in zip(samples_list, labels_list, strict=True):
            order = np.argsort(samples, kind="stable")
            units = label_indices(labels[order], ids)
            known = units >= 0
            columns.append((samples[order][known].astype(np.int64), units[known]))
        return _from_columns(columns, sampling_frequency, unit_ids)

    @staticmethod
    def from_times_and_labels(
        times_list: Any, labels_list: Any, sampling_frequency: float, unit_ids: Any = None
    ) -> NumpySorting:
        """Spikes given as times in seconds, rounded to frames, and unit ids.

        Parameters are those of `from_samples_and_labels`, with seconds for samples.
        """
        times_list, labels_list = segment_arrays(times_list, labels_list)
        samples = [np.round(times * sampling_frequency).astype(np.int64) for times in times_list]
        return NumpySorting.from_samples_and_labels(
            samples, labels_list, sampling_frequency, unit_ids
        )

    @staticmethod
    def from_unit_dict(units_dict_list: Any, sampling_frequency: float) -> NumpySorting:
        """Spikes given as one train a unit.

        Parameters
        ----------
        units_dict_list : dict, or list of dict
            Frames by unit id, of one segment, or of each. The first has every unit.
        sampling_frequency : float

        Raises
        ------
        KeyError
            If a later segment lacks a unit.
        """
        dicts = [units_dict_list] if isinstance(units_dict_list, Mapping) else units_dict_list
        unit_ids = list(dicts[0])
        columns = [
            merge_trains([flat_samples(trains[unit_id]) for unit_id in unit_ids])
            for trains in dicts
        ]
        return _from_columns(columns, sampling_frequency, unit_ids)

    @staticmethod
    def from_neo_spiketrain_list(
        neo_spiketrains: list[Any], sampling_frequency: float, unit_ids: Any = None
    ) -> NumpySorting:
        """Spikes given as Neo spike trains, one a unit.

        Parameters
        ----------
        neo_spiketrains : list of SpikeTrain, or list of list of SpikeTrain
            Of one segment, or of each. Times are cut off to frames.
        sampling_frequency : float
        unit_ids : sequence, optional
            By default 0, 1, 2, ...
        """
        if not isinstance(neo_spiketrains, list) or not neo_spiketrains:
            raise ContractError("neo_spiketrains must be a list of spike trains")
        segments = neo_spiketrains if isinstance(neo_spiketrains[0], list) else [neo_spiketrains]
        ids = range(len(segments[0])) if unit_ids is None else unit_ids
        columns = []
        for trains in segments:
            if len(trains) != len(ids):
                raise InvalidValueError(f"{len(trains)} spike trains for {len(ids)} units")
            seconds = [np.asarray(train.rescale("s").magnitude) for train in trains]
            frames = [flat_samples(times * sampling_frequency) for times in seconds]
            columns.append(merge_trains(frames))
        return _from_columns(columns, sampling_frequency, list(ids))

    @staticmethod
    def from_peaks(peaks: AnyArray, sampling_frequency: float, unit_ids: Any) -> NumpySorting:
        """Detected peaks as spikes: each channel becomes a unit.

        Parameters
        ----------
        peaks : structured array, (peaks,)
            With `sample_index`, `channel_index` and `segment_index`; any order.
        sampling_frequency : float
        unit_ids : sequence
            The id of each channel's unit.
        """
        order = np.lexsort((peaks["sample_index"], peaks["segment_index"]))
        spikes = np.empty(len(peaks), dtype=SPIKE_DTYPE)
        spikes["sample_index"] = peaks["sample_index"][order]
        spikes["unit_index"] = peaks["channel_index"][order]
        spikes["segment_index"] = peaks["segment_index"][order]
        return NumpySorting(spikes, sampling_frequency, unit_ids)

    @staticmethod
    def from_times_labels(
        times_list: Any, labels_list: Any, sampling_frequency: float, unit_ids: Any = None
    ) -> NumpySorting:
        """Deprecated name of `from_samples_and_labels`: it takes frames, not seconds."""
        _warn_renamed("from_times_labels", "from_samples_and_labels")
        return NumpySorting.from_samples_and_labels(
            times_list, labels_list, sampling_frequency, unit_ids
        )

    @staticmethod
    def from_extractor(
        source_sorting: BaseSorting, with_metadata: bool = False, copy_spike_vector: bool = False
    ) -> NumpySorting:
        """Deprecated name of `from_sorting`."""
        _warn_renamed("from_extractor", "from_sorting")
        return NumpySorting.from_sorting(source_sorting, with_metadata, copy_spike_vector)

    @staticmethod
    def from_dict(dictionary: Any, *args: Any, **kwargs: Any) -> BaseSorting:
        """Load a dump dict; with a sampling frequency, the old name of `from_unit_dict`."""
        if "sampling_frequency" in kwargs or any(isinstance(a, int | float) for a in args):
            _warn_renamed("from_dict", "from_unit_dict")
            return NumpySorting.from_unit_dict(dictionary, *args, **kwargs)
        return BaseSorting.from_dict(dictionary, *args, **kwargs)


def _warn_renamed(old: str, new: str) -> None:
    warnings.warn(
        f"NumpySorting.{old}() is deprecated; use NumpySorting.{new}()",
        DeprecationWarning,
        stacklevel=3,
    )


def _from_columns(
    columns: Sequence[tuple[AnyArray, IntArray]], sampling_frequency: float, unit_ids: Any
) -> NumpySorting:
    """A sorting from the samples and unit indices of each segment, in order."""
    return NumpySorting(spike_vector_of(columns), sampling_frequency, unit_ids, len(columns))


def _save_in_memory(
    sorting: BaseSorting, *, sharedmem: bool = True, **options: object
) -> BaseSorting:
    """`save(format="memory")`."""
    if options:
        raise InvalidTypeError(f"format 'memory' has no option {some(list(options))}")
    if not sharedmem:
        return NumpySorting.from_sorting(sorting, with_metadata=True)
    from spikewire.core.shared_memory import SharedMemorySorting

    return SharedMemorySorting.from_sorting(sorting, with_metadata=True)


register_class(NumpySorting._dump_class, NumpySorting)
register_saver("memory", _save_in_memory)
