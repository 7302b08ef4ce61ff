"""ALF, the files of the International Brain Laboratory: ``spikes.*`` and ``clusters.*``."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np

from spikewire.core.dtypes import AnyArray
from spikewire.core.errors import FormatError, NeedsSamplingFrequencyError
from spikewire.core.sorting import BaseSorting
from spikewire.extractors.files import Column, NpyFile
from spikewire.extractors.folder_metadata import existing_folder
from spikewire.extractors.segments import TableSegment
from spikewire.extractors.tables import (
    ColumnTable,
    OrderedTable,
    blaming,
    distinct_labels,
    samples_of_times,
)

# _namespace_object.attribute_timescale.extra.npy, of which two parts are required.
_NAME = re.compile(r"(?:_[a-z]+_)?(spikes|clusters)\.([A-Za-z]+)(?:_[A-Za-z]+)?(?:\.[^.]+)*\.npy")


class ALFSortingExtractor(BaseSorting):
    """A sorting in a folder of ALF files.

    ``spikes.clusters`` counts the rows of the ``clusters.*`` files, so the units are
    0, 1, 2, ..., those without spikes included. Samples are ``spikes.samples`` or,
    without that, ``spikes.times`` times the sampling frequency. One-dimensional
    ``clusters.*`` arrays become properties.

    Parameters
    ----------
    folder_path : str or Path
        The folder.
    sampling_frequency : float
        Frames per second; the files do not state it.

    Raises
    ------
    SortingFileNotFoundError
        If there is no such folder.
    NeedsSamplingFrequencyError
        If no sampling frequency is given.
    FormatError
        If a file is missing or damaged.
    """

    _dump_class = "spikeinterface.extractors.alfsortingextractor.ALFSortingExtractor"

    def __init__(
        self, folder_path: str | os.PathLike[str], sampling_frequency: float | None = None
    ) -> None:
        folder = existing_folder(folder_path)
        files = alf_files(folder)
        clusters = files.get(("spikes", "clusters"))
        times = files.get(("spikes", "samples")) or files.get(("spikes", "times"))
        if clusters is None or times is None:
            raise FormatError(
                f"{folder} is no ALF folder: it needs spikes.clusters.npy, and spikes.samples.npy "
                "or spikes.times.npy"
            )
        if sampling_frequency is None:
            raise NeedsSamplingFrequencyError(
                f"the files of {folder} do not state the sampling rate; give sampling_frequency="
            )
        labels = NpyFile(clusters).column()
        of_clusters = {
            attribute: NpyFile(path)
            for (part, attribute), path in files.items()
            if part == "clusters"
        }
        with blaming(folder):
            super().__init__(sampling_frequency, _units(folder, labels, of_clusters))
        samples: Column = NpyFile(times).column()
        if ("spikes", "samples") not in files or samples.dtype.kind == "f":
            rate = 1.0 if ("spikes", "samples") in files else self.get_sampling_frequency()
            samples = samples_of_times(samples, 1.0, rate, times)
        for attribute, array in of_clusters.items():
            if len(array.shape) == 1 and array.dtype.kind in "biufUS":
                self.set_property(attribute, array.load())
        table = OrderedTable(ColumnTable(folder, samples, labels, self.unit_ids))
        self.add_sorting_segment(TableSegment(table, 0, table.size))
        self._kwargs = {"folder_path": str(folder), "sampling_frequency": sampling_frequency}


def read_alf_sorting(
    folder_path: str | os.PathLike[str], sampling_frequency: float | None = None
) -> ALFSortingExtractor:
    """Open a folder of ALF files; see `ALFSortingExtractor`."""
    return ALFSortingExtractor(folder_path, sampling_frequency)


def alf_files(folder: Path) -> dict[tuple[str, str], Path]:
    """The npy files of spikes and clusters by object and attribute."""
    files: dict[tuple[str, str], Path] = {}
    # Of several for one attribute, as in "spikes.times_probe.npy", the shortest name.
    for path in sorted(folder.glob("*.npy"), key=lambda path: (len(path.name), path.name)):
        match = _NAME.fullmatch(path.name)
        if match:
            files.setdefault((match[1], match[2]), path)
    return files


def is_alf_folder(path: Path) -> bool:
    """Whether a folder has the two files that hold the spikes."""
    if not path.is_dir():
        return False
    attributes = {attribute for part, attribute in alf_files(path) if part == "spikes"}
    return "clusters" in attributes and bool({"samples", "times"} & attributes)


def _units(folder: Path, labels: Column, of_clusters: dict[str, NpyFile]) -> AnyArray:
    counts = {array.shape[0] for array in of_clusters.values() if array.shape}
    if not counts:
        return distinct_labels(labels, folder)
    if len(counts) > 1:
        raise FormatError(
            f"{folder}: the clusters.* files should have one row for each cluster, they have "
            f"{' and '.join(map(str, sorted(counts)))}"
        )
    return np.arange(counts.pop())
