"""Views: sortings that are made from others whenever they are read."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Protocol

import numpy as np

from spikewire.core.aggregation import UnitsAggregationSorting
from spikewire.core.dtypes import SPIKE_DTYPE, read_only
from spikewire.core.dump import SortingReference, class_path, map_nested
from spikewire.core.errors import (
    ContentChangedError,
    DumpError,
    FormatError,
    LimitExceededError,
    NeedsSamplingFrequencyError,
    SpikewireError,
)
from spikewire.core.segment import SpikeVectorSortingSegment
from spikewire.core.sorting import BaseSorting
from spikewire.core.unit_ids import of_one_dtype
from spikewire.extractors.tables import MAX_SEGMENTS
from spikewire.v1 import dump_pb2
from spikewire.wire.dumps import dump_from_proto
from spikewire.wire.errors import with_metadata
from spikewire.wire.values import value_to_proto
from spikewire_server.library.catalogue import SortingRow
from spikewire_server.library.entry import Origin
from spikewire_server.library.facts import Facts, Look, facts_of
from spikewire_server.library.opened import OpenedSorting
from spikewire_server.library.revision import digest
from spikewire_server.library.view_nodes import (
    Node,
    ReaderNode,
    ViewNode,
    class_path_of,
    is_node,
    parents_of,
    parse_dump,
)

# Of all parents of one view together.
_MAX_PARENT_UNITS = 1 << 20


_NO_SPIKES = np.empty(0, SPIKE_DTYPE)
_MAX_DIGITS = 19  # of the number of a record


class Resolver(Protocol):
    """Opens what a view is made from, the same every time."""

    def open(self, name: str, revision: str) -> OpenedSorting:
        """Open a sorting by name, of a revision if one is given."""

    def open_as(self, node: ReaderNode) -> OpenedSorting:
        """Open a sorting below a root with a reader that a client chose."""


class BrokenViewError(FormatError):
    """A view cannot be made of what it is made from.

    Parameters
    ----------
    name : str
        The view.
    reason : SpikewireError
        What went wrong, however many views below.
    """

    def __init__(self, name: str, reason: SpikewireError) -> None:
        super().__init__(f"{name!r} is a view that cannot be made now: {reason}")
        self.reason = reason


class ViewSource:
    """A view.

    Parameters
    ----------
    name : str
        Its name.
    node : ViewNode or ReaderNode
        What it is made from.
    update_time : datetime
        When it was registered.
    resolver : Resolver
        Opens its parents.
    """

    origin = Origin.VIEW

    def __init__(
        self,
        name: str,
        node: Node,
        update_time: datetime,
        resolver: Resolver,
    ) -> None:
        self.name = name
        self.node = node
        self.class_name = class_path_of(node).rpartition(".")[2]
        self._update_time = update_time
        self._resolver = resolver

    def look(self) -> Look:
        """Look at the parents."""
        with self.in_its_name():
            look = _look(self.node, self._resolver)
        if not isinstance(self.node, ViewNode):
            # Another name for a sorting has a revision of its own: under one key, its spikes
            # would wait in the cache for themselves.
            identity = digest("view", class_path_of(self.node), look.identity)
            look = look._replace(spikes=_revision(identity, look.pins))
        return look._replace(update_time=max(self._update_time, look.update_time))

    def facts(self, look: Look) -> Facts:
        """Evaluate the view."""
        facts = facts_of(self.read(), look.spikes, look.labels)
        return replace(facts, class_name=self.class_name)

    def spikes(self, segment_index: int) -> None:
        """Return no way of its own: the view is evaluated."""

    def read(self) -> BaseSorting:
        """Evaluate the view; its spikes come from the parents as they are asked for."""
        with self.in_its_name():
            return evaluate(self.node, self._resolver)

    @contextmanager
    def in_its_name(self) -> Iterator[None]:
        """Say that the view is broken by what its parents, or its arguments, raise."""
        try:
            yield
        except (ContentChangedError, NeedsSamplingFrequencyError):
            raise
        except SpikewireError as error:
            reason = error.reason if isinstance(error, BrokenViewError) else error
            raise with_metadata(BrokenViewError(self.name, reason), name=self.name) from error


def node_of(row: SortingRow) -> Node:
    """Return what a view in the catalogue is made from."""
    return parse_dump(dump_from_proto(dump_pb2.DumpDict.FromString(row.dump or b"")))


def shown_side_by_side(node: Node) -> list[str] | None:
    """Return the names of the sortings whose units a view shows, in order, as they are now.

    Returns
    -------
    list of str or None
        None for a view of another kind, or one that is pinned or gives units other ids.
    """
    if not isinstance(node, ViewNode) or node.view is not UnitsAggregationSorting:
        return None
    names = []
    for parent in parents_of(node):
        if not isinstance(parent, SortingReference) or parent.revision:
            return None
        names.append(parent.name)
    return None if node.kwargs.get("renamed_unit_ids") is not None else names


def evaluate(node: Node, resolver: Resolver) -> BaseSorting:
    """Make a sorting of a node.

    Raises
    ------
    SpikewireError
        What opening a parent raises, and what the view raises for its arguments.
    DumpError
        If the view cannot take its arguments at all.
    """
    if isinstance(node, SortingReference):
        return resolver.open(node.name, node.revision).sorting
    if isinstance(node, ReaderNode):
        sorting = resolver.open_as(node).sorting
    else:
        sorting = _make(node, lambda parent: evaluate(parent, resolver))
    for key, value in node.annotations.items():
        sorting.set_annotation(key, value, overwrite=True)
    for key, value in node.properties.items():
        sorting.set_property(key, np.asarray(value))
    return sorting


def _make(node: ViewNode, evaluate_parent: Callable[[Node], BaseSorting]) -> BaseSorting:
    parents: list[BaseSorting] = []

    def made(parent: Node) -> BaseSorting:
        parents.append(evaluate_parent(parent))
        return parents[-1]

    kwargs = {key: map_nested(value, is_node, made) for key, value in node.kwargs.items()}
    # Views of many parents add up what they have; views of these again, and so on.
    segments = sum(parent.get_num_segments() for parent in parents)
    units = sum(parent.get_num_units() for parent in parents)
    if segments > MAX_SEGMENTS or units > _MAX_PARENT_UNITS:
        raise LimitExceededError(
            f"a {node.view.__name__} of {units} units and {segments} segments is too large; a "
            f"view may be of {_MAX_PARENT_UNITS} and {MAX_SEGMENTS}"
        )
    if node.view is UnitsAggregationSorting:
        _even_out(parents)
    try:
        return node.view(**kwargs)
    except SpikewireError:
        raise
    except Exception as error:  # arguments of any type meet code that expects some
        raise DumpError(
            f"{node.view.__name__} cannot be made of these arguments: {error}"
        ) from error


def _even_out(sortings: list[BaseSorting]) -> None:
    """Give sortings equally many segments, and ids of one dtype, as rigs may have in the end."""
    for sorting, ids in zip(
        sortings, of_one_dtype([sorting.unit_ids for sorting in sortings]), strict=True
    ):
        sorting._main_ids = read_only(ids)
    count = max(sorting.get_num_segments() for sorting in sortings)
    if count * len(sortings) > MAX_SEGMENTS:
        return  # refused if they differ
    for sorting in sortings:
        while sorting.get_num_segments() < count:
            sorting.add_sorting_segment(SpikeVectorSortingSegment(_NO_SPIKES, 0))


def _look(node: Node, resolver: Resolver) -> Look:
    if isinstance(node, SortingReference):
        opened = resolver.open(node.name, node.revision)
        look = opened.look._replace(labels=opened.overlay.stamp())
        return look._replace(pins={}, is_recording=False) if node.revision else look
    metadata = _serialized(value_to_proto([dict(node.annotations), dict(node.properties)]))
    if isinstance(node, ReaderNode):
        opened = resolver.open_as(node)
        return opened.look._replace(labels=digest("labels", metadata, opened.overlay.stamp()))
    looks: list[Look] = []

    def revision_of(parent: Node) -> SortingReference:
        looks.append(_look(parent, resolver))
        return SortingReference("", looks[-1].identity)

    kwargs = {key: map_nested(value, is_node, revision_of) for key, value in node.kwargs.items()}
    arguments = value_to_proto(kwargs, 0, _reference_to_proto)
    pins = {name: last for look in looks for name, last in look.pins.items()}
    identity = digest("view", class_path(node.view), _serialized(arguments))
    return Look(
        spikes=_revision(identity, pins),
        labels=digest("labels", metadata, *(look.labels for look in looks)),
        settled=all(look.settled for look in looks),
        update_time=max(look.update_time for look in looks),
        watched=dict(ChainMap(*(dict(look.watched) for look in looks))),
        pins=pins,
        is_recording=any(look.is_recording for look in looks),
    )


def pins_at(revision: str, look: Look) -> Mapping[str, int] | None:
    """Return up to which records a view was made of recordings, by what it is made of now.

    Returns
    -------
    mapping or None
        None if the revision is of something else.
    """
    identity, _, positions = revision.partition(".")
    numbers = positions.split("-")
    if identity != look.identity or len(numbers) != len(look.pins):
        return None
    if not all(number.isascii() and number.isdecimal() for number in numbers):
        return None
    if max(map(len, numbers)) > _MAX_DIGITS:
        return None
    return dict(zip(look.pins, map(int, numbers), strict=True))


def _revision(identity: str, pins: Mapping[str, int]) -> str:
    """Return a revision that says itself up to which records recordings count.

    So who pinned it can be served as long as their logs are kept, by any server.
    """
    return f"{identity}.{'-'.join(map(str, pins.values()))}" if pins else identity


def _reference_to_proto(value: object, _depth: int) -> dump_pb2.Value | None:
    if not isinstance(value, SortingReference):
        return None
    return dump_pb2.Value(sorting_value=dump_pb2.SortingReference(revision=value.revision))


def _serialized(value: dump_pb2.Value) -> bytes:
    return value.SerializeToString(deterministic=True)
