"""Names to sortings: roots, store, catalogue, views."""

from __future__ import annotations

from spikewire_server.library.entry import AnnotationInfo, Entry, Origin, PropertyInfo, State
from spikewire_server.library.library import Library
from spikewire_server.library.opened import OpenedSorting
from spikewire_server.library.upload import Upload

__all__ = [
    "AnnotationInfo",
    "Entry",
    "Library",
    "OpenedSorting",
    "Origin",
    "PropertyInfo",
    "State",
    "Upload",
]
