"""Spike-sorted data, local and remote, through SpikeInterface's SortingExtractor API."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from spikewire._version import __version__
from spikewire.bridges.spikeextractors import (
    create_extractor_from_new_sorting,
    create_sorting_from_old_extractor,
)
from spikewire.core import errors
from spikewire.core.aggregation import UnitsAggregationSorting, aggregate_units
from spikewire.core.comparison import check_sortings_equal
from spikewire.core.concatenation import ConcatenateSegmentSorting, concatenate_sortings
from spikewire.core.dtypes import minimum_spike_dtype, unit_period_dtype
from spikewire.core.errors import SpikewireError
from spikewire.core.generate import generate_sorting
from spikewire.core.loading import (
    load,
    load_extractor,
    load_extractor_from_dict,
    load_extractor_from_json,
    load_extractor_from_pickle,
)
from spikewire.core.named_saves import get_global_tmp_folder, set_global_tmp_folder
from spikewire.core.numpy_sorting import NumpySorting
from spikewire.core.periods import random_spikes_selection, select_sorting_periods
from spikewire.core.registry import register_class, register_url_scheme
from spikewire.core.segment import (
    BaseSortingSegment,
    NumpySortingSegment,
    SpikeVectorSortingSegment,
)
from spikewire.core.segments_views import (
    AppendSegmentSorting,
    SelectSegmentSorting,
    SplitSegmentSorting,
    append_sortings,
    select_segment_sorting,
    split_sorting,
)
from spikewire.core.shared_memory import SharedMemorySorting
from spikewire.core.slicing import FrameSliceSorting
from spikewire.core.sorting import BaseSorting
from spikewire.core.spike_vector import spike_vector_to_indices, spike_vector_to_spike_trains
from spikewire.core.units_selection import UnitsSelectionSorting
from spikewire.curation import apply_merges_to_sorting, apply_splits_to_sorting
from spikewire.extractors import (
    NpzSortingExtractor,
    NumpyFolderSorting,
    read_npz_sorting,
    read_numpy_sorting_folder,
)

if TYPE_CHECKING:
    from spikewire import aio
    from spikewire.remote import Client, RemoteSorting, connect

__all__ = [
    "AppendSegmentSorting",
    "BaseSorting",
    "BaseSortingSegment",
    "Client",
    "ConcatenateSegmentSorting",
    "FrameSliceSorting",
    "NpzSortingExtractor",
    "NumpyFolderSorting",
    "NumpySorting",
    "NumpySortingSegment",
    "RemoteSorting",
    "SelectSegmentSorting",
    "SharedMemorySorting",
    "SpikeVectorSortingSegment",
    "SpikewireError",
    "SplitSegmentSorting",
    "UnitsAggregationSorting",
    "UnitsSelectionSorting",
    "__version__",
    "aggregate_units",
    "aio",
    "append_sortings",
    "apply_merges_to_sorting",
    "apply_splits_to_sorting",
    "check_sortings_equal",
    "concatenate_sortings",
    "connect",
    "create_extractor_from_new_sorting",
    "create_sorting_from_old_extractor",
    "errors",
    "generate_sorting",
    "get_global_tmp_folder",
    "load",
    "load_extractor",
    "load_extractor_from_dict",
    "load_extractor_from_json",
    "load_extractor_from_pickle",
    "minimum_spike_dtype",
    "random_spikes_selection",
    "read_npz_sorting",
    "read_numpy_sorting_folder",
    "select_segment_sorting",
    "select_sorting_periods",
    "set_global_tmp_folder",
    "spike_vector_to_indices",
    "spike_vector_to_spike_trains",
    "split_sorting",
    "unit_period_dtype",
]

# What loads grpc is loaded on first use, so that files are read without it.
_REMOTE_NAMES = ("Client", "RemoteSorting", "connect")

if not TYPE_CHECKING:

    def __getattr__(name):
        if name == "aio":
            return importlib.import_module("spikewire.aio")
        if name in _REMOTE_NAMES:
            return getattr(importlib.import_module("spikewire.remote"), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__():
        return sorted({*globals(), *__all__})


def _remote_sorting() -> type[BaseSorting]:
    from spikewire.remote import RemoteSorting

    return RemoteSorting


def _open_url(url: str) -> BaseSorting:
    from spikewire.remote import open_url

    return open_url(url)


register_class("spikewire.bridges.spikeinterface.RemoteSorting", _remote_sorting)
register_url_scheme("spikewire", _open_url)
