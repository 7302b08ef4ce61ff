"""What every saved folder holds beside the spikes: metadata, a dump, where it came from."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from spikewire.core.backups import missing
from spikewire.core.dump import to_json
from spikewire.core.errors import FormatError, InvalidTypeError, SortingFileNotFoundError
from spikewire.core.sorting import BaseSorting
from spikewire.extractors.properties import read_properties, write_properties
from spikewire.extractors.tables import blaming
from spikewire.extractors.texts import read_json_object

DUMP_FILE = "si_folder.json"
ANNOTATIONS_FILE = "annotations.json"
PROVENANCE_FILE = "provenance.json"
PROPERTIES_FOLDER = "properties"


def existing_folder(path: str | os.PathLike[str]) -> Path:
    """The absolute path of a folder.

    Raises
    ------
    SortingFileNotFoundError
        If there is none; the message names the old sorting where a save was
        interrupted while it replaced that.
    FormatError
        If it is a file.
    """
    folder = Path(path).absolute()
    if folder.is_dir():
        return folder
    if folder.exists():
        raise FormatError(f"{folder} is a file, where a folder was expected")
    raise SortingFileNotFoundError(missing(folder, "folder"))


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON file; numpy values become numbers and lists.

    Raises
    ------
    InvalidTypeError
        If there is a value that JSON cannot hold.
    """
    try:
        path.write_text(to_json(content), encoding="utf-8")
    except TypeError as error:
        raise InvalidTypeError(f"{path.name} cannot be written: {error}") from error


def write_metadata(
    folder: Path,
    sorting: BaseSorting,
    relative_to: str | os.PathLike[str] | None = None,
) -> None:
    """Write properties, annotations and provenance of a sorting into a folder.

    Parameters
    ----------
    folder : Path
        Where the spikes have been written.
    sorting : BaseSorting
    relative_to : path, optional
        The folder that paths in the provenance start from; by default ``folder``.
    """
    write_properties(folder / PROPERTIES_FOLDER, sorting._properties)
    write_json(folder / ANNOTATIONS_FILE, dict(sorting._annotations))
    if sorting.check_serializability("json"):
        sorting.dump_to_json(folder / PROVENANCE_FILE, relative_to=relative_to or folder)


def write_dump(folder: Path, saved: BaseSorting) -> None:
    """Write the dump by which `load` finds the right class for a folder.

    The annotations are in it too: SpikeInterface looks for them here until 0.104,
    and in their own file since.
    """
    dump = saved.to_dict(include_annotations=True, relative_to=folder, recursive=True)
    write_json(folder / DUMP_FILE, dump)


def read_metadata(
    folder: Path, sorting: BaseSorting, *, dump_file: str = DUMP_FILE, allow_pickle: bool = False
) -> None:
    """Give a sorting the properties and annotations that were saved in its folder.

    Before SpikeInterface 0.105 the annotations are in the dump only.
    """
    properties = read_properties(
        folder / PROPERTIES_FOLDER, sorting.get_num_units(), allow_pickle=allow_pickle
    )
    with blaming(folder):
        for key, values in properties.items():
            sorting.set_property(key, values)
        for key, value in _read_annotations(folder, dump_file).items():
            sorting.set_annotation(key, value, overwrite=True)


def _read_annotations(folder: Path, dump_file: str) -> dict[str, Any]:
    if (folder / ANNOTATIONS_FILE).is_file():
        return read_json_object(folder / ANNOTATIONS_FILE)
    if not (folder / dump_file).is_file():
        return {}
    annotations = read_json_object(folder / dump_file).get("annotations", {})
    if not isinstance(annotations, dict):
        raise FormatError(f"{folder / dump_file}: the annotations are no JSON object")
    return annotations
