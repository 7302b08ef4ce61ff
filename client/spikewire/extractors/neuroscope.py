"""NeuroScope: for each shank a text file of samples (``.res``) and one of clusters (``.clu``)."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import numpy as np

from spikewire.core.dtypes import IntArray
from spikewire.core.errors import (
    ContractError,
    FormatError,
    InvalidValueError,
)
from spikewire.core.sorting import BaseSorting
from spikewire.core.unit_ids import some
from spikewire.extractors.files import MemoryColumn
from spikewire.extractors.folder_metadata import existing_folder
from spikewire.extractors.neuroscope_files import (
    MUA,
    NOISE,
    Shank,
    find_shanks,
    parameter_file,
    read_rate,
    read_shanks,
    write_integers,
)
from spikewire.extractors.saving import new_folder
from spikewire.extractors.segments import TableSegment
from spikewire.extractors.tables import ColumnTable, blaming

_XML = """<?xml version="1.0"?>
<parameters version="1.0" creator="spikewire">
 <acquisitionSystem>
  <samplingRate>{rate}</samplingRate>
 </acquisitionSystem>
</parameters>
"""


class NeuroScopeSortingExtractor(BaseSorting):
    """A sorting in NeuroScope's files.

    As in SpikeInterface, clusters are numbered from 1 through all shanks, those that
    are left out included. Properties tell where a unit comes from: ``group``, the shank,
    if the folder has several, and ``original_cluster_id``. Cluster 0, what was left
    unsorted, is left out.

    Parameters
    ----------
    folder_path : str or Path, optional
        A folder of ``.res`` and ``.clu`` files.
    resfile_path, clufile_path : str or Path, optional
        One pair of files, instead of a folder.
    keep_mua_units : bool, default: True
        Keep cluster 1 of each shank, multi-unit activity.
    exclude_shanks : list of int, optional
        Shanks to leave out.
    xml_file_path : str or Path, optional
        The parameter file, which states the sampling rate; by default the only one
        in the folder.
    sampling_frequency : float, optional
        Used instead of what the parameter file states.

    Raises
    ------
    ContractError
        If neither a folder nor a pair of files is given, or both.
    SortingFileNotFoundError
        If a file does not exist.
    NeedsSamplingFrequencyError
        If no sampling frequency is stated or given.
    FormatError
        If a file is damaged, or has no counterpart.
    """

    _dump_class = "spikeinterface.extractors.neoextractors.neuroscope.NeuroScopeSortingExtractor"

    def __init__(
        self,
        folder_path: str | os.PathLike[str] | None = None,
        resfile_path: str | os.PathLike[str] | None = None,
        clufile_path: str | os.PathLike[str] | None = None,
        keep_mua_units: bool = True,
        exclude_shanks: list[int] | None = None,
        xml_file_path: str | os.PathLike[str] | None = None,
        sampling_frequency: float | None = None,
    ) -> None:
        given = (folder_path is not None, resfile_path is not None, clufile_path is not None)
        if given == (True, False, False):
            folder = existing_folder(folder_path)  # type: ignore[arg-type]
            shanks = find_shanks(folder)
            if not shanks:
                raise FormatError(f"{folder} has no .res files of NeuroScope")
        elif given == (False, True, True):
            res, clu = Path(resfile_path).absolute(), Path(clufile_path).absolute()  # type: ignore[arg-type]
            folder = res.parent
            shanks = [Shank(res, clu, None)]
        else:
            raise ContractError("give either folder_path, or both resfile_path and clufile_path")
        xml_path = parameter_file(folder) if xml_file_path is None else Path(xml_file_path)
        rate = read_rate(xml_path, folder) if sampling_frequency is None else sampling_frequency

        samples, indices, units = read_shanks(
            [shank for shank in shanks if shank.number not in (exclude_shanks or ())],
            left_out={NOISE} if keep_mua_units else {NOISE, MUA},
        )
        with blaming(folder):
            super().__init__(rate, [unit.id for unit in units])
        if len(shanks) > 1:
            self.set_property("group", np.array([unit.shank for unit in units], dtype=np.int64))
        clusters = np.array([unit.cluster for unit in units], dtype=np.int64)
        self.set_property("original_cluster_id", clusters)
        table = ColumnTable(
            folder, MemoryColumn(samples), MemoryColumn(indices), np.arange(len(units))
        ).in_time_order()
        self.add_sorting_segment(TableSegment(table, 0, table.size))
        self._kwargs = {
            "folder_path": str(folder) if folder_path is not None else None,
            "resfile_path": str(shanks[0].res) if folder_path is None else None,
            "clufile_path": str(shanks[0].clu) if folder_path is None else None,
            "keep_mua_units": keep_mua_units,
            "exclude_shanks": list(exclude_shanks or ()),
            "xml_file_path": str(xml_path.absolute()) if xml_path else None,
        }
        # SpikeInterface has no such argument: a dump names it only if it must.
        if sampling_frequency is not None:
            self._kwargs["sampling_frequency"] = sampling_frequency

    @staticmethod
    def write_sorting(
        sorting: BaseSorting, folder_path: str | os.PathLike[str], overwrite: bool = False
    ) -> NeuroScopeSortingExtractor:
        """Write a sorting of one segment as NeuroScope's files.

        Units are numbered from 2 in each shank; what shank they are of, the property
        ``group`` says. Units without spikes have no place in the format.

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
        InvalidValueError
            If the property ``group`` holds something else than numbers from 0 up.
        SortingExistsError
            If something is there and is not to be overwritten.
        """
        if sorting.get_num_segments() != 1:
            raise ContractError(
                f"NeuroScope's files hold one segment, this sorting has "
                f"{sorting.get_num_segments()}"
            )
        groups = _groups(sorting)
        silent = sorting.unit_ids[sorting.segments[0].count_spikes() == 0]
        if silent.size:
            warnings.warn(
                f"NeuroScope's files cannot hold units without spikes: {some(silent.tolist())}",
                stacklevel=2,
            )
        samples, indices = sorting.segments[0].get_spike_columns()
        name = Path(folder_path).name
        with new_folder(folder_path, overwrite=overwrite) as folder:
            for group in np.unique(groups).tolist():
                units = np.flatnonzero(groups == group)
                # Clusters 0 and 1 are taken.
                clusters = np.zeros(groups.size, dtype=np.int64)
                clusters[units] = np.arange(units.size) + MUA + 1
                of_group = clusters[indices]
                here = of_group > 0
                write_integers(folder / f"{name}.res.{group}", samples[here])
                count = np.unique(of_group[here]).size
                write_integers(folder / f"{name}.clu.{group}", [count, *of_group[here]])
            (folder / f"{name}.xml").write_text(
                _XML.format(rate=repr(sorting.get_sampling_frequency())), encoding="utf-8"
            )
        return NeuroScopeSortingExtractor(folder_path)


def read_neuroscope_sorting(
    folder_path: str | os.PathLike[str] | None = None,
    resfile_path: str | os.PathLike[str] | None = None,
    clufile_path: str | os.PathLike[str] | None = None,
    keep_mua_units: bool = True,
    exclude_shanks: list[int] | None = None,
    xml_file_path: str | os.PathLike[str] | None = None,
    sampling_frequency: float | None = None,
) -> NeuroScopeSortingExtractor:
    """Open a sorting in NeuroScope's files; see `NeuroScopeSortingExtractor`."""
    return NeuroScopeSortingExtractor(
        folder_path,
        resfile_path,
        clufile_path,
        keep_mua_units,
        exclude_shanks,
        xml_file_path,
        sampling_frequency,
    )


def _groups(sorting: BaseSorting) -> IntArray:
    groups = sorting.get_property("group")
    if groups is None:
        return np.ones(sorting.get_num_units(), dtype=np.int64)
    if groups.dtype.kind not in "iu" or groups.ndim != 1 or (groups < 0).any():
        raise InvalidValueError("the property 'group' must hold numbers of shanks, from 0 up")
    return groups.astype(np.int64)
