"""The npz format: times and labels of each segment in one archive of arrays."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from spikewire.core.dtypes import AnyArray
from spikewire.core.errors import FormatError
from spikewire.core.sorting import BaseSorting
from spikewire.extractors.archives import NpzFile
from spikewire.extractors.saving import new_file
from spikewire.extractors.segments import TableSegment
from spikewire.extractors.tables import MAX_SEGMENTS, ColumnTable, blaming


class NpzSortingExtractor(BaseSorting):
    """A sorting in an npz file.

    Opening reads the headers and the unit ids. Spikes are read when they are
    asked for, a window without what lies around it, unless the archive is
    compressed.

    Parameters
    ----------
    file_path : str or Path
        The file.

    Raises
    ------
    SortingFileNotFoundError
        If there is no such file.
    FormatError
        If the file is damaged or holds something else. Spike times that are not
        in ascending order, and labels that are no unit's id, are found when
        they are read.
    UnsafeContentError
        If an array holds pickled objects.
    """

    _dump_class = "spikeinterface.core.npzsortingextractor.NpzSortingExtractor"

    def __init__(self, file_path: str | Path) -> None:
        path = Path(file_path).absolute()
        archive = NpzFile(path)
        num_segments = _scalar(archive, "num_segment")
        if num_segments not in range(MAX_SEGMENTS + 1):
            raise FormatError(f"{path}: num_segment is {num_segments}")
        sampling_frequency = _scalar(archive, "sampling_frequency")
        unit_ids = archive.load("unit_ids")
        with blaming(path):
            super().__init__(sampling_frequency, unit_ids)
        for segment_index in range(int(num_segments)):
            table = ColumnTable(
                path,
                archive.column(f"spike_indexes_seg{segment_index}"),
                archive.column(f"spike_labels_seg{segment_index}"),
                self.unit_ids,
            )
            self.add_sorting_segment(TableSegment(table, 0, table.size))
        self._kwargs = {"file_path": str(path)}

    @staticmethod
    def write_sorting(sorting: BaseSorting, save_path: str | Path) -> None:
        """Write a sorting's spikes, in their order; metadata have no place in the format.

        Parameters
        ----------
        sorting : BaseSorting
        save_path : str or Path
            The file, replaced if it exists; ``.npz`` is added if it is missing.
        """
        path = Path(save_path)
        if path.suffix != ".npz":
            path = path.with_name(path.name + ".npz")
        with (
            new_file(path, overwrite=True) as aside,
            zipfile.ZipFile(aside, "w", zipfile.ZIP_STORED) as archive,
        ):
            for name, values in _arrays(sorting):
                with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, values, version=(1, 0), allow_pickle=False)


def read_npz_sorting(file_path: str | Path) -> NpzSortingExtractor:
    """Open a sorting in an npz file; see `NpzSortingExtractor`."""
    return NpzSortingExtractor(file_path)


def _scalar(archive: NpzFile, name: str) -> float:
    values = archive.load(name)
    if values.size != 1 or values.dtype.kind not in "iuf":
        raise FormatError(
            f"{archive.path}: {name} should be one number, not {values.size} of {values.dtype}"
        )
    return values.item()  # type: ignore[no-any-return]


def _arrays(sorting: BaseSorting) -> Iterator[tuple[str, AnyArray]]:
    """The arrays of the archive, one segment in memory at a time."""
    unit_ids = np.asarray(sorting.unit_ids)
    yield "unit_ids", unit_ids
    yield "num_segment", np.array([sorting.get_num_segments()], dtype=np.int64)
    yield "sampling_frequency", np.array([sorting.get_sampling_frequency()], dtype=np.float64)
    for segment_index, segment in enumerate(sorting.segments):
        samples, unit_indices = segment.get_spike_columns()
        yield f"spike_indexes_seg{segment_index}", samples.astype(np.int64, copy=False)
        # Not float64 or <U32 where a unit is silent, as SpikeInterface writes:
        # large ids would change on the way.
        yield f"spike_labels_seg{segment_index}", unit_ids[unit_indices]
