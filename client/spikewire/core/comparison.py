"""Whether two sortings are the same."""

from __future__ import annotations

from typing import Any

import numpy as np

from spikewire.core.errors import ContractError
from spikewire.core.sorting import BaseSorting


def check_sortings_equal(
    sorting1: BaseSorting,
    sorting2: BaseSorting,
    check_annotations: bool = False,
    check_properties: bool = False,
    check_exact_lexsort: bool = True,
) -> None:
    """Make sure that two sortings have the same units, sampling frequency, segments and spikes.

    Parameters
    ----------
    sorting1, sorting2 : BaseSorting
    check_annotations, check_properties : bool, default: False
        Compare these, too.
    check_exact_lexsort : bool, default: True
        Compare the order of spikes of the same sample, too.

    Raises
    ------
    ContractError
        If they differ; the message says in what.
    """
    _same("unit ids", sorting1.unit_ids.tolist(), sorting2.unit_ids.tolist())
    _same("sampling frequencies", sorting1.sampling_frequency, sorting2.sampling_frequency)
    _same("numbers of segments", sorting1.get_num_segments(), sorting2.get_num_segments())
    for index in range(sorting1.get_num_segments()):
        one, other = (np.stack(s.to_spike_columns(index)) for s in (sorting1, sorting2))
        _same(f"numbers of spikes in segment {index}", one.shape[1], other.shape[1])
        if not check_exact_lexsort:
            one, other = (columns[:, np.lexsort(columns[::-1])] for columns in (one, other))
        differing = np.flatnonzero((one != other).any(axis=0))
        if len(differing):
            first = differing[0]
            raise ContractError(
                f"{len(differing)} spikes of segment {index} differ, the first at {first}: "
                f"(sample, unit index) {one[:, first].tolist()} and {other[:, first].tolist()}"
            )
    if check_annotations:
        keys = sorted(sorting1.get_annotation_keys())
        _same("annotation keys", keys, sorted(sorting2.get_annotation_keys()))
        for key in keys:
            one, other = sorting1.get_annotation(key), sorting2.get_annotation(key)
            _same(f"annotations {key!r}", one, other)
    if check_properties:
        keys = sorted(sorting1.get_property_keys())
        _same("property keys", keys, sorted(sorting2.get_property_keys()))
        for key in keys:
            _same_arrays(key, sorting1.get_property(key), sorting2.get_property(key))


def _same(what: str, one: Any, other: Any) -> None:
    equal = one == other
    if not (equal.all() if isinstance(equal, np.ndarray) else equal):
        raise ContractError(f"{what} differ: {one!r} and {other!r}")


def _same_arrays(key: str, one: Any, other: Any) -> None:
    try:
        np.testing.assert_array_equal(one, other)
    except AssertionError as error:
        raise ContractError(f"properties {key!r} differ: {error}") from error
