"""Dump dicts: what a sorting is made from, in the form that SpikeInterface reads and writes."""

from __future__ import annotations

import datetime
import json
import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spikewire.core.errors import DumpError

#: The release of SpikeInterface whose dumps ours are like.
DIALECT = "0.105.3"
# What JSON has no numbers for, in strict dumps: the values of an object with this one key.
_FLOAT_KEY = "__float__"
_TAGGED_FLOATS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
#: How deep dumps, or the values in them, may be nested.
MAX_DEPTH = 100


@dataclass(frozen=True, slots=True)
class SortingReference:
    """A sorting on a server, inside a dump that goes to that server.

    Attributes
    ----------
    name : str
        The sorting's name there.
    revision : str
        The content that is meant; empty for whatever the name stands for.
    """

    name: str
    revision: str = ""


def class_path(sorting_class: type) -> str:
    """The path that dumps of a class name: its own `_dump_class`, else where it lies.

    An inherited `_dump_class` does not count: a subclass has other arguments.
    """
    own = vars(sorting_class).get("_dump_class")
    return own or f"{sorting_class.__module__}.{sorting_class.__qualname__}"


def is_dump(value: object) -> bool:
    """Whether a value inside a dump's kwargs stands for a sorting."""
    return isinstance(value, dict) and {"module", "class", "version", "annotations"} <= set(value)


def map_nested(value: Any, is_leaf: Callable[[Any], bool], change: Callable[[Any], Any]) -> Any:
    """`value` of kwargs with every leaf changed: itself, or those in its list or dict."""
    if is_leaf(value):
        return change(value)
    if isinstance(value, list):
        return [change(item) if is_leaf(item) else item for item in value]
    if isinstance(value, dict):
        return {key: change(item) if is_leaf(item) else item for key, item in value.items()}
    return value


def check_depth(value: Any) -> None:
    """Make sure that dicts and lists are not nested deeper than `MAX_DEPTH`.

    Raises
    ------
    DumpError
        If they are, or if one contains itself.
    """
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [inner for outer in level for inner in _inner(outer)]
        if not level:
            return
    raise DumpError(f"the dump is nested deeper than {MAX_DEPTH} levels")


def _inner(value: Any) -> list[Any]:
    values = value.values() if isinstance(value, dict) else value
    if not isinstance(value, dict | list | tuple):
        return []
    return [inner for inner in values if isinstance(inner, dict | list | tuple)]


def relative_to_folder(dump: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The dump with the paths of its kwargs relative to a folder, if all of them can be.

    A path is any text under a key that contains "path"; those of missing files stay.
    """
    paths = list(_paths(dump["kwargs"]))
    if not all(_can_be_relative(path, folder) for path in paths):
        return {**dump, "relative_paths": False}

    def relative(path: str) -> str:
        if not Path(path).exists():
            return path
        return Path(os.path.relpath(Path(path).resolve(), folder)).as_posix()

    return {**dump, "relative_paths": True, "kwargs": _map_paths(dump["kwargs"], relative)}


def absolute_from_folder(dump: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The dump with the paths of its kwargs, which are relative to a folder, absolute."""

    def absolute(path: str) -> str:
        resolved = (folder / path).resolve()
        return resolved.as_posix() if resolved.exists() else path

    return {**dump, "relative_paths": False, "kwargs": _map_paths(dump["kwargs"], absolute)}


def _map_paths(kwargs: Any, change: Callable[[str], str]) -> Any:
    """A copy of kwargs, and of the kwargs of nested dumps, with every path changed."""
    if not isinstance(kwargs, dict):
        return kwargs

    def inner(dump: dict[str, Any]) -> dict[str, Any]:
        return {**dump, "kwargs": _map_paths(dump.get("kwargs"), change)}

    return {
        key: change(value)
        if "path" in str(key) and isinstance(value, str)
        else map_nested(value, is_dump, inner)
        for key, value in kwargs.items()
    }


def _paths(kwargs: dict[str, Any]) -> Iterator[str]:
    found: list[str] = []

    def note(path: str) -> str:
        found.append(path)
        return path

    _map_paths(kwargs, note)
    return iter(found)


def _can_be_relative(path: str, folder: Path) -> bool:
    if "://" in path:
        return False
    try:
        os.path.relpath(Path(path).resolve(), folder)
    except ValueError:  # on Windows: another drive
        return False
    return True


class DumpEncoder(json.JSONEncoder):
    """JSON of dumps: numpy values as numbers, text and lists; sortings as their dumps."""

    def default(self, o: Any) -> Any:
        """What a value that JSON does not know is written as."""
        from spikewire.core.sorting import BaseSorting

        if isinstance(o, BaseSorting):
            return o.to_dict(recursive=True)
        if isinstance(o, np.ndarray):
            return o.tolist()
        if isinstance(o, np.generic):
            return o.item()
        if isinstance(o, np.dtype):
            return o.name
        if isinstance(o, type) and issubclass(o, np.generic):
            return np.dtype(o).name
        if isinstance(o, set | frozenset):
            return list(o)
        if isinstance(o, datetime.date):
            return o.isoformat()
        if isinstance(o, os.PathLike):
            return os.fspath(o)
        return super().default(o)

    def iterencode(self, o: Any, _one_shot: bool = False) -> Iterator[str]:
        """Encode, with keys of dicts made Python values first: JSON takes no numpy keys."""
        return super().iterencode(_python_keys(o), _one_shot)


def _python_keys(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key.item() if isinstance(key, np.generic) else key: _python_keys(inner)
            for key, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return [_python_keys(inner) for inner in value]
    return value


def to_json(dump: dict[str, Any], strict: bool = False) -> str:
    """The dump as text.

    Parameters
    ----------
    dump : dict
    strict : bool, default: False
        Write NaN and infinities as `{"__float__": "NaN"}` and so on, so that any parser
        of JSON (RFC 8259) takes the text; else bare, as SpikeInterface does.
    """
    text = json.dumps(dump, indent=4, cls=DumpEncoder)
    if not strict:
        return text
    numbers_tagged = json.loads(text, parse_constant=lambda name: {_FLOAT_KEY: name})
    return json.dumps(numbers_tagged, indent=4, allow_nan=False)


def from_json(text: str) -> Any:
    """What a text of `to_json` holds, strict or not.

    Raises
    ------
    ValueError, RecursionError
        If the text is not JSON, or nested too deeply.
    """
    return json.loads(text, object_hook=_tagged_number)


def _tagged_number(content: dict[str, Any]) -> dict[str, Any] | float:
    name = content.get(_FLOAT_KEY)
    if len(content) == 1 and isinstance(name, str) and name in _TAGGED_FLOATS:
        return _TAGGED_FLOATS[name]
    return content
