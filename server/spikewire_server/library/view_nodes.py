"""Dump dicts of clients, read without trusting a word of them.

A dump may name three things only: classes that are listed here, sortings of this server,
and plain values. What looks like a path is the name of a sorting below a root. Nothing in a
dump is imported, executed, dialled or opened.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from spikewire.core.aggregation import UnitsAggregationSorting
from spikewire.core.concatenation import ConcatenateSegmentSorting
from spikewire.core.dump import DIALECT, SortingReference, class_path, map_nested
from spikewire.core.errors import DumpError, InvalidNameError, UnknownClassError
from spikewire.core.registry import resolve_class
from spikewire.core.segments_views import AppendSegmentSorting, SelectSegmentSorting
from spikewire.core.slicing import FrameSliceSorting
from spikewire.core.sorting import BaseSorting
from spikewire.core.units_selection import UnitsSelectionSorting
from spikewire.curation import MergeUnitsSorting, RemoveDuplicatedSpikesSorting, SplitUnitSorting
from spikewire.extractors import KiloSortSortingExtractor
from spikewire.extractors.formats import FORMATS
from spikewire.extractors.tables import MAX_SEGMENTS
from spikewire.wire.dumps import MAX_DUMP_DEPTH
from spikewire.wire.errors import with_metadata
from spikewire_server.library.names import check_name
from spikewire_server.library.reader_options import reader_options

# Classes that are safe with any arguments, their parents being nodes. One that attaches to
# memory, opens files or takes objects (recordings, too) has no place here.
_VIEWS: tuple[type[BaseSorting], ...] = (
    AppendSegmentSorting,
    ConcatenateSegmentSorting,
    FrameSliceSorting,
    MergeUnitsSorting,
    RemoveDuplicatedSpikesSorting,
    SelectSegmentSorting,
    SplitUnitSorting,
    UnitsAggregationSorting,
    UnitsSelectionSorting,
)
_READERS = (*(format_.extractor for format_ in FORMATS), KiloSortSortingExtractor)
# Each is opened when the view is made: about a millisecond.
_MAX_NODES = 2000
# What a remote sorting calls itself in dumps.
_REMOTE_CLASS = "spikewire.bridges.spikeinterface.RemoteSorting"


@dataclass(frozen=True)
class ReaderNode:
    """A sorting below a root, read by a class that a client chose."""

    reader: type[BaseSorting]
    path_key: str
    """What the reader calls its path."""
    name: str
    options: Mapping[str, Any]
    annotations: Mapping[str, Any] = field(default_factory=dict)
    properties: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ViewNode:
    """A view of other nodes."""

    view: type[BaseSorting]
    kwargs: Mapping[str, Any]
    """Its arguments; parents are nodes, alone or in a list or dict."""
    annotations: Mapping[str, Any] = field(default_factory=dict)
    properties: Mapping[str, Any] = field(default_factory=dict)


Node: TypeAlias = ViewNode | ReaderNode | SortingReference


def is_node(value: object) -> bool:
    """Return whether an argument is a node."""
    return isinstance(value, ViewNode | ReaderNode | SortingReference)


def parse_dump(dump: object) -> Node:
    """Return what a dump dict means.

    Raises
    ------
    UnknownClassError
        If it names a class that is none of ours.
    DumpError
        If it is malformed, too large or nests too deep, or names a path, an address or
        another server.
    """
    node = _parse(dump, 1)
    if _count(node) > _MAX_NODES:
        raise DumpError(f"a dump names at most {_MAX_NODES} sortings")
    return node


def _parse(dump: object, depth: int) -> Node:
    if isinstance(dump, SortingReference):
        return SortingReference(_name(dump.name, "a reference"), str(dump.revision or ""))
    if depth > MAX_DUMP_DEPTH:
        raise DumpError(f"the dump nests more than {MAX_DUMP_DEPTH} deep")
    if not isinstance(dump, Mapping):
        raise DumpError(f"a dump is a dict, not {type(dump).__name__}")
    class_name, kwargs = dump.get("class"), dump.get("kwargs")
    if not isinstance(class_name, str) or not _is_texted(kwargs):
        raise DumpError("a dump has a text under 'class' and a dict under 'kwargs'")
    assert isinstance(kwargs, Mapping)
    if class_name == _REMOTE_CLASS:
        return _reference(kwargs)
    try:
        sorting_class = resolve_class(class_name)
    except UnknownClassError as error:
        raise with_metadata(error, **{"class": class_name}) from None
    annotations, properties = metadata_in(dump)
    if sorting_class in _READERS:
        return _reader(sorting_class, kwargs, annotations, properties)
    if sorting_class in _VIEWS:
        parents = _parents(sorting_class, kwargs, depth)
        return ViewNode(sorting_class, parents, annotations, properties)
    raise with_metadata(
        UnknownClassError(
            f"a server does not make {sorting_class.__name__}s from dumps; upload the sorting"
        ),
        **{"class": class_name},
    )


def metadata_in(dump: Mapping[str, Any]) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Return the annotations and the properties that a dump lays on its sorting.

    Raises
    ------
    DumpError
        If they are malformed.
    """
    annotations, properties = dump.get("annotations") or {}, dump.get("properties") or {}
    if not _is_texted(annotations) or not _is_texted(properties):
        raise DumpError("the annotations and properties of a dump are dicts with text keys")
    return annotations, {key: values for key, values in properties.items() if values is not None}


def node_to_dump(
    node: Node, pin: Callable[[SortingReference], SortingReference] = lambda reference: reference
) -> dict[str, Any]:
    """Return the dump dict that means a node.

    Parameters
    ----------
    node : Node
        A reference has no dump of its own, and gets that of a remote sorting.
    pin : callable
        Gives for every reference to a parent what shall stand in its place.
    """

    def nested(parent: Node) -> SortingReference | dict[str, Any]:
        return pin(parent) if isinstance(parent, SortingReference) else node_to_dump(parent, pin)

    kwargs: dict[str, Any]
    annotations: Mapping[str, Any] = {}
    properties: Mapping[str, Any] = {}
    if isinstance(node, SortingReference):
        kwargs = {"name": node.name, "revision": node.revision}
    else:
        annotations, properties = node.annotations, node.properties
        if isinstance(node, ReaderNode):
            kwargs = {node.path_key: node.name, **node.options}
        else:
            kwargs = {key: map_nested(value, is_node, nested) for key, value in node.kwargs.items()}
    path = class_path_of(node)
    return {
        "class": path,
        "module": path.partition(".")[0],
        "kwargs": kwargs,
        "version": DIALECT,
        "annotations": dict(annotations),
        "properties": dict(properties),
        "relative_paths": False,
    }


def class_path_of(node: Node) -> str:
    """Return the path that dumps name the class of a node by."""
    if isinstance(node, SortingReference):
        return _REMOTE_CLASS
    return class_path(node.reader if isinstance(node, ReaderNode) else node.view)


def _count(node: Node) -> int:
    return 1 + sum(map(_count, parents_of(node)))


def nesting(node: Node) -> int:
    """Return how deep a node nests: 1 without parents of its own."""
    return 1 + max(map(nesting, parents_of(node)), default=0)


def parents_of(node: Node) -> Iterator[Node]:
    """Yield the parents of a node, in the order of its arguments."""
    if not isinstance(node, ViewNode):
        return
    found: list[Node] = []
    for value in node.kwargs.values():
        map_nested(value, is_node, found.append)
    yield from found


def names_as_they_are(node: Node) -> Iterator[str]:
    """Yield the names that a node refers to without saying of which revision."""
    if not isinstance(node, SortingReference):
        for parent in parents_of(node):
            yield from names_as_they_are(parent)
    elif not node.revision:
        yield node.name


def _reference(kwargs: Mapping[str, Any]) -> SortingReference:
    if kwargs.get("target"):
        raise DumpError(
            "the dump names a sorting of a server by its address; this server dials nobody: "
            "refer to its own sortings by name, and upload those of others"
        )
    return SortingReference(
        _name(kwargs.get("name"), "a reference"), str(kwargs.get("revision") or "")
    )


def _reader(
    reader: type[BaseSorting],
    kwargs: Mapping[str, Any],
    annotations: Mapping[str, Any],
    properties: Mapping[str, Any],
) -> ReaderNode:
    kwargs = reader._kwargs_of_dump(dict(kwargs))
    options = reader_options(kwargs)
    paths = [
        key
        for key in kwargs.keys() - options.keys()
        if "path" in key.lower() and kwargs[key] is not None
    ]
    if len(paths) != 1:
        raise DumpError(f"a dump of {reader.__name__} names {len(paths)} paths instead of one")
    if unknown := options.keys() - inspect.signature(reader).parameters.keys():
        raise DumpError(f"{reader.__name__} takes no {min(unknown)!r}")
    for key in kwargs.keys() - options.keys() - {paths[0]}:
        if kwargs[key] is not None and kwargs[key] is not False:
            raise DumpError(f"a server lets nobody choose {key!r} of {reader.__name__}")
    name = _name(kwargs[paths[0]], paths[0])
    return ReaderNode(reader, paths[0], name, options, annotations, properties)


def _parents(view: type[BaseSorting], kwargs: Mapping[str, Any], depth: int) -> Mapping[str, Any]:
    """Return the arguments of a view with its parents parsed."""
    found: list[Node] = []

    def parse(dump: object) -> Node:
        found.append(_parse(dump, depth + 1))
        return found[-1]

    for key in kwargs:
        if "path" in key.lower():
            raise DumpError(f"{view.__name__} takes no path, but the dump has {key!r}")
    parsed = {key: map_nested(value, _is_nested, parse) for key, value in kwargs.items()}
    if not found:
        raise DumpError(f"a dump of {view.__name__} names no sorting that it is a view of")
    if view is RemoveDuplicatedSpikesSorting and kwargs.get("method") == "random":
        raise DumpError("a server finds no random duplicates: nothing bounds how long that takes")
    if view is SelectSegmentSorting and _size(kwargs.get("segment_indices")) > MAX_SEGMENTS:
        raise DumpError(f"a sorting has at most {MAX_SEGMENTS} segments")
    return parsed


def _name(value: object, where: str) -> str:
    try:
        if isinstance(value, str):
            return check_name(value)
    except InvalidNameError as error:
        raise DumpError(f"{where} in the dump is no name of a sorting: {error}") from error
    raise DumpError(f"{where} in the dump is no name of a sorting, but {type(value).__name__}")


def _is_nested(value: object) -> bool:
    return isinstance(value, SortingReference) or (isinstance(value, Mapping) and "class" in value)


def _is_texted(value: object) -> bool:
    return isinstance(value, Mapping) and all(isinstance(key, str) for key in value)


def _size(value: object) -> int:
    if isinstance(value, np.ndarray):
        return value.size
    return len(value) if isinstance(value, list) else 1
