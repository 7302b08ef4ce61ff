"""Dump dicts for clients: what a sorting is made from, without a path of this machine."""

from __future__ import annotations

from typing import Any

from spikewire.core.dump import SortingReference
from spikewire_server.library.opener import Opener
from spikewire_server.library.sources import RootSource
from spikewire_server.library.view_nodes import Node, node_to_dump
from spikewire_server.library.views import ViewSource


def dump_of(opener: Opener, name: str) -> dict[str, Any]:
    """Return the dump dict of a sorting, with references pinned at their present revisions.

    A sorting of the store is made from nothing else: its dump is that of a remote sorting,
    which the client completes with the server's address.
    """
    source = opener.source(name)
    opened = opener.open_source(source)
    node: Node = SortingReference(name, opened.revision)
    if isinstance(source, RootSource):
        node = source.node()
    elif isinstance(source, ViewSource):
        node = source.node

    def pin(reference: SortingReference) -> SortingReference:
        revision = reference.revision or opener.open(reference.name).revision
        return SortingReference(reference.name, revision)

    dump = node_to_dump(pin(node) if isinstance(node, SortingReference) else node, pin)
    annotations, properties = opened.overlay.noted()
    return dump | {"annotations": annotations, "properties": properties}
