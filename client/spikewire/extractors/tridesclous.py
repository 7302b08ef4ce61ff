"""Tridesclous: a folder of raw records, one file a segment."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import numpy as np

from spikewire.core.errors import FormatError, InvalidValueError
from spikewire.core.sorting import BaseSorting
from spikewire.extractors.files import StoredArray, field
from spikewire.extractors.folder_metadata import existing_folder
from spikewire.extractors.segments import TableSegment
from spikewire.extractors.tables import (
    ColumnTable,
    OrderedTable,
    blaming,
    distinct_labels,
)
from spikewire.extractors.texts import read_json_object

INFO_FILE = "info.json"
ARRAYS_FILE = "arrays.json"
SPIKES_FILE = "spikes.raw"
_FIELD_TYPE = re.compile(r"[<>|=]?[iuf][1248]")


class TridesclousSortingExtractor(BaseSorting):
    """A sorting in a folder of Tridesclous.

    Units are the labels from 0 up that have spikes; negative ones are Tridesclous'
    own for what it left unsorted.

    Parameters
    ----------
    folder_path : str or Path
        The folder with ``info.json``.
    chan_grp : int, optional
        The channel group; needed if there are several.

    Raises
    ------
    SortingFileNotFoundError
        If there is no such folder.
    FormatError
        If a file is missing or damaged.
    InvalidValueError
        If there are several channel groups and none was chosen, or no such one.
    """

    _dump_class = "spikeinterface.extractors.tridesclousextractors.TridesclousSortingExtractor"

    def __init__(self, folder_path: str | os.PathLike[str], chan_grp: int | None = None) -> None:
        folder = existing_folder(folder_path)
        group = _channel_group(folder, chan_grp)
        segments = segment_folders(group)
        if not segments:
            raise FormatError(f"{group} has no segment with {SPIKES_FILE}")
        spikes = [_spikes(segment) for segment in segments]
        labels = [field(records, "cluster_label") for records in spikes]
        units = np.unique(np.concatenate([distinct_labels(column, group) for column in labels]))
        units = units[units >= 0]
        with blaming(folder / INFO_FILE):
            super().__init__(_sample_rate(folder), units)
        for records, column in zip(spikes, labels, strict=True):
            table = ColumnTable(
                records.path, field(records, "index"), column, units, skip_unknown=True
            )
            self.add_sorting_segment(TableSegment(OrderedTable(table), 0, table.size))
        self._kwargs = {"folder_path": str(folder), "chan_grp": chan_grp}


def read_tridesclous(
    folder_path: str | os.PathLike[str], chan_grp: int | None = None
) -> TridesclousSortingExtractor:
    """Open a folder of Tridesclous; see `TridesclousSortingExtractor`."""
    return TridesclousSortingExtractor(folder_path, chan_grp)


def channel_groups(folder: Path) -> list[Path]:
    """The folders of channel groups that have spikes."""
    return [group for group in _numbered(folder, "channel_group") if segment_folders(group)]


def segment_folders(group: Path) -> list[Path]:
    """The folders of a group's segments, in order."""
    return [segment for segment in _numbered(group, "segment") if (segment / SPIKES_FILE).is_file()]


def _numbered(folder: Path, name: str) -> list[Path]:
    """The folders ``name_0``, ``name_1``, ... in the order of their numbers."""
    found = {
        int(match[1]): path
        for path in folder.glob(f"{name}_*")
        if path.is_dir() and (match := re.fullmatch(rf"{name}_(\d{{1,9}})", path.name))
    }
    return [found[number] for number in sorted(found)]


def _channel_group(folder: Path, chan_grp: int | None) -> Path:
    groups = {group.name.rpartition("_")[2]: group for group in channel_groups(folder)}
    if not groups:
        raise FormatError(f"{folder} is no folder of Tridesclous: no channel group has spikes")
    if chan_grp is None and len(groups) == 1:
        return next(iter(groups.values()))
    try:
        return groups[str(chan_grp)]
    except KeyError:
        raise InvalidValueError(
            f"chan_grp must be one of {', '.join(groups)}, the channel groups of {folder}"
        ) from None


def _sample_rate(folder: Path) -> Any:
    source = read_json_object(folder / INFO_FILE).get("datasource_info")
    if not isinstance(source, dict) or "sample_rate" not in source:
        raise FormatError(f"{folder / INFO_FILE} states no sample_rate")
    return source["sample_rate"]


def _spikes(segment: Path) -> StoredArray:
    path = segment / ARRAYS_FILE
    spikes = read_json_object(path).get("spikes")
    if not isinstance(spikes, dict):
        raise FormatError(f"{path} does not describe the spikes")
    dtype, shape = _dtype(spikes.get("dtype"), path), spikes.get("shape")
    if not isinstance(shape, list) or len(shape) != 1 or type(shape[0]) is not int or shape[0] < 0:
        raise FormatError(f"{path}: the spikes cannot have the shape {shape!r}")
    return StoredArray(segment / SPIKES_FILE, dtype, (shape[0],))


def _dtype(description: Any, path: Path) -> np.dtype[Any]:
    """The type of a record; only fields of plain numbers make one."""
    if not isinstance(description, list) or not all(
        isinstance(pair, list)
        and len(pair) == 2
        and isinstance(pair[0], str)
        and isinstance(pair[1], str)
        and _FIELD_TYPE.fullmatch(pair[1])
        for pair in description
    ):
        raise FormatError(f"{path}: the spikes cannot be of type {description!r}")
    try:
        dtype = np.dtype([(name, kind) for name, kind in description])
    except ValueError as error:
        raise FormatError(f"{path}: the spikes cannot be of this type ({error})") from error
    if not {"index", "cluster_label"} <= set(dtype.names or ()):
        raise FormatError(f"{path}: the spikes have no index or no cluster_label")
    return dtype
