"""The public names, pinned: what is here stays, and what is public is here."""

from __future__ import annotations

import importlib

import pytest

import spikewire
import spikewire.extractors

# Ours alone.
OURS = {"Client", "RemoteSorting", "SpikewireError", "__version__", "aio", "connect", "errors"}
# SpikeInterface's, as it has them today ...
TODAY = {
    "AppendSegmentSorting",
    "BaseSorting",
    "BaseSortingSegment",
    "ConcatenateSegmentSorting",
    "FrameSliceSorting",
    "NpzSortingExtractor",
    "NumpyFolderSorting",
    "NumpySorting",
    "SelectSegmentSorting",
    "SharedMemorySorting",
    "SpikeVectorSortingSegment",
    "SplitSegmentSorting",
    "UnitsAggregationSorting",
    "UnitsSelectionSorting",
    "aggregate_units",
    "append_sortings",
    "apply_merges_to_sorting",
    "apply_splits_to_sorting",
    "concatenate_sortings",
    "create_extractor_from_new_sorting",
    "create_sorting_from_old_extractor",
    "generate_sorting",
    "get_global_tmp_folder",
    "load",
    "random_spikes_selection",
    "read_npz_sorting",
    "read_numpy_sorting_folder",
    "select_segment_sorting",
    "set_global_tmp_folder",
    "spike_vector_to_indices",
    "spike_vector_to_spike_trains",
    "split_sorting",
}
# ... and as it once had them, or has them further inside.
BEFORE = {
    "NumpySortingSegment",
    "check_sortings_equal",
    "load_extractor",
    "load_extractor_from_dict",
    "load_extractor_from_json",
    "load_extractor_from_pickle",
    "minimum_spike_dtype",
    "select_sorting_periods",
    "unit_period_dtype",
}
EXTRACTORS_TODAY = {
    "NumpySorting",
    "ZarrSortingExtractor",
    "read_alf_sorting",
    "read_kilosort",
    "read_mclust",
    "read_mda_sorting",
    "read_neuroscope_sorting",
    "read_npz_sorting",
    "read_nwb_sorting",
    "read_phy",
    "read_tridesclous",
    "read_zarr",
}
# Formats are ours; classes lie further inside there, or came and went.
EXTRACTORS_BEFORE = {
    "ALFSortingExtractor",
    "Format",
    "KiloSortSortingExtractor",
    "MClustSortingExtractor",
    "MdaSortingExtractor",
    "NeuroScopeSortingExtractor",
    "NpzFolderSorting",
    "NpzSortingExtractor",
    "NumpyFolderSorting",
    "NwbSortingExtractor",
    "PhySortingExtractor",
    "TridesclousSortingExtractor",
    "export_to_phy_minimal",
    "read_npz_folder",
    "read_numpy_sorting_folder",
    "read_zarr_sorting",
    "recognise",
}


def test_the_names_of_spikewire() -> None:
    assert set(spikewire.__all__) == OURS | TODAY | BEFORE


def test_the_names_of_extractors() -> None:
    assert set(spikewire.extractors.__all__) == EXTRACTORS_TODAY | EXTRACTORS_BEFORE


@pytest.mark.parametrize("module", [spikewire, spikewire.extractors], ids=lambda m: m.__name__)
def test_every_name_is_there_and_listed(module: object) -> None:
    names = module.__all__
    assert sorted(names) == sorted(set(names))
    assert all(hasattr(module, name) for name in names)
    assert set(names) <= set(dir(module))


@pytest.mark.parametrize(
    ("package", "names"),
    [("spikeinterface", TODAY), ("spikeinterface.extractors", EXTRACTORS_TODAY)],
)
def test_spikeinterface_calls_them_so(package: str, names: set[str]) -> None:
    pytest.importorskip("spikeinterface", reason="SpikeInterface is not installed")
    assert names <= set(dir(importlib.import_module(package)))
