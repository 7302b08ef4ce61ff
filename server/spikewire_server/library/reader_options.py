"""Which arguments of readers clients may choose, and what they may be."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

Check: TypeAlias = Callable[[object], bool]


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_flag(value: object) -> bool:
    return isinstance(value, bool)


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return _is_integer(value) or (isinstance(value, float) and math.isfinite(value))


def _are_texts(value: object) -> bool:
    return _is_text(value) or (isinstance(value, list) and all(map(_is_text, value)))


def _are_integers(value: object) -> bool:
    return isinstance(value, list) and all(map(_is_integer, value))


# They choose among what the files hold. How a file is opened (mapped, unpickled, with whose
# credentials) is the server's affair, and so is which files are: what is looked at for
# changes are the files that the format has by default.
_CHECKS: Mapping[str, Check] = {
    "chan_grp": _is_integer,
    "electrical_series_path": _is_text,  # a place inside the file
    "exclude_cluster_groups": _are_texts,
    "exclude_shanks": _are_integers,
    "keep_good_only": _is_flag,
    "keep_mua_units": _is_flag,
    "load_all_cluster_properties": _is_flag,
    "load_unit_properties": _is_flag,
    "remove_empty_units": _is_flag,
    "sampling_frequency": _is_number,
    "sampling_frequency_raw": _is_number,
    "t_start": _is_number,
    "unit_table_path": _is_text,  # a place inside the file
}


def reader_options(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return those arguments of a reader that clients may choose."""
    return {
        key: value for key, value in arguments.items() if key in _CHECKS and _CHECKS[key](value)
    }
