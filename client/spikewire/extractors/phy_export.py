"""The minimal folder that phy's format allows: spikes, labels and the sampling rate."""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import Any

import numpy as np

from spikewire.core.dtypes import AnyArray, IntArray
from spikewire.core.errors import ContractError, InvalidNameError
from spikewire.core.sorting import BaseSorting
from spikewire.extractors.saving import check_file_names, new_folder

_PARAMS = """\
# Spikes and labels only: phy itself opens a folder with templates and features.
dat_path = ''
n_channels_dat = 0
dtype = 'int16'
offset = 0
sample_rate = {rate!r}
hp_filtered = False
"""
# What phy calls these properties.
_COLUMNS = {"quality": "group", "group": "ch_group"}
_TAKEN = {"cluster_id", "si_unit_id", "ch_group", "unit_id"}
_MAX_CLUSTER_ID = 2**31


def export_to_phy_minimal(
    sorting: BaseSorting, folder_path: str | os.PathLike[str], overwrite: bool = False
) -> None:
    """Write a sorting of one segment as a folder that readers of phy's format open.

    It has no templates and no features, which phy itself needs. Clusters are the unit
    ids where they can be; else 0, 1, 2, ..., with the ids in a column beside them.
    Every property of one number or text a unit becomes a ``cluster_*.tsv``.

    Parameters
    ----------
    sorting : BaseSorting
    folder_path : str or Path
        The folder to make.
    overwrite : bool, default: False
        Replace what is there, once the new folder is whole.

    Raises
    ------
    ContractError
        If there is not exactly one segment.
    InvalidNameError
        If a property's key cannot be the name of a file or of a column.
    SortingExistsError
        If something is there and is not to be overwritten.
    """
    if sorting.get_num_segments() != 1:
        raise ContractError(
            f"phy's folders hold one segment, this sorting has {sorting.get_num_segments()}"
        )
    clusters, columns = _clusters(sorting.unit_ids)
    columns.update(_columns(sorting))
    check_file_names(columns)
    samples, unit_indices = sorting.segments[0].get_spike_columns()
    with new_folder(folder_path, overwrite=overwrite) as folder:
        np.save(folder / "spike_times.npy", samples)
        np.save(folder / "spike_clusters.npy", clusters.astype(np.int32)[unit_indices])
        params = _PARAMS.format(rate=sorting.get_sampling_frequency())
        (folder / "params.py").write_text(params, encoding="utf-8")
        for name, values in columns.items():
            _write_table(folder / f"cluster_{name}.tsv", name, clusters, values)


def _clusters(unit_ids: AnyArray) -> tuple[IntArray, dict[str, AnyArray]]:
    """A cluster id for each unit, and the column that leads back to the unit ids."""
    numbers = unit_ids.dtype.kind in "iu"
    if numbers and not any(not 0 <= unit < _MAX_CLUSTER_ID for unit in unit_ids.tolist()):
        return unit_ids.astype(np.int64), {}
    return np.arange(len(unit_ids)), {"si_unit_id" if numbers else "unit_id": unit_ids}


def _columns(sorting: BaseSorting) -> dict[str, AnyArray]:
    """The properties that are one value a unit; every unit is listed by its group at least."""
    columns: dict[str, AnyArray] = {"group": np.full(sorting.get_num_units(), "unsorted")}
    for key in sorting.get_property_keys():
        values = sorting.get_property(key)
        if values is None or values.ndim != 1 or values.dtype.kind not in "biufU":
            continue
        if key in _TAKEN:
            raise InvalidNameError(f"a property {key!r} cannot be written: phy uses this name")
        if key != "original_cluster_id":
            columns[_COLUMNS.get(key, key)] = values
    return columns


def _write_table(path: Path, name: str, clusters: IntArray, values: AnyArray) -> None:
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t", lineterminator="\n")
        writer.writerow(["cluster_id", name])
        rows: list[tuple[Any, Any]] = list(zip(clusters.tolist(), values.tolist(), strict=True))
        writer.writerows(rows)
