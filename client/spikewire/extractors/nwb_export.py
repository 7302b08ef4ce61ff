"""A new NWB file with a units table, written with h5py alone."""

from __future__ import annotations

import datetime
import os
import uuid
import warnings
from typing import Any

import numpy as np

from spikewire.core.dtypes import AnyArray
from spikewire.core.errors import (
    ContractError,
    InvalidNameError,
    InvalidValueError,
    MissingExtraError,
)
from spikewire.core.sorting import BaseSorting
from spikewire.extractors.saving import new_file

# The release of the NWB schema that the file follows.
_NWB_VERSION = "2.7.0"
_GROUPS = (
    "acquisition",
    "analysis",
    "general",
    "processing",
    "stimulus/presentation",
    "stimulus/templates",
)
# Columns that NWB has a meaning of its own for.
_TAKEN = {
    "id",
    "spike_times",
    "unit_name",
    "electrodes",
    "electrode_group",
    "obs_intervals",
    "waveforms",
}


def write_nwb(
    sorting: BaseSorting,
    file_path: str | os.PathLike[str],
    session_start_time: datetime.datetime,
    *,
    session_description: str = "spike-sorted units",
    identifier: str | None = None,
    overwrite: bool = False,
) -> None:
    """Write a sorting of one segment as a new NWB file.

    Spike times are the seconds that the sorting has, and their resolution is one
    frame, so that readers find the sampling rate. Unit ids that are text go into the
    column ``unit_name``. Properties of numbers and text become columns.

    Parameters
    ----------
    sorting : BaseSorting
    file_path : str or Path
        The file to make.
    session_start_time : datetime.datetime
        When the session began, with a time zone: NWB does not go without it.
    session_description : str
    identifier : str, optional
        What tells the session from all others; by default a random one.
    overwrite : bool, default: False
        Replace the file if it exists, once the new one is whole.

    Raises
    ------
    ContractError
        If there is not exactly one segment.
    InvalidValueError
        If the start time has no time zone, or a unit id is beyond int64.
    InvalidNameError
        If a property's key cannot be the name of a column.
    SortingExistsError
        If something is there and is not to be overwritten.
    MissingExtraError
        If h5py is not installed.
    """
    try:
        import h5py
    except ImportError as error:
        raise MissingExtraError("NWB files need h5py: pip install 'spikewire[nwb]'") from error
    if sorting.get_num_segments() != 1:
        raise ContractError(
            f"a units table holds one segment, this sorting has {sorting.get_num_segments()}"
        )
    if session_start_time.tzinfo is None:
        raise InvalidValueError("session_start_time needs a time zone")
    columns = _columns(sorting)
    trains = [sorting.get_unit_spike_train_in_seconds(unit) for unit in sorting.unit_ids]
    with (
        new_file(file_path, overwrite=overwrite) as aside,
        h5py.File(aside, "w") as root,
    ):
        _attributes(root, "core", "NWBFile", nwb_version=_NWB_VERSION)
        start = session_start_time.isoformat()
        for name, text in (
            ("identifier", identifier or str(uuid.uuid4())),
            ("session_description", session_description),
            ("session_start_time", start),
            ("timestamps_reference_time", start),
        ):
            root[name] = text
        root["file_create_date"] = [datetime.datetime.now(datetime.UTC).isoformat()]
        for group in _GROUPS:
            root.create_group(group)
        _write_units(root.create_group("units"), sorting, trains, columns)


def _write_units(
    table: Any, sorting: BaseSorting, trains: list[AnyArray], columns: dict[str, AnyArray]
) -> None:
    unit_ids = sorting.unit_ids
    numbers = unit_ids.dtype.kind in "iu"
    _attributes(
        table,
        "core",
        "Units",
        description="units of a spike sorting",
        colnames=[*columns, "spike_times"],
    )
    table["id"] = unit_ids.astype(np.int64) if numbers else np.arange(len(unit_ids))
    _attributes(table["id"], "hdmf-common", "ElementIdentifiers")
    for name, values in columns.items():
        table[name] = values.tolist() if values.dtype.kind == "U" and values.size else values
        _column_attributes(table[name], f"the property {name!r} of each unit")
    times = np.concatenate([np.empty(0), *trains])
    table["spike_times"] = times
    _column_attributes(table["spike_times"], "the spike times of each unit, in seconds")
    table["spike_times"].attrs["resolution"] = 1 / sorting.get_sampling_frequency()
    table["spike_times_index"] = np.cumsum([len(train) for train in trains], dtype=np.uint64)
    _attributes(
        table["spike_times_index"],
        "hdmf-common",
        "VectorIndex",
        description="Index for VectorData 'spike_times'",
        target=table["spike_times"].ref,
    )


def _columns(sorting: BaseSorting) -> dict[str, AnyArray]:
    """The columns beside id and spike times."""
    columns: dict[str, AnyArray] = {}
    unit_ids = sorting.unit_ids
    if unit_ids.dtype.kind == "u" and unit_ids.size and int(unit_ids.max()) >= 2**63:
        raise InvalidValueError(f"an NWB file cannot hold the unit id {unit_ids.max()}")
    if unit_ids.dtype.kind in "US":
        columns["unit_name"] = _as_text(unit_ids)
    left_out = []
    for key, values in sorting._properties.items():
        if not key or "/" in key or "\0" in key or key in (".", "..") or key.endswith("_index"):
            raise InvalidNameError(f"a property {key!r} cannot be the name of a column in NWB")
        if key in _TAKEN:
            raise InvalidNameError(f"a property {key!r} cannot be written: NWB uses this name")
        if values.dtype.kind in "biufUS" and (values.dtype.kind not in "US" or values.ndim == 1):
            columns[key] = _as_text(values)
        else:
            left_out.append(key)
    if left_out:
        warnings.warn(
            f"NWB columns hold numbers and text, so these properties are left out: {left_out}",
            stacklevel=4,
        )
    return columns


def _as_text(values: AnyArray) -> AnyArray:
    return np.char.decode(values, "latin-1") if values.dtype.kind == "S" else values


def _column_attributes(dataset: Any, description: str) -> None:
    _attributes(dataset, "hdmf-common", "VectorData", description=description)


def _attributes(node: Any, namespace: str, neurodata_type: str, **others: Any) -> None:
    node.attrs["namespace"] = namespace
    node.attrs["neurodata_type"] = neurodata_type
    node.attrs["object_id"] = str(uuid.uuid4())
    for name, value in others.items():
        node.attrs[name] = value
