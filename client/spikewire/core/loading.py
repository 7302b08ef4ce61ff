"""From dump dicts, files, folders and addresses to sortings."""

from __future__ import annotations

import os
import pickle
import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spikewire.core.backups import missing
from spikewire.core.dump import absolute_from_folder, check_depth, from_json, is_dump, map_nested
from spikewire.core.errors import (
    ContractError,
    DumpError,
    NotASortingError,
    SortingNotFoundError,
    SpikewireError,
    UnsafeContentError,
)
from spikewire.core.registry import folder_loaders, resolve_class, url_opener

if TYPE_CHECKING:
    from spikewire.core.sorting import BaseSorting

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")
#: Dumps that a folder may hold about itself, in the order of preference.
_FOLDER_DUMPS = ("si_folder.json", "cached.json")


def load(
    file_or_folder_or_dict: str | os.PathLike[str] | dict[str, Any],
    *,
    base_folder: str | os.PathLike[str] | bool | None = None,
    allow_pickle: bool = False,
) -> BaseSorting:
    """Load a sorting from a dump dict, a file, a folder or an address.

    Parameters
    ----------
    file_or_folder_or_dict : dict, path or str
        A dump dict; a `.json`, `.pkl` or `.pickle` file with one; a folder that was
        saved or that a format's program wrote; or `spikewire://host:port/name`.
    base_folder : path or True, optional
        What relative paths in a dump are relative to; True stands for the file's folder.
    allow_pickle : bool, default: False
        Read a pickle file. A pickle runs whatever code its author put into it.

    Raises
    ------
    SortingNotFoundError
        If nothing lies at the path.
    NotASortingError
        If what lies there is of no known format.
    DumpError
        If the dump is malformed or does not make a sorting.
    UnknownClassError
        If the dump names a class that is not a known class of sortings.
    UnsafeContentError
        If the file is a pickle and `allow_pickle` is False.
    """
    if isinstance(file_or_folder_or_dict, dict):
        return sorting_from_dict(file_or_folder_or_dict, _folder(base_folder))
    text = os.fspath(file_or_folder_or_dict)
    url = _URL.match(text)
    if url:
        return url_opener(url[1].lower())(text)
    path = Path(text)
    if path.is_dir():
        return _load_folder(path)
    if not path.is_file():
        raise SortingNotFoundError(missing(path, "file or folder"))
    dump = _read_file(path, allow_pickle)
    return sorting_from_dict(dump, path.parent if base_folder is True else _folder(base_folder))


def sorting_from_dict(dump: dict[str, Any], base_folder: Path | None = None) -> BaseSorting:
    """The sorting that a dump dict describes; errors are those of `load`."""
    check_depth(dump)
    if isinstance(dump, dict) and dump.get("relative_paths"):
        if base_folder is None:
            raise ContractError(
                "the dump has relative paths: give base_folder, the folder that they start from "
                "(base_folder=True is the folder of the file)"
            )
        _check_dump(dump)
        dump = absolute_from_folder(dump, Path(base_folder))
    return _build(dump)


def _build(dump: dict[str, Any]) -> BaseSorting:
    _check_dump(dump)
    sorting_class = resolve_class(dump["class"])
    kwargs = {key: map_nested(value, is_dump, _build) for key, value in dump["kwargs"].items()}
    try:
        sorting = sorting_class(**sorting_class._kwargs_of_dump(kwargs))
        for key, value in dump["annotations"].items():
            sorting._store_annotation(key, value)
        for key, values in (dump.get("properties") or {}).items():
            if values is not None:
                sorting.set_property(key, values)
    except (SpikewireError, OSError, MemoryError):
        raise
    except Exception as error:  # a dump may hold anything, so a constructor may raise anything
        raise DumpError(
            f"the dump does not make a {sorting_class.__name__}: {type(error).__name__}: {error}"
        ) from error
    return sorting


def _check_dump(dump: Any) -> None:
    """Make sure that a dump has the parts it needs, each of the right type."""
    if not isinstance(dump, dict):
        raise DumpError(f"a dump is a dict, not {type(dump).__name__}")
    parts = {"class": str, "kwargs": dict, "version": str, "annotations": dict}
    for key, kind in parts.items():
        if key not in dump:
            raise DumpError(f"the dump has no {key!r}; it needs {', '.join(parts)}")
        if not isinstance(dump[key], kind):
            raise DumpError(f"{key!r} of the dump must be a {kind.__name__}")
    if not isinstance(dump.get("properties") or {}, dict):
        raise DumpError("'properties' of the dump must be a dict")
    if not all(isinstance(key, str) for part in ("kwargs", "annotations") for key in dump[part]):
        raise DumpError("the keys of a dump must be text")


def _folder(base_folder: str | os.PathLike[str] | bool | None) -> Path | None:
    if isinstance(base_folder, bool) or base_folder is None:
        return None
    return Path(base_folder)


def _read_file(path: Path, allow_pickle: bool) -> dict[str, Any]:
    """The dump in a file."""
    if path.suffix == ".json":
        return read_json(path)
    if path.suffix not in (".pkl", ".pickle"):
        raise NotASortingError(
            f"{path} is not a dump: its name would end in .json, .pkl or .pickle"
        )
    if not allow_pickle:
        raise UnsafeContentError(
            f"{path} is a pickle, which runs whatever code its author put into it; if you trust "
            "the author, say allow_pickle=True"
        )
    with path.open("rb") as file:
        try:
            dump: dict[str, Any] = _Unpickler(file).load()
        except Exception as error:  # unpickling calls what the file names
            raise DumpError(f"{path} cannot be unpickled: {error}") from error
    return dump


def read_json(path: Path) -> dict[str, Any]:
    """The dump in a JSON file.

    Raises
    ------
    DumpError
        If the file is not JSON, or not of an object.
    """
    try:
        dump = from_json(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise DumpError(f"{path} is not a dump: {error}") from error
    if not isinstance(dump, dict):
        raise DumpError(f"{path} is not a dump: it holds a {type(dump).__name__}, not an object")
    return dump


class _Unpickler(pickle.Unpickler):
    """Unpickles dumps of SpikeInterface without SpikeInterface."""

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        if (module_name, global_name) == ("spikeinterface.core.base", "BaseExtractor.from_dict"):
            return sorting_from_dict
        return super().find_class(module_name, global_name)


def _load_folder(folder: Path) -> BaseSorting:
    for recognise, loader in folder_loaders():
        if recognise(folder):
            return loader(folder)
    for name in _FOLDER_DUMPS:
        if (folder / name).is_file():
            return sorting_from_dict(read_json(folder / name), folder)
    raise NotASortingError(
        f"{folder} is not a folder of a known format, and holds no {' or '.join(_FOLDER_DUMPS)}"
    )


def _deprecated(name: str) -> None:
    warnings.warn(f"{name}() is deprecated; use load()", DeprecationWarning, stacklevel=3)


def load_extractor(
    file_or_folder_or_dict: str | os.PathLike[str] | dict[str, Any],
    base_folder: str | os.PathLike[str] | bool | None = None,
    *,
    allow_pickle: bool = False,
) -> BaseSorting:
    """Deprecated name of `load`."""
    _deprecated("load_extractor")
    return load(file_or_folder_or_dict, base_folder=base_folder, allow_pickle=allow_pickle)


def load_extractor_from_dict(
    d: dict[str, Any], base_folder: str | os.PathLike[str] | None = None
) -> BaseSorting:
    """Deprecated: `load` takes dicts."""
    _deprecated("load_extractor_from_dict")
    return load(d, base_folder=base_folder)


def load_extractor_from_json(
    json_file: str | os.PathLike[str], base_folder: str | os.PathLike[str] | bool | None = None
) -> BaseSorting:
    """Deprecated: `load` takes JSON files."""
    _deprecated("load_extractor_from_json")
    return load(json_file, base_folder=base_folder)


def load_extractor_from_pickle(
    pkl_file: str | os.PathLike[str],
    base_folder: str | os.PathLike[str] | bool | None = None,
    *,
    allow_pickle: bool = False,
) -> BaseSorting:
    """Deprecated: `load` takes pickle files, with `allow_pickle=True`."""
    _deprecated("load_extractor_from_pickle")
    return load(pkl_file, base_folder=base_folder, allow_pickle=allow_pickle)
