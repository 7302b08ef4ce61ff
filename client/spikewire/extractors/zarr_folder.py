"""SpikeInterface's zarr folder: the spike vector in compressed chunks, metadata beside it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from spikewire.core.dump import DIALECT, to_json
from spikewire.core.errors import FormatError, InvalidTypeError, InvalidValueError
from spikewire.core.sorting import BaseSorting
from spikewire.extractors.folder_metadata import existing_folder
from spikewire.extractors.properties import check_properties
from spikewire.extractors.saving import new_folder
from spikewire.extractors.segments import TableSegment
from spikewire.extractors.tables import MAX_SEGMENTS, ColumnTable, blaming
from spikewire.extractors.texts import read_json_object
from spikewire.extractors.zarr_arrays import ARRAY_FILE, ColumnWriter, ZarrArray, write_array

ATTRIBUTES_FILE = ".zattrs"
_GROUP_FILE = ".zgroup"


class ZarrSortingExtractor(BaseSorting):
    """A sorting in a zarr folder of version 2, as SpikeInterface saves it.

    Opening reads the metadata. Spikes are read when they are asked for, chunk by
    chunk.

    Parameters
    ----------
    folder_path : str or Path
        The folder.
    storage_options : None
        Accepted for SpikeInterface's sake; remote stores are not read.
    zarr_group : str, optional
        The group within the folder that holds the sorting.
    lazy_spike_vector : bool, default: False
        Accepted for SpikeInterface's sake; spikes are always read lazily.

    Raises
    ------
    SortingFileNotFoundError
        If there is no such folder.
    FormatError
        If a file is missing or damaged.
    MissingExtraError
        If the spikes are compressed, as SpikeInterface does, and numcodecs is not
        installed; the extra ``[zarr]`` brings it.
    """

    _dump_class = "spikeinterface.core.zarrextractors.ZarrSortingExtractor"

    def __init__(
        self,
        folder_path: str | os.PathLike[str],
        storage_options: None = None,
        zarr_group: str | None = None,
        lazy_spike_vector: bool = False,
    ) -> None:
        if storage_options or "://" in os.fspath(folder_path):
            raise InvalidValueError("zarr folders are read from disk only")
        folder = existing_folder(folder_path)
        group = folder if zarr_group is None else _group(folder, zarr_group)
        attributes = read_json_object(group / ATTRIBUTES_FILE)
        num_segments = attributes.get("num_segments")
        if type(num_segments) is not int or not 0 <= num_segments <= MAX_SEGMENTS:
            raise FormatError(f"{group / ATTRIBUTES_FILE}: num_segments is {num_segments!r}")
        unit_ids = ZarrArray(group / "unit_ids").column().load()
        with blaming(group / ATTRIBUTES_FILE):
            super().__init__(attributes.get("sampling_frequency"), unit_ids)  # type: ignore[arg-type]
        spikes = group / "spikes"
        table = ColumnTable(
            spikes,
            ZarrArray(spikes / "sample_index").column(),
            ZarrArray(spikes / "unit_index").column(),
            np.arange(self.get_num_units()),
        )
        for start, stop in _segment_rows(spikes, num_segments, table.size):
            self.add_sorting_segment(TableSegment(table, start, stop))
        self._read_metadata(group, attributes)
        # Without lazy_spike_vector, which SpikeInterface 0.104 does not know.
        self._kwargs = {
            "folder_path": str(folder),
            "storage_options": None,
            "zarr_group": zarr_group,
        }

    def _read_metadata(self, group: Path, attributes: dict[str, Any]) -> None:
        for path in sorted((group / "properties").glob(f"*/{ARRAY_FILE}")):
            values = ZarrArray(path.parent).load()
            with blaming(path.parent):
                self.set_property(path.parent.name, values)
        annotations = attributes.get("annotations") or {}
        if not isinstance(annotations, dict):
            raise FormatError(f"{group / ATTRIBUTES_FILE}: the annotations are no JSON object")
        with blaming(group / ATTRIBUTES_FILE):
            for key, value in annotations.items():
                self.set_annotation(key, value)

    @staticmethod
    def write_sorting(
        sorting: BaseSorting,
        folder_path: str | os.PathLike[str],
        overwrite: bool = False,
        storage_options: None = None,
        relative_to: str | os.PathLike[str] | None = None,
    ) -> ZarrSortingExtractor:
        """Save a sorting as a zarr folder that SpikeInterface reads.

        The folder appears when it is whole; a save that fails leaves nothing.

        Parameters
        ----------
        sorting : BaseSorting
        folder_path : str or Path
            The folder to make; ``.zarr`` is added if it is missing.
        overwrite : bool, default: False
            Replace what is there, once the new folder is whole.
        storage_options : None
            Accepted for SpikeInterface's sake; remote stores are not written.
        relative_to : str or Path, optional
            The folder that paths in the provenance start from; by default they are
            absolute.

        Raises
        ------
        SortingExistsError
            If something is there and is not to be overwritten.
        InvalidNameError
            If a property's key cannot be the name of a folder.
        InvalidTypeError
            If a property or an annotation holds what JSON does not know.
        MissingExtraError
            If numcodecs is not installed.
        """
        if storage_options or "://" in os.fspath(folder_path):
            raise InvalidValueError("zarr folders are written to disk only")
        path = Path(folder_path)
        if path.suffix != ".zarr":
            path = path.with_name(path.name + ".zarr")
        check_properties(sorting._properties)
        attributes = _attributes(sorting, relative_to)
        with new_folder(path, overwrite=overwrite) as folder:
            for group in (folder, folder / "spikes", folder / "properties"):
                group.mkdir(exist_ok=True)
                (group / _GROUP_FILE).write_text('{\n    "zarr_format": 2\n}', encoding="utf-8")
            (folder / ATTRIBUTES_FILE).write_text(attributes, encoding="utf-8")
            write_array(folder / "unit_ids", sorting.unit_ids)
            _write_spikes(folder / "spikes", sorting)
            for key, values in sorting._properties.items():
                write_array(folder / "properties" / key, values)
        return ZarrSortingExtractor(path)


def read_zarr_sorting(
    folder_path: str | os.PathLike[str],
    storage_options: None = None,
    zarr_group: str | None = None,
) -> ZarrSortingExtractor:
    """Open a sorting in a zarr folder; see `ZarrSortingExtractor`."""
    return ZarrSortingExtractor(folder_path, storage_options, zarr_group)


def save_zarr(
    sorting: BaseSorting,
    *,
    folder: str | os.PathLike[str],
    overwrite: bool = False,
    storage_options: None = None,
    relative_to: str | os.PathLike[str] | None = None,
) -> ZarrSortingExtractor:
    """Do `sorting.save(format="zarr")`; see `ZarrSortingExtractor.write_sorting`."""
    return ZarrSortingExtractor.write_sorting(
        sorting, folder, overwrite, storage_options, relative_to
    )


def is_zarr_folder(path: Path) -> bool:
    """Whether the root of a zarr folder holds a sorting."""
    arrays = (path / "unit_ids", path / "spikes" / "sample_index", path / "spikes" / "unit_index")
    return (path / ATTRIBUTES_FILE).is_file() and all(
        (array / ARRAY_FILE).is_file() for array in arrays
    )


def spike_files(folder: Path) -> list[Path]:
    """Every file of the units and the spikes, and the attributes, which state the rate."""
    arrays = [*(folder / "unit_ids").rglob("*"), *(folder / "spikes").rglob("*")]
    return [folder / ATTRIBUTES_FILE, *sorted(path for path in arrays if path.is_file())]


def label_files(folder: Path) -> list[Path]:
    """Every file of the properties."""
    return sorted(path for path in (folder / "properties").rglob("*") if path.is_file())


def _group(folder: Path, name: str) -> Path:
    parts = name.strip("/").split("/")
    if any(part in ("", ".", "..") or "\\" in part or ":" in part for part in parts):
        raise InvalidValueError(f"{name!r} is no group in a zarr folder")
    return existing_folder(folder.joinpath(*parts))


def _segment_rows(spikes: Path, num_segments: int, size: int) -> list[tuple[int, int]]:
    """Where each segment begins and ends in the columns."""
    slices = ZarrArray(spikes / "segment_slices")
    if slices.shape != (num_segments, 2) or slices.dtype.kind not in "iu":
        # numpy gives no segments the shape (0,).
        if num_segments == 0 and size == 0:
            return []
        raise FormatError(f"{slices.path}: not {num_segments} pairs of rows")
    rows: list[tuple[int, int]] = [(start, stop) for start, stop in slices.load().tolist()]
    ends = [0, *(stop for _, stop in rows)]
    if [start for start, _ in rows] != ends[:-1] or ends != sorted(ends) or ends[-1] != size:
        raise FormatError(f"{slices.path}: the segments do not cover the {size} spikes in order")
    return rows


def _attributes(sorting: BaseSorting, relative_to: str | os.PathLike[str] | None) -> str:
    provenance = None
    if sorting.check_serializability("json"):
        provenance = sorting.to_dict(recursive=True, relative_to=relative_to)
    attributes = {
        "annotations": dict(sorting._annotations),
        "num_segments": sorting.get_num_segments(),
        "provenance": provenance,
        "sampling_frequency": sorting.get_sampling_frequency(),
        "zarr_class_info": {
            "class": ZarrSortingExtractor._dump_class,
            "module": "spikeinterface",
            "version": DIALECT,
        },
    }
    try:
        return to_json(attributes)
    except TypeError as error:
        raise InvalidTypeError(f"the annotations cannot be written: {error}") from error


def _write_spikes(folder: Path, sorting: BaseSorting) -> None:
    """Write the columns, one segment in memory at a time."""
    samples = ColumnWriter(folder / "sample_index")
    units = ColumnWriter(folder / "unit_index")
    ends = [0]
    for segment in sorting.segments:
        of_segment = segment.get_spike_columns()
        samples.append(of_segment[0])
        units.append(of_segment[1])
        ends.append(samples.size)
    firsts = samples.close()
    units.close()
    rows = np.array([ends[:-1], ends[1:]], dtype=np.int64).T
    write_array(folder / "segment_slices", rows)
    # By these SpikeInterface 0.105 finds a window without reading every chunk.
    write_array(folder / "sample_index_chunk_firsts", firsts)
