"""pyfive, with a bound where it has none. Import only where the extra is needed."""

from __future__ import annotations

from typing import Any

import pyfive
from pyfive.dataobjects import DataObjects

__all__ = ["Dataset", "File", "Group", "is_boolean", "is_text"]

Dataset, Group = pyfive.Dataset, pyfive.Group


class _BoundedObjects(DataObjects):  # type: ignore[misc]
    """The description of a group or dataset."""

    def _attr_value(self, ptype: Any, buf: Any, count: int, offset: int) -> Any:
        # pyfive makes room for as many values as an attribute claims to have, and it
        # reads the attributes of whatever it looks at.
        if count > len(buf):
            raise ValueError(f"an attribute claims {count} values in {len(buf)} bytes")
        return super()._attr_value(ptype, buf, count, offset)


class File(pyfive.File):  # type: ignore[misc]
    """An HDF5 file that is read from an object with `read` and `seek`."""

    def _get_dataobjects(self, obj_addr: int) -> _BoundedObjects:
        found: _BoundedObjects | None = self._dataobjects_cache.get(obj_addr)
        if found is None:
            found = self._dataobjects_cache[obj_addr] = _BoundedObjects(
                self._fh,
                obj_addr,
                decode_strings=self.decode_strings,
                global_heaps=self._global_heaps,
            )
        return found


def is_text(dataset: Any) -> bool:
    """Whether a dataset holds strings."""
    return pyfive.check_string_dtype(dataset.dtype) is not None


def is_boolean(dataset: Any) -> bool:
    """Whether a dataset holds what others write for booleans, which HDF5 has none of."""
    names = pyfive.check_enum_dtype(dataset.dtype) or {}
    return set(names) == {"FALSE", "TRUE"}
