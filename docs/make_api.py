"""Write docs/api.md: the names of the sorting API, and where this package has them.

The list below is the reference. What stands beside a name on the page is looked up in
the package, and a name that is not there stops the script.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

PAGE = Path(__file__).with_name("api.md")

SC, C, D, SD, OURS = "2021, today", "today", "deprecated", "2021, deprecated", "ours"

SORTING, NUMPY = "spikewire.BaseSorting", "spikewire.NumpySorting"
TOP, EXTRACTORS, CURATION = "spikewire", "spikewire.extractors", "spikewire.curation"
VECTORS = "spikewire.core.spike_vector"

# Section -> (owner, mark, names). "save(verbose)" is an argument of a method.
REFERENCE: dict[str, list[tuple[str, str, str]]] = {
    "Identity and shape": [
        (SORTING, SC, "unit_ids get_unit_ids get_num_units get_num_segments sampling_frequency"),
        (SORTING, SC, "get_sampling_frequency id_to_index ids_to_indices __repr__"),
        (SORTING, C, "name _repr_html_ get_parent segments add_segment"),
        (SORTING, SC, "add_sorting_segment"),
        (SORTING, D, "_sorting_segments"),
        (f"{TOP}.BaseSortingSegment", SC, "get_unit_spike_train"),
    ],
    "Spikes": [
        (SORTING, SC, "get_unit_spike_train"),
        (SORTING, C, "get_unit_spike_train(return_times) get_unit_spike_train(use_cache)"),
        (SORTING, C, "get_unit_spike_train_in_seconds to_spike_vector"),
        (SORTING, C, "to_spike_vector(main_channel_indices) to_spike_vector(return_slices)"),
        (SORTING, C, "to_reordered_spike_vector get_spike_vector_to_indices"),
        (SORTING, C, "search_cached_spikes_sorted precompute_spike_trains get_last_spike_frame"),
        (SORTING, C, "count_num_spikes_per_unit count_total_num_spikes"),
        (SORTING, C, "get_non_empty_unit_ids get_empty_unit_ids"),
        (SORTING, D, "get_all_spike_trains get_total_num_spikes"),
        (SORTING, D, "to_spike_vector(extremum_channel_inds)"),
        (SORTING, D, "precompute_spike_trains(from_spike_vector)"),
        (SORTING, OURS, "get_unit_spike_trains to_spike_columns"),
    ],
    "Properties and annotations": [
        (SORTING, SC, "set_property get_property get_property_keys"),
        (SORTING, C, "set_property(missing_value) get_unit_property delete_property"),
        (SORTING, C, "default_missing_property_values"),
        (SORTING, SC, "annotate set_annotation get_annotation"),
        (SORTING, C, "get_annotation_keys delete_annotation copy_metadata"),
        (SORTING, C, "sorting_info set_sorting_info _main_properties _main_annotations"),
    ],
    "Views": [
        (SORTING, SC, "select_units"),
        (SORTING, C, "rename_units remove_units remove_empty_units frame_slice time_slice"),
        (SORTING, C, "select_periods split_by"),
    ],
    "Copies, dumps and saves": [
        (SORTING, SC, "clone save to_dict dump dump_to_json dump_to_pickle from_dict load"),
        (SORTING, C, "to_numpy_sorting to_shared_memory_sorting to_multiprocessing"),
        (SORTING, C, "check_serializability"),
        (SORTING, D, "is_dumpable check_if_dumpable check_if_json_serializable"),
        (SORTING, D, "check_if_memory_serializable check_if_pickle_serializable"),
        (SORTING, D, "check_serializablility load_from_folder"),
        (SORTING, D, "save_to_folder save_to_zarr save_to_memory"),
        (SORTING, D, "to_dict(include_features) to_dict(folder_metadata) dump(folder_metadata)"),
        (SORTING, SD, "save(name)"),
        (TOP, C, "get_global_tmp_folder set_global_tmp_folder"),
        (SORTING, OURS, "dump(strict) dump_to_json(strict)"),
    ],
    "Times": [
        (SORTING, C, "register_recording has_recording has_time_vector get_num_samples"),
        (SORTING, C, "get_total_samples get_total_duration get_times get_start_time"),
        (SORTING, C, "get_end_time shift_times sample_index_to_time time_to_sample_index"),
    ],
    "Sortings in memory": [
        (TOP, C, "NumpySorting SharedMemorySorting"),
        (NUMPY, C, "from_samples_and_labels from_times_and_labels from_unit_dict from_sorting"),
        (NUMPY, SC, "from_neo_spiketrain_list"),
        (NUMPY, C, "from_peaks"),
        (NUMPY, SD, "from_times_labels"),
        (NUMPY, D, "from_extractor from_dict"),
        (TOP, C, "generate_sorting"),
        (f"{TOP}.core.generate", C, "SortingGenerator"),
    ],
    "Sortings in files": [
        (TOP, SC, "NpzSortingExtractor read_npz_sorting"),
        (f"{TOP}.NpzSortingExtractor", SC, "write_sorting"),
        (TOP, C, "NumpyFolderSorting read_numpy_sorting_folder"),
        (f"{TOP}.NumpyFolderSorting", C, "write_sorting"),
        (EXTRACTORS, C, "NpzFolderSorting read_npz_folder"),
        (f"{EXTRACTORS}.NpzFolderSorting", C, "write_sorting"),
        (EXTRACTORS, C, "ZarrSortingExtractor read_zarr read_zarr_sorting"),
        (f"{EXTRACTORS}.ZarrSortingExtractor", C, "write_sorting"),
        (EXTRACTORS, C, "read_phy read_kilosort read_neuroscope_sorting read_mclust"),
        (EXTRACTORS, C, "read_alf_sorting read_mda_sorting read_tridesclous read_nwb_sorting"),
        (EXTRACTORS, OURS, "export_to_phy_minimal recognise"),
        (TOP, C, "load"),
        (TOP, SD, "load_extractor"),
        (TOP, D, "load_extractor_from_dict load_extractor_from_json load_extractor_from_pickle"),
    ],
    "Views by class, and free functions": [
        (TOP, SC, "UnitsSelectionSorting"),
        (TOP, C, "UnitsAggregationSorting aggregate_units FrameSliceSorting"),
        (TOP, C, "AppendSegmentSorting append_sortings"),
        (TOP, C, "ConcatenateSegmentSorting concatenate_sortings"),
        (TOP, C, "SplitSegmentSorting split_sorting"),
        (TOP, C, "SelectSegmentSorting select_segment_sorting"),
        (TOP, C, "select_sorting_periods random_spikes_selection"),
        (TOP, C, "spike_vector_to_spike_trains spike_vector_to_indices"),
        (VECTORS, C, "remap_unit_indices_in_vector reorder_spike_vector_by_unit_and_segment"),
        (TOP, SC, "check_sortings_equal"),
        (TOP, C, "create_extractor_from_new_sorting create_sorting_from_old_extractor"),
    ],
    "Curation": [
        (TOP, C, "apply_merges_to_sorting apply_splits_to_sorting"),
        (CURATION, C, "MergeUnitsSorting merge_units_sorting SplitUnitSorting"),
        (CURATION, C, "split_unit_sorting CurationSorting curation_sorting"),
        (CURATION, C, "remove_duplicated_spikes find_duplicated_spikes remove_excess_spikes"),
        (CURATION, C, "remove_redundant_units find_redundant_units"),
        (CURATION, C, "apply_curation validate_curation_dict load_curation"),
        (CURATION, C, "curation_label_to_dataframe curation_label_to_vectors"),
    ],
}


class Row(NamedTuple):
    """A line of the page."""

    name: str
    mark: str
    local: str
    remote: str


def rows(section: str) -> Iterator[Row]:
    """The lines of a section, looked up in the package.

    Raises
    ------
    LookupError
        If a name is not in the package.
    """
    for owner, mark, names in REFERENCE[section]:
        for name in names.split():
            if _find(owner, name) is None:
                raise LookupError(f"{name} is absent from {owner}")
            yield Row(_label(owner, name), mark, "yes", _remote(owner, name))


def _find(owner: str, name: str) -> Any:
    """What a name stands for; None if there is no such thing."""
    method, _, argument = name.rstrip(")").partition("(")
    found = inspect.getattr_static(_resolve(owner), method, None)
    if argument and argument not in inspect.signature(getattr(_resolve(owner), method)).parameters:
        return None
    return found


def _remote(owner: str, name: str) -> str:
    """What a name means for a sorting on a server."""
    if owner == SORTING:
        return "yes" if _find("spikewire.RemoteSorting", name) is not None else "no"
    parameters = inspect.signature(getattr(_resolve(owner), name)).parameters.values()
    return "takes one" if any("BaseSorting" in str(p.annotation) for p in parameters) else "–"


def _resolve(path: str) -> Any:
    """A module, or a class of one."""
    try:
        return importlib.import_module(path)
    except ModuleNotFoundError:
        module, _, name = path.rpartition(".")
        return getattr(importlib.import_module(module), name)


def _label(owner: str, name: str) -> str:
    if owner == SORTING:
        return f"`.{name.replace(')', '=)')}`"
    return f"`{owner}.{name}`"


def page() -> str:
    """The text of docs/api.md."""
    text = [_HEAD]
    for section in REFERENCE:
        text += [f"## {section}\n", "| name | dialect | local | remote |", "|---|---|---|---|"]
        text += [f"| {' | '.join(row)} |" for row in rows(section)]
        text.append("")
    return "\n".join(text)


_HEAD = """\
# The sorting API

Generated from the code by `make api`; do not edit. Names that begin with a dot are
members of every sorting, `spikewire.BaseSorting`; `(x=)` is an argument.

- *dialect*: in the SpikeInterface of 2021, in today's (0.105.3), or deprecated since;
  deprecated names work and warn. *ours* are in spikewire only.
- *local*: the package has it; a name that it lacks would stop the script.
- *remote*: for members, that a `spikewire.RemoteSorting` has it, with these arguments.
  That it answers what the same sorting in memory answers is held by the contract of
  sortings, which `tests/remote` and `tests/live` run over a server. For functions
  and classes, "takes one" says that they take any sorting, and so one on a server.

What behaves otherwise than in SpikeInterface is in [differences.md](differences.md).
"""


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
