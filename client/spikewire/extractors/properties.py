"""The folder ``properties/`` of a saved sorting: one npy file for each key.

SpikeInterface stores a property of Python objects as a pickle. Such a file runs
code when it is loaded, so it is left alone unless the user says otherwise. What
we save ourselves has its values a second time, as JSON beside the pickle, and
comes back whole in both.
"""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from spikewire.core.dtypes import AnyArray
from spikewire.core.errors import FormatError, InvalidTypeError, UnsafeContentError
from spikewire.extractors.files import NpyFile
from spikewire.extractors.saving import check_file_names
from spikewire.extractors.texts import read_json_object


def check_properties(properties: Mapping[str, AnyArray]) -> None:
    """Check that `write_properties` can write everything.

    Raises
    ------
    InvalidNameError
        If a key cannot be the name of a file.
    InvalidTypeError
        If a property holds objects that JSON does not know.
    """
    check_file_names(properties)
    for key, values in properties.items():
        if values.dtype.hasobject:
            _object_values(key, values)


def write_properties(folder: Path, properties: Mapping[str, AnyArray]) -> None:
    """Write each property to ``<key>.npy``; raises as `check_properties` does."""
    check_properties(properties)
    folder.mkdir()
    for key, values in properties.items():
        np.save(folder / f"{key}.npy", values, allow_pickle=True)
        if values.dtype.hasobject:
            content = {"shape": values.shape, "values": _object_values(key, values)}
            (folder / f"{key}.json").write_text(json.dumps(content), encoding="utf-8")


def read_properties(
    folder: Path, num_units: int, *, allow_pickle: bool = False
) -> dict[str, AnyArray]:
    """Read every property of a folder, in the order of their names.

    Parameters
    ----------
    folder : Path
        The folder; there are no properties if it does not exist.
    num_units : int
        Length of the first axis of each property.
    allow_pickle : bool, default: False
        Unpickle properties of Python objects. A pickle can run any code: only for
        files that you made. Otherwise they are left out, with a warning.

    Raises
    ------
    FormatError
        If a file is damaged or a property is not of this length.
    """
    properties: dict[str, AnyArray] = {}
    for path in sorted(folder.glob("*.npy")):
        # macOS leaves "._x.npy" beside "x.npy" on drives of other systems.
        if path.name.startswith("."):
            continue
        values = _read(path, allow_pickle)
        if values is None:
            warnings.warn(
                f"the property {path.stem!r} is left out: {path} is a pickle, which can run any "
                "code; give allow_pickle=True if you trust it",
                stacklevel=3,
            )
        elif values.shape[:1] != (num_units,):
            raise FormatError(
                f"{path}: a property of {num_units} units cannot have the shape {values.shape}"
            )
        else:
            properties[path.stem] = values
    return properties


def _read(path: Path, allow_pickle: bool) -> AnyArray | None:
    """The values, or None if they are pickled and must not be unpickled."""
    try:
        return NpyFile(path).load()
    except UnsafeContentError:
        pass
    twin = path.with_suffix(".json")
    if twin.is_file():
        return _from_json(twin)
    if not allow_pickle:
        return None
    try:
        values: AnyArray = np.load(path, allow_pickle=True)
    except Exception as error:
        # A pickle can raise anything.
        raise FormatError(f"{path}: cannot be unpickled ({error})") from error
    return values


def _from_json(path: Path) -> AnyArray:
    content = read_json_object(path)
    shape, values = content.get("shape"), content.get("values")
    if (
        not isinstance(shape, list)
        or not isinstance(values, list)
        or any(type(length) is not int or length < 0 for length in shape)
        or math.prod(shape) != len(values)
    ):
        raise FormatError(f"{path}: the values of a property were expected")
    array = np.empty(len(values), dtype=object)
    for index, value in enumerate(values):  # at once, lists would become rows
        array[index] = value
    return array.reshape(shape)


def _object_values(key: str, values: AnyArray) -> list[Any]:
    if values.dtype != object:
        raise InvalidTypeError(
            f"the property {key!r} has a structured type with objects in it ({values.dtype}), "
            "which only a pickle could store"
        )
    return [_plain(key, value) for value in values.ravel()]


def _plain(key: str, value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, list):
        return [_plain(key, item) for item in value]
    if isinstance(value, dict) and all(isinstance(name, str) for name in value):
        return {name: _plain(key, item) for name, item in value.items()}
    raise InvalidTypeError(
        f"the property {key!r} holds a {type(value).__name__}, which only a pickle could store; "
        "make it text or numbers before saving"
    )
