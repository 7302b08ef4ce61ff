"""Dump dicts of a client <-> dump dicts of a server, in which its sortings are references."""

from __future__ import annotations

from typing import Any

from spikewire.core.dump import DIALECT, SortingReference, is_dump, map_nested
from spikewire.core.errors import DumpError
from spikewire.remote.target import Target, parse_target

DUMP_CLASS = "spikewire.bridges.spikeinterface.RemoteSorting"
"""The class path that dumps name a remote sorting by, for ever."""

_MAX_DEPTH = 100  # the wire sets a lower limit; this one only keeps cyclic dumps from a crash


def to_server(dump: dict[str, Any], server: Target, depth: int = 0) -> dict[str, Any]:
    """Return a dump in which sortings of the server stand by name.

    Raises
    ------
    DumpError
        The dump refers to a sorting of another server, or nests without end.
    """
    if depth > _MAX_DEPTH:
        raise DumpError("the dump nests too deep")
    if dump.get("class") == DUMP_CLASS:
        reference = _reference(dump, server)
        return {**dump, "kwargs": {"name": reference.name, "revision": reference.revision}}

    def nested(inner: dict[str, Any]) -> SortingReference | dict[str, Any]:
        if inner.get("class") == DUMP_CLASS:
            return _reference(inner, server)
        return to_server(inner, server, depth + 1)

    kwargs = dump.get("kwargs")
    if not isinstance(kwargs, dict):
        raise DumpError("a dump must have a dict under 'kwargs'")
    return {
        **dump,
        "kwargs": {key: map_nested(value, is_dump, nested) for key, value in kwargs.items()},
    }


def from_server(dump: dict[str, Any], server: Target) -> dict[str, Any]:
    """Return a dump of the server's in a form that loads here: names get the address."""
    kwargs = {
        key: map_nested(value, _is_nested, lambda inner: _from_server(inner, server))
        for key, value in dump["kwargs"].items()
    }
    if dump["class"] == DUMP_CLASS:
        kwargs = {"target": str(server), **kwargs}
    return {**dump, "kwargs": kwargs}


def _from_server(value: Any, server: Target) -> dict[str, Any]:
    if isinstance(value, SortingReference):
        value = {
            "class": DUMP_CLASS,
            "module": DUMP_CLASS.partition(".")[0],
            "kwargs": {"name": value.name, "revision": value.revision or None},
            "version": DIALECT,
            "annotations": {},
            "properties": {},
            "relative_paths": False,
        }
    return from_server(value, server)


def _is_nested(value: Any) -> bool:
    return isinstance(value, SortingReference) or is_dump(value)


def _reference(dump: dict[str, Any], server: Target) -> SortingReference:
    kwargs = dump.get("kwargs")
    if not isinstance(kwargs, dict) or not isinstance(kwargs.get("name"), str):
        raise DumpError("the dump of a remote sorting does not say its name")
    target = kwargs.get("target")
    if target and not parse_target(target).is_same_server(server):
        raise DumpError(
            f"{kwargs['name']!r} lies on another server, {target}: upload it to {server} first"
        )
    return SortingReference(kwargs["name"], kwargs.get("revision") or "")
