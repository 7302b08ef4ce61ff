"""Names to sortings: roots, store, catalogue, views."""

from __future__ import annotations

from .entry import AnnotationInfo, Entry, Origin, PropertyInfo, State
from .library import Library
from .opened import OpenedSorting
from .upload import Upload

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
