"""Folders of phy and of Kilosort."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from spikewire.core.dtypes import AnyArray
from spikewire.core.errors import (
    FormatError,
    NeedsSamplingFrequencyError,
)
from spikewire.core.sorting import BaseSorting
from spikewire.extractors.cluster_tables import label_files, property_values, read_labels
from spikewire.extractors.files import NpyFile
from spikewire.extractors.folder_metadata import existing_folder
from spikewire.extractors.phy_export import export_to_phy_minimal
from spikewire.extractors.segments import TableSegment
from spikewire.extractors.tables import (
    ColumnTable,
    OrderedTable,
    blaming,
    distinct_labels,
)
from spikewire.extractors.texts import read_bytes

_TIMES_FILE = "spike_times.npy"
_GROUP_COLUMNS = ("chan_grp", "ch_group", "channel_group")
_UNLABELLED = "unsorted"
_MAX_PARAMS_BYTES = 1024 * 1024
_SAMPLE_RATE = re.compile(rb"^sample_rate[ \t]*=[ \t]*([^#\r\n]*)", re.MULTILINE)


class _PhySorting(BaseSorting):
    """What `PhySortingExtractor` and `KiloSortSortingExtractor` share."""

    def __init__(
        self,
        folder_path: str | Path,
        *,
        exclude_cluster_groups: list[str] | str | None = None,
        keep_good_only: bool = False,
        remove_empty_units: bool = False,
        load_all_cluster_properties: bool = True,
        sampling_frequency: float | None = None,
    ) -> None:
        folder = existing_folder(folder_path)
        times, clusters = _spike_columns(folder)
        if sampling_frequency is None:
            sampling_frequency = _read_sample_rate(folder)
        firing = set(distinct_labels(clusters.column(), folder).tolist())
        labels = read_labels(label_files(folder))
        listed = labels.pop("cluster_id", {})
        quality = labels.pop("group", {})
        units = firing if remove_empty_units else firing | listed.keys()
        if isinstance(exclude_cluster_groups, str):
            exclude_cluster_groups = [exclude_cluster_groups]

        def quality_of(unit: int) -> str:
            label = quality.get(unit, "")
            return label if label.strip() else _UNLABELLED

        excluded = set(exclude_cluster_groups or ())
        units = {unit for unit in units if quality_of(unit) not in excluded}
        if keep_good_only and "KSLabel" in labels:
            units = {unit for unit in units if labels["KSLabel"].get(unit) == "good"}
        kept = sorted(units)
        cluster_ids = np.array(kept, dtype=np.int64)
        with blaming(folder):
            super().__init__(sampling_frequency, _unit_ids(labels.pop("si_unit_id", {}), kept))

        self.set_property("original_cluster_id", cluster_ids)
        if quality or not units <= listed.keys():
            self.set_property("quality", np.array([quality_of(unit) for unit in kept], np.str_))
        for name, cells in labels.items():
            if name in _GROUP_COLUMNS:
                self.set_property("group", property_values(cells, kept))
            elif load_all_cluster_properties:
                self.set_property(name, property_values(cells, kept))
        stored = ColumnTable(
            folder, times.column(), clusters.column(), cluster_ids, skip_unknown=True
        )
        table = OrderedTable(stored)
        self.add_sorting_segment(TableSegment(table, 0, table.size))


class PhySortingExtractor(_PhySorting):
    """A sorting in a folder of phy.

    Clusters that no table lists are kept, as phy shows them: their quality is
    "unsorted". A cluster that is listed but has no spikes is a silent unit. Units
    are in the order of the cluster ids. ``params.py`` is searched for the sampling
    rate, and never run.

    Parameters
    ----------
    folder_path : str or Path
        The folder with ``spike_times.npy``.
    exclude_cluster_groups : list of str or str, optional
        Qualities to leave out, for example "noise".
    load_all_cluster_properties : bool, default: True
        Make a property of every column of the tables, not only of the quality
        and the channel group.
    sampling_frequency : float, optional
        Used instead of the ``sample_rate`` of ``params.py``.

    Raises
    ------
    NeedsSamplingFrequencyError
        If the folder states no sampling rate and none is given.
    FormatError
        If a file is missing or damaged.
    """

    _dump_class = "spikeinterface.extractors.phykilosortextractors.PhySortingExtractor"

    def __init__(
        self,
        folder_path: str | Path,
        exclude_cluster_groups: list[str] | str | None = None,
        load_all_cluster_properties: bool = True,
        sampling_frequency: float | None = None,
    ) -> None:
        super().__init__(
            folder_path,
            exclude_cluster_groups=exclude_cluster_groups,
            load_all_cluster_properties=load_all_cluster_properties,
            sampling_frequency=sampling_frequency,
        )
        self._kwargs = {
            "folder_path": str(Path(folder_path).absolute()),
            "exclude_cluster_groups": exclude_cluster_groups,
        }
        if not load_all_cluster_properties:
            self._kwargs["load_all_cluster_properties"] = False
        # SpikeInterface has no such argument: a dump names it only if it must.
        if sampling_frequency is not None:
            self._kwargs["sampling_frequency"] = sampling_frequency

    @staticmethod
    def write_sorting(
        sorting: BaseSorting, folder_path: str | Path, overwrite: bool = False
    ) -> PhySortingExtractor:
        """Write spikes and labels; see `export_to_phy_minimal`."""
        export_to_phy_minimal(sorting, folder_path, overwrite)
        return PhySortingExtractor(folder_path)


class KiloSortSortingExtractor(_PhySorting):
    """A sorting in an output folder of Kilosort; see `PhySortingExtractor`.

    Parameters
    ----------
    folder_path : str or Path
        The folder with ``spike_times.npy``.
    keep_good_only : bool, default: False
        Keep only the clusters that Kilosort itself called good.
    remove_empty_units : bool, default: True
        Leave out clusters that are listed but have no spikes.
    sampling_frequency : float, optional
        Used instead of the ``sample_rate`` of ``params.py``.

    Raises
    ------
    NeedsSamplingFrequencyError
        If the folder states no sampling rate and none is given.
    FormatError
        If a file is missing or damaged.
    """

    _dump_class = "spikeinterface.extractors.phykilosortextractors.KiloSortSortingExtractor"

    def __init__(
        self,
        folder_path: str | Path,
        keep_good_only: bool = False,
        remove_empty_units: bool = True,
        sampling_frequency: float | None = None,
    ) -> None:
        super().__init__(
            folder_path,
            keep_good_only=keep_good_only,
            remove_empty_units=remove_empty_units,
            sampling_frequency=sampling_frequency,
        )
        self._kwargs = {
            "folder_path": str(Path(folder_path).absolute()),
            "keep_good_only": keep_good_only,
        }
        if not remove_empty_units:
            self._kwargs["remove_empty_units"] = False
        if sampling_frequency is not None:
            self._kwargs["sampling_frequency"] = sampling_frequency


def read_phy(
    folder_path: str | Path,
    exclude_cluster_groups: list[str] | str | None = None,
    load_all_cluster_properties: bool = True,
    sampling_frequency: float | None = None,
) -> PhySortingExtractor:
    """Open a folder of phy; see `PhySortingExtractor`."""
    return PhySortingExtractor(
        folder_path, exclude_cluster_groups, load_all_cluster_properties, sampling_frequency
    )


def read_kilosort(
    folder_path: str | Path,
    keep_good_only: bool = False,
    remove_empty_units: bool = True,
    sampling_frequency: float | None = None,
) -> KiloSortSortingExtractor:
    """Open an output folder of Kilosort; see `KiloSortSortingExtractor`."""
    return KiloSortSortingExtractor(
        folder_path, keep_good_only, remove_empty_units, sampling_frequency
    )


def is_phy_folder(path: Path) -> bool:
    """Whether a folder has the two files that hold the spikes."""
    return (path / _TIMES_FILE).is_file() and _clusters_file(path).is_file()


def unit_ids_in_labels(folder: Path) -> bytes:
    """What the tables say of unit ids: the clusters that they list, and other ids for these."""
    labels = read_labels(label_files(folder))
    listed = sorted(labels.get("cluster_id", {}))
    return repr((listed, sorted(labels.get("si_unit_id", {}).items()))).encode()


def _spike_columns(folder: Path) -> tuple[NpyFile, NpyFile]:
    """The spike times of a folder and the cluster of each, as they are stored."""
    times, clusters = folder / _TIMES_FILE, _clusters_file(folder)
    for path in (times, clusters):
        if not path.is_file():
            raise FormatError(f"{folder} is no folder of phy or Kilosort: it has no {path.name}")
    return NpyFile(times), NpyFile(clusters)


def _clusters_file(folder: Path) -> Path:
    """Before phy saves for the first time, the clusters are the templates."""
    names = ("spike_clusters.npy", "spike_templates.npy")
    return next((folder / name for name in names if (folder / name).is_file()), folder / names[0])


def _read_sample_rate(folder: Path) -> float:
    """The sampling rate that ``params.py`` states.

    The file is a program, which Kilosort writes and people edit. Only a line that
    assigns a number to ``sample_rate`` is looked for.

    Raises
    ------
    NeedsSamplingFrequencyError
        If there is no such file or no such line.
    """
    path = folder / "params.py"
    reason = f"{folder} has no params.py"
    if path.is_file():
        reason = f"{path} assigns no sample_rate"
        # As in a program, the last assignment counts.
        for value in _SAMPLE_RATE.findall(read_bytes(path, _MAX_PARAMS_BYTES))[-1:]:
            text = value.decode("ascii", "replace").strip()
            try:
                return float(text)
            except ValueError:
                reason = f"the sample_rate of {path} is not a plain number but {text!r}"
    raise NeedsSamplingFrequencyError(f"{reason}; give the rate as sampling_frequency=")


def _unit_ids(si_unit_ids: dict[int, str], clusters: list[int]) -> AnyArray:
    """The ids that SpikeInterface had exported the clusters with, else the cluster ids.

    A cluster that was made in phy since, and so has no such id, or that shares it
    with another, gets the next free one.
    """
    if not si_unit_ids:
        return np.array(clusters, dtype=np.int64)
    exported = property_values(si_unit_ids, clusters)
    if exported.dtype.kind not in "if":
        return np.array(clusters, dtype=np.int64)
    values, counts = np.unique(exported[~np.isnan(exported)], return_counts=True)
    taken = set(values[counts == 1].astype(np.int64).tolist())
    free = int(values.max(initial=-1)) + 1
    ids = []
    for value in exported.tolist():
        if value in taken:
            ids.append(int(value))
        else:
            ids.append(free)
            free += 1
    return np.array(ids, dtype=np.int64)
