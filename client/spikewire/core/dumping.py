"""Sortings to dump dicts, and these to files."""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from spikewire._version import __version__
from spikewire.core.dump import DIALECT, class_path, map_nested, relative_to_folder, to_json
from spikewire.core.errors import ContractError, InvalidValueError
from spikewire.core.views import SortingViews


class SortingDumps(SortingViews):
    """The methods of `BaseSorting` that dump."""

    #: The path that dumps name the class by; SpikeInterface can import it. Every class
    #: that can be dumped has its own and registers it: `spikewire.core.registry`.
    _dump_class: ClassVar[str]
    #: Which kinds of dump can bring the sorting back.
    _serializability: ClassVar[dict[str, bool]] = {"memory": True, "json": True, "pickle": True}

    @classmethod
    def _kwargs_of_dump(cls, kwargs: dict[str, Any]) -> dict[str, Any]:
        """The constructor's arguments from those of a dump, which may be an old one."""
        return kwargs

    def check_serializability(self, type: str) -> bool:  # noqa: A002
        """Whether the sorting, and every one that it is made from, can be dumped.

        Parameters
        ----------
        type : {"memory", "json", "pickle"}
        """
        return self._serializability[type] and all(
            parent.check_serializability(type) for parent in _sortings_in(self._kwargs)
        )

    def to_dict(
        self,
        include_annotations: bool = False,
        include_properties: bool = False,
        include_extra_metadata: bool = True,
        relative_to: str | os.PathLike[str] | None = None,
        recursive: bool = False,
        include_features: bool | None = None,
        folder_metadata: str | os.PathLike[str] | None = None,
    ) -> dict[str, Any]:
        """What the sorting is made from, as a dict that `load` takes.

        Parameters
        ----------
        include_annotations, include_properties : bool, default: False
            Include all of them; else only the name and `main_channel_id`.
        include_extra_metadata : bool, default: True
            Accepted for SpikeInterface's sake; sortings have no extra metadata.
        relative_to : path, optional
            Make paths relative to this folder, if all of them can be. Needs `recursive`.
        recursive : bool, default: False
            Make parents dicts too; else the kwargs hold the live objects.
        include_features : bool, optional
            Deprecated, without effect.
        folder_metadata : path, optional
            Deprecated: the folder of the properties, written into the dump as it is.

        Returns
        -------
        dict
            The keys of SpikeInterface 0.92 and of 0.105, and `spikewire`, our version.

        Raises
        ------
        InvalidValueError
            If `relative_to` is given without `recursive`.
        ContractError
            If `relative_to` is not a folder.
        """
        if relative_to and not recursive:
            raise InvalidValueError("relative_to needs recursive=True")
        kwargs = dict(self._kwargs)
        if recursive:
            metadata = {
                "include_annotations": include_annotations,
                "include_properties": include_properties,
            }
            kwargs = {
                key: map_nested(value, _is_sorting, lambda s: s.to_dict(recursive=True, **metadata))
                for key, value in kwargs.items()
            }
        path = class_path(type(self))
        annotations = self.get_annotation_keys() if include_annotations else self._main_annotations
        properties = self.get_property_keys() if include_properties else self._main_properties
        dump: dict[str, Any] = {
            "class": path,
            "module": path.partition(".")[0],
            "kwargs": kwargs,
            "version": DIALECT,
            "dumpable": self.check_serializability("json"),
            "annotations": {
                key: self._annotations[key] for key in annotations if key in self._annotations
            },
            "properties": {
                key: self._properties[key] for key in properties if key in self._properties
            },
            "relative_paths": False,
            "spikewire": {"version": __version__},
        }
        if folder_metadata is not None:
            dump["folder_metadata"] = Path(folder_metadata).as_posix()
        if relative_to is None:
            return dump
        folder = Path(relative_to).resolve()
        if not folder.is_dir():
            raise ContractError(f"relative_to must be an existing folder: {relative_to}")
        return relative_to_folder(dump, folder)

    def dump(
        self,
        file_path: str | os.PathLike[str],
        relative_to: str | os.PathLike[str] | bool | None = None,
        folder_metadata: str | os.PathLike[str] | None = None,
        *,
        strict: bool = False,
    ) -> None:
        """Write the dump dict to a file; spikes are not copied.

        Parameters
        ----------
        file_path : path
            Ends in `.json`, `.pkl` or `.pickle`.
        relative_to : path or True, optional
            Make paths relative to this folder; True stands for the file's.
        folder_metadata : path, optional
            Deprecated: the folder of the properties.
        strict : bool, default: False
            For `.json` only: write NaN and infinities so that any JSON parser takes the
            file, as `{"__float__": "NaN"}`; `load` reads both forms, SpikeInterface
            only the default one.

        Raises
        ------
        InvalidValueError
            If the file's name ends otherwise, or in something else than `.json` with `strict`.
        ContractError
            If the sorting cannot be dumped so, as spikes in memory cannot.
        """
        name = os.fspath(file_path)
        if name.endswith(".json"):
            self.dump_to_json(
                file_path, relative_to, folder_metadata=folder_metadata, strict=strict
            )
        elif strict:
            raise InvalidValueError(f"strict is for dumps that end in .json: {name}")
        elif name.endswith((".pkl", ".pickle")):
            self.dump_to_pickle(file_path, relative_to, folder_metadata=folder_metadata)
        else:
            raise InvalidValueError(f"a dump must end in .json, .pkl or .pickle: {name}")

    def dump_to_json(
        self,
        file_path: str | os.PathLike[str],
        relative_to: str | os.PathLike[str] | bool | None = None,
        include_extra_metadata: bool = True,
        include_properties: bool = False,
        include_annotations: bool = True,
        folder_metadata: str | os.PathLike[str] | None = None,
        *,
        strict: bool = False,
    ) -> None:
        """Write the dump dict to a JSON file; arguments as for `dump` and `to_dict`."""
        if not self.check_serializability("json"):
            raise ContractError(
                f"{type(self).__name__} cannot be dumped to JSON: its spikes lie in memory; "
                "save(folder=...) it first"
            )
        path = _dump_path(file_path, (".json",))
        dump = self.to_dict(
            include_annotations=include_annotations,
            include_properties=include_properties,
            relative_to=_relative_folder(path, relative_to),
            recursive=True,
            folder_metadata=folder_metadata,
        )
        _write(path, to_json(dump, strict).encode())

    def dump_to_pickle(
        self,
        file_path: str | os.PathLike[str],
        relative_to: str | os.PathLike[str] | bool | None = None,
        include_properties: bool = True,
        folder_metadata: str | os.PathLike[str] | None = None,
    ) -> None:
        """Write the dump dict to a pickle file; arguments as for `dump` and `to_dict`."""
        if not self.check_serializability("pickle"):
            raise ContractError(
                f"{type(self).__name__} cannot be dumped to a file: its spikes lie in memory; "
                "save(folder=...) it first"
            )
        path = _dump_path(file_path, (".pkl", ".pickle"))
        dump = self.to_dict(
            include_annotations=True,
            include_properties=include_properties,
            relative_to=_relative_folder(path, relative_to),
            recursive=True,
            folder_metadata=folder_metadata,
        )
        _write(path, pickle.dumps(dump))


def _is_sorting(value: object) -> bool:
    return isinstance(value, SortingDumps)


def _sortings_in(kwargs: dict[str, Any]) -> Iterator[SortingDumps]:
    for value in kwargs.values():
        inner = value.values() if isinstance(value, dict) else value
        for item in inner if isinstance(value, dict | list) else [value]:
            if isinstance(item, SortingDumps):
                yield item


def _dump_path(file_path: str | os.PathLike[str], suffixes: tuple[str, ...]) -> Path:
    """The path to write to, with a suffix, in a folder that exists."""
    path = Path(file_path)
    if not path.suffix:
        path = path.with_name(path.name + suffixes[0])
    if path.suffix not in suffixes:
        raise ContractError(f"the file's name must end in {' or '.join(suffixes)}: {path}")
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _write(path: Path, content: bytes) -> None:
    """Write a file aside, so that there is never half of one."""
    partial = path.with_name(f"{path.name}.partial")
    partial.write_bytes(content)
    os.replace(partial, path)


def _relative_folder(path: Path, relative_to: str | os.PathLike[str] | bool | None) -> Path | None:
    if relative_to is True:
        return path.parent
    return Path(relative_to) if relative_to else None
