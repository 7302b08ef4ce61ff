"""Dump dicts and references to sortings <-> DumpDict and SortingReference."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from spikewire.core.dump import SortingReference, is_dump
from spikewire.core.errors import DumpError, InvalidTypeError, InvalidValueError
from spikewire.v1 import dump_pb2 as pb
from spikewire.wire.values import (
    array_from_proto,
    array_to_proto,
    entries_from_proto,
    entries_to_proto,
)

MAX_DUMP_DEPTH = 24
"""How deep dumps nest at most, the outermost one counted."""


def dump_to_proto(dump: Mapping[str, Any]) -> pb.DumpDict:
    """Make a DumpDict of a dump dict.

    Parameters
    ----------
    dump : mapping
        What ``to_dict(recursive=True)`` returns. Arguments may hold nested
        dumps, lists and dicts of them, and `SortingReference`.

    Raises
    ------
    DumpError
        The dump lacks class or kwargs, nests too deep, or holds something that
        cannot be sent.
    """
    try:
        return _dump_to_proto(dump, 1, 0)
    except (InvalidTypeError, InvalidValueError) as error:
        raise DumpError(f"the dump cannot be sent: {error}") from error


def dump_from_proto(proto: pb.DumpDict) -> dict[str, Any]:
    """Return the dump dict that a DumpDict means.

    Returns
    -------
    dict
        With the keys class, module, kwargs, version, annotations, properties
        and relative_paths (False); arguments may hold nested dumps and
        `SortingReference`.

    Raises
    ------
    DumpError
        The dump nests too deep.
    MalformedMessageError
        A value in it is not legal.
    """
    return _dump_from_proto(proto, 1)


def _dump_to_proto(dump: Mapping[str, Any], dumps: int, depth: int) -> pb.DumpDict:
    _check_depth(dumps)
    class_name, kwargs = dump.get("class"), dump.get("kwargs")
    if not isinstance(class_name, str) or not isinstance(kwargs, Mapping):
        raise DumpError("a dump must have a text under 'class' and a dict under 'kwargs'")

    def nested(value: Any, depth: int) -> pb.Value | None:
        if isinstance(value, SortingReference):
            reference = pb.SortingReference(name=value.name, revision=value.revision or "")
            return pb.Value(sorting_value=reference)
        if is_dump(value):
            return pb.Value(dump_value=_dump_to_proto(value, dumps + 1, depth + 1))
        return None

    return pb.DumpDict(
        class_name=class_name,
        kwargs=entries_to_proto(kwargs, depth + 1, nested),
        annotations=entries_to_proto(dump.get("annotations") or {}, depth + 1),
        properties=[
            pb.PropertyEntry(key=key, values=array_to_proto(np.asarray(values), depth + 2))
            for key, values in (dump.get("properties") or {}).items()
            if values is not None  # how dumps say that a main property is not set
        ],
        version=str(dump.get("version", "")),
    )


def _dump_from_proto(proto: pb.DumpDict, dumps: int) -> dict[str, Any]:
    _check_depth(dumps)

    def nested(value: pb.Value) -> Any:
        if value.HasField("sorting_value"):
            reference = value.sorting_value
            return SortingReference(reference.name, reference.revision)
        return _dump_from_proto(value.dump_value, dumps + 1)

    return {
        "class": proto.class_name,
        "module": proto.class_name.partition(".")[0],
        "kwargs": entries_from_proto(proto.kwargs, nested),
        "version": proto.version,
        "annotations": entries_from_proto(proto.annotations),
        "properties": {entry.key: array_from_proto(entry.values) for entry in proto.properties},
        "relative_paths": False,
    }


def _check_depth(dumps: int) -> None:
    if dumps > MAX_DUMP_DEPTH:
        raise DumpError(f"the dump nests more than {MAX_DUMP_DEPTH} deep")
