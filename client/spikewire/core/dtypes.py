"""Array types that the whole package shares."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

#: One spike of a spike vector; `unit_index` is the position in `unit_ids`.
minimum_spike_dtype = [
    ("sample_index", "int64"),
    ("unit_index", "int64"),
    ("segment_index", "int64"),
]

#: A stretch of a segment, end exclusive.
base_period_dtype = [
    ("segment_index", "int64"),
    ("start_sample_index", "int64"),
    ("end_sample_index", "int64"),
]

#: A stretch of one unit in a segment, end exclusive.
unit_period_dtype = [*base_period_dtype, ("unit_index", "int64")]

SPIKE_DTYPE = np.dtype(minimum_spike_dtype)

IntArray: TypeAlias = NDArray[np.int64]
FloatArray: TypeAlias = NDArray[np.float64]
#: An array of `minimum_spike_dtype`, ordered by segment, then sample.
SpikeVector: TypeAlias = NDArray[np.void]
AnyArray: TypeAlias = NDArray[Any]
UnitId: TypeAlias = int | str | bytes | np.generic


def read_only(array: NDArray[Any]) -> NDArray[Any]:
    """A view of `array` that cannot be written to; `array` itself stays as it is."""
    if not array.flags.writeable:
        return array
    view = array.view()
    view.flags.writeable = False
    return view
