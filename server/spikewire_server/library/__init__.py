"""Names to sortings: roots, store, catalogue, views."""

from __future__ import annotations

from .entry import AnnotationInfo, Entry, Origin, PropertyInfo, State
from .names import MAX_NAME_BYTES

__all__ = ["MAX_NAME_BYTES", "AnnotationInfo", "Entry", "Origin", "PropertyInfo", "State"]
