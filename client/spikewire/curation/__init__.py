"""Curation: merging, splitting and cleaning units; the names are those of SpikeInterface."""

from __future__ import annotations

from spikewire.curation.apply import apply_curation, apply_curation_labels
from spikewire.curation.duplicates import (
    RemoveDuplicatedSpikesSorting,
    find_duplicated_spikes,
    remove_duplicated_spikes,
)
from spikewire.curation.excess import RemoveExcessSpikesSorting, remove_excess_spikes
from spikewire.curation.history import CurationSorting, curation_sorting
from spikewire.curation.merging import (
    MergeUnitsSorting,
    apply_merges_to_sorting,
    merge_units_sorting,
)
from spikewire.curation.model import (
    Curation,
    curation_label_to_dataframe,
    curation_label_to_vectors,
    load_curation,
    validate_curation_dict,
)
from spikewire.curation.redundant import find_redundant_units, remove_redundant_units
from spikewire.curation.splitting import (
    SplitUnitSorting,
    apply_splits_to_sorting,
    split_unit_sorting,
)

__all__ = [
    "Curation",
    "CurationSorting",
    "MergeUnitsSorting",
    "RemoveDuplicatedSpikesSorting",
    "RemoveExcessSpikesSorting",
    "SplitUnitSorting",
    "apply_curation",
    "apply_curation_labels",
    "apply_merges_to_sorting",
    "apply_splits_to_sorting",
    "curation_label_to_dataframe",
    "curation_label_to_vectors",
    "curation_sorting",
    "find_duplicated_spikes",
    "find_redundant_units",
    "load_curation",
    "merge_units_sorting",
    "remove_duplicated_spikes",
    "remove_excess_spikes",
    "remove_redundant_units",
    "split_unit_sorting",
    "validate_curation_dict",
]
