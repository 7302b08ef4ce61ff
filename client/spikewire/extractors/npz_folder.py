"""Folders around an npz file: SpikeInterface's npz folder, and the cached folder of 2021."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

from spikewire.core.errors import FormatError
from spikewire.core.sorting import BaseSorting
from spikewire.extractors.folder_metadata import (
    existing_folder,
    read_metadata,
    write_dump,
    write_json,
    write_metadata,
)
from spikewire.extractors.npz import NpzSortingExtractor
from spikewire.extractors.properties import check_properties
from spikewire.extractors.saving import new_folder

SPIKES_FILE = "sorting_cached.npz"
NPZ_DUMP_FILE = "npz.json"
CACHED_DUMP_FILE = "cached.json"


class NpzFolderSorting(NpzSortingExtractor):
    """A sorting in an npz folder, what SpikeInterface 0.95 to 0.98 saved by default.

    Parameters
    ----------
    folder_path : str or Path
        The folder.
    allow_pickle : bool, default: False
        Unpickle properties of Python objects; only for folders that you trust.

    Raises
    ------
    SortingFileNotFoundError
        If there is no such folder.
    FormatError
        If a file is missing or damaged.
    """

    _dump_class = "spikeinterface.core.sortingfolder.NpzFolderSorting"

    def __init__(self, folder_path: str | os.PathLike[str], allow_pickle: bool = False) -> None:
        folder = existing_folder(folder_path)
        if not is_npz_folder(folder):
            raise FormatError(
                f"{folder} is no npz folder: it lacks {NPZ_DUMP_FILE} or {SPIKES_FILE}"
            )
        # The dump beside it says where the npz file is. It is always here, and a
        # dump could say anything.
        super().__init__(folder / SPIKES_FILE)
        read_metadata(folder, self, allow_pickle=allow_pickle)
        self._kwargs = {"folder_path": str(folder)}

    @staticmethod
    def write_sorting(  # type: ignore[override]
        sorting: BaseSorting, save_path: str | os.PathLike[str], overwrite: bool = False
    ) -> NpzFolderSorting:
        """Save a sorting as SpikeInterface up to 0.98 did. Deprecated: use a numpy folder.

        Parameters
        ----------
        sorting : BaseSorting
        save_path : str or Path
            The folder to make.
        overwrite : bool, default: False
            Replace what is there, once the new folder is whole.

        Raises
        ------
        SortingExistsError
            If something is there and is not to be overwritten.
        InvalidNameError
            If a property's key cannot be the name of a file.
        """
        warnings.warn(
            "npz folders are deprecated: save in format 'numpy_folder'",
            DeprecationWarning,
            stacklevel=2,
        )
        check_properties(sorting._properties)
        with new_folder(save_path, overwrite=overwrite) as folder:
            NpzSortingExtractor.write_sorting(sorting, folder / SPIKES_FILE)
            npz = NpzSortingExtractor(folder / SPIKES_FILE)
            write_json(folder / NPZ_DUMP_FILE, npz.to_dict(relative_to=folder, recursive=True))
            write_metadata(folder, sorting)
            write_dump(folder, NpzFolderSorting(folder))
        return NpzFolderSorting(save_path)


def is_npz_folder(path: Path) -> bool:
    """Whether a folder has an npz file and the dump that SpikeInterface 0.95 and later adds."""
    return (path / NPZ_DUMP_FILE).is_file() and (path / SPIKES_FILE).is_file()


def is_cached_folder(path: Path) -> bool:
    """Whether SpikeInterface saved a folder with a sorting before 0.95."""
    return (path / CACHED_DUMP_FILE).is_file() and (path / SPIKES_FILE).is_file()


def read_npz_folder(
    folder_path: str | os.PathLike[str], allow_pickle: bool = False
) -> NpzFolderSorting:
    """Open a sorting in an npz folder; see `NpzFolderSorting`."""
    return NpzFolderSorting(folder_path, allow_pickle)


def read_cached_folder(
    folder_path: str | os.PathLike[str], allow_pickle: bool = False
) -> NpzSortingExtractor:
    """Open a sorting in a folder that SpikeInterface saved until 0.94, with its metadata.

    As there, it is the npz file in the folder that is opened; a dump of it does
    not bring its properties back.

    Raises
    ------
    SortingFileNotFoundError
        If there is no such folder, or no npz file in it.
    FormatError
        If a file is damaged.
    """
    folder = existing_folder(folder_path)
    sorting = NpzSortingExtractor(folder / SPIKES_FILE)
    read_metadata(folder, sorting, dump_file=CACHED_DUMP_FILE, allow_pickle=allow_pickle)
    return sorting


def save_npz_folder(
    sorting: BaseSorting, *, folder: str | os.PathLike[str], overwrite: bool = False
) -> NpzFolderSorting:
    """Do `sorting.save(format="npz_folder")`; see `NpzFolderSorting.write_sorting`."""
    return NpzFolderSorting.write_sorting(sorting, folder, overwrite)
