"""File formats, one module a format; the names are those of `spikeinterface.extractors`."""

from __future__ import annotations

from pathlib import Path

from spikewire.core.numpy_sorting import NumpySorting
from spikewire.core.registry import register_class, register_folder_loader, register_saver
from spikewire.core.sorting import BaseSorting
from spikewire.extractors.alf import ALFSortingExtractor, read_alf_sorting
from spikewire.extractors.formats import Format, recognise
from spikewire.extractors.mclust import MClustSortingExtractor, read_mclust
from spikewire.extractors.mda import MdaSortingExtractor, read_mda_sorting
from spikewire.extractors.neuroscope import NeuroScopeSortingExtractor, read_neuroscope_sorting
from spikewire.extractors.npz import NpzSortingExtractor, read_npz_sorting
from spikewire.extractors.npz_folder import NpzFolderSorting, read_npz_folder, save_npz_folder
from spikewire.extractors.numpy_folder import (
    NumpyFolderSorting,
    read_numpy_sorting_folder,
    save_numpy_folder,
)
from spikewire.extractors.nwb import NwbSortingExtractor, read_nwb_sorting
from spikewire.extractors.phy import (
    KiloSortSortingExtractor,
    PhySortingExtractor,
    read_kilosort,
    read_phy,
)
from spikewire.extractors.phy_export import export_to_phy_minimal
from spikewire.extractors.tridesclous import TridesclousSortingExtractor, read_tridesclous
from spikewire.extractors.zarr_folder import ZarrSortingExtractor, read_zarr_sorting, save_zarr

__all__ = [
    "ALFSortingExtractor",
    "Format",
    "KiloSortSortingExtractor",
    "MClustSortingExtractor",
    "MdaSortingExtractor",
    "NeuroScopeSortingExtractor",
    "NpzFolderSorting",
    "NpzSortingExtractor",
    "NumpyFolderSorting",
    "NumpySorting",
    "NwbSortingExtractor",
    "PhySortingExtractor",
    "TridesclousSortingExtractor",
    "ZarrSortingExtractor",
    "export_to_phy_minimal",
    "read_alf_sorting",
    "read_kilosort",
    "read_mclust",
    "read_mda_sorting",
    "read_neuroscope_sorting",
    "read_npz_folder",
    "read_npz_sorting",
    "read_numpy_sorting_folder",
    "read_nwb_sorting",
    "read_phy",
    "read_tridesclous",
    "read_zarr",
    "read_zarr_sorting",
    "recognise",
]

read_zarr = read_zarr_sorting

for _extractor in (
    ALFSortingExtractor,
    KiloSortSortingExtractor,
    MClustSortingExtractor,
    MdaSortingExtractor,
    NeuroScopeSortingExtractor,
    NpzFolderSorting,
    NpzSortingExtractor,
    NumpyFolderSorting,
    NwbSortingExtractor,
    PhySortingExtractor,
    TridesclousSortingExtractor,
    ZarrSortingExtractor,
):
    register_class(_extractor._dump_class, _extractor)
# What SpikeInterface called it until 0.98.
register_class(
    NpzFolderSorting._dump_class,
    NpzFolderSorting,
    "spikeinterface.core.npzfolder.NpzFolderSorting",
)

register_saver("numpy_folder", save_numpy_folder)
register_saver("npz_folder", save_npz_folder)
register_saver("zarr", save_zarr)


def _is_folder_of_a_format(path: Path) -> bool:
    return path.is_dir() and recognise(path) is not None


def _open_folder(path: Path) -> BaseSorting:
    known = recognise(path)
    assert known is not None
    return known.open(path)


register_folder_loader(_is_folder_of_a_format, _open_folder)
