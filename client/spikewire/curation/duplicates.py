"""Spikes that were detected twice."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from spikewire.core.bounds import window
from spikewire.core.dtypes import AnyArray, IntArray, UnitId
from spikewire.core.errors import ContractError, InvalidValueError
from spikewire.core.registry import register_class
from spikewire.core.segment import BaseSortingSegment
from spikewire.core.sorting import BaseSorting
from spikewire.curation.new_units import carry_over

_METHODS = ("keep_first", "keep_last", "keep_first_iterative", "keep_last_iterative", "random")


def find_duplicated_spikes(
    spike_train: AnyArray, censored_period: int, method: str = "random", seed: int | None = None
) -> IntArray:
    """Which spikes are to be left out so that none lie too close together.

    Parameters
    ----------
    spike_train : int64, (spikes,), ascending
    censored_period : int
        Spikes up to so many frames apart are duplicates.
    method : str
        "keep_first" leaves out every spike that follows another one too closely,
        "keep_last" every one that is followed; "keep_first_iterative" and
        "keep_last_iterative" count only spikes that are kept; "random" leaves out
        random ones, until none are too close.
    seed : int, optional
        Needed for "random".

    Returns
    -------
    int64, (duplicates,)
        Positions in the train.

    Raises
    ------
    InvalidValueError
        If the method is unknown.
    ContractError
        If the seed is missing.
    """
    train = np.asarray(spike_train, dtype=np.int64)
    (close,) = np.nonzero(np.diff(train) <= censored_period)
    if method == "keep_first":
        return close + 1
    if method == "keep_last":
        return close
    if method == "keep_first_iterative":
        return _left_out(train, censored_period)
    if method == "keep_last_iterative":
        return len(train) - 1 - _left_out(-train[::-1], censored_period)[::-1]
    if method != "random":
        raise InvalidValueError(f"method {method!r} is not one of {', '.join(_METHODS)}")
    if seed is None:
        raise ContractError("method 'random' needs a seed")
    rng = np.random.default_rng(seed)
    candidates = np.unique(np.concatenate([close, close + 1]))
    chosen: list[int] = []
    while np.any(np.diff(np.delete(train, chosen)) <= censored_period):
        chosen.append(int(rng.choice(candidates)))
    return np.array(chosen, dtype=np.int64)


def _left_out(train: IntArray, censored_period: int) -> IntArray:
    """What lies too close after a spike that is kept."""
    left_out = np.ones(len(train), dtype=bool)
    position = 0
    while position < len(train):
        left_out[position] = False
        position = int(np.searchsorted(train, train[position] + censored_period, side="right"))
    return np.flatnonzero(left_out)


class RemoveDuplicatedSpikesSorting(BaseSorting):
    """A view without the spikes of a unit that lie too close together.

    Parameters
    ----------
    sorting : BaseSorting
    censored_period_ms : float, default: 0.3
        Spikes up to this far apart are duplicates.
    method : str, default: "keep_first"
        Which are left out; see `find_duplicated_spikes`.
    """

    _dump_class = "spikeinterface.curation.remove_duplicated_spikes.RemoveDuplicatedSpikesSorting"

    def __init__(
        self, sorting: BaseSorting, censored_period_ms: float = 0.3, method: str = "keep_first"
    ) -> None:
        if method not in _METHODS:
            raise InvalidValueError(f"method {method!r} is not one of {', '.join(_METHODS)}")
        super().__init__(sorting.sampling_frequency, sorting.unit_ids)
        self._parent = sorting
        period = round(censored_period_ms * 1e-3 * sorting.sampling_frequency)
        for index in range(sorting.get_num_segments()):
            self.add_sorting_segment(_CensoredSegment(sorting, index, period, method))
        carry_over(sorting, self, {})
        self._kwargs = {
            "sorting": sorting,
            "censored_period_ms": censored_period_ms,
            "method": method,
        }


class _CensoredSegment(BaseSortingSegment):
    """One segment of the view; which spikes go depends on whole trains."""

    def __init__(self, parent: BaseSorting, segment_index: int, period: int, method: str) -> None:
        super().__init__()
        self._parent = parent
        self._segment_index = segment_index
        self._period = period
        self._method = method

    def get_unit_spike_trains(
        self,
        unit_ids: Sequence[UnitId] | AnyArray,
        start_frame: int | None = None,
        end_frame: int | None = None,
    ) -> list[IntArray]:
        """The trains of several units, in the order of `unit_ids`."""
        indices = [self._parent.id_to_index(unit_id) for unit_id in unit_ids]
        trains = self._parent._get_trains(indices, self._segment_index, None, None)
        return [window(self._censored(train), start_frame, end_frame) for train in trains]

    def _censored(self, train: IntArray) -> IntArray:
        # The same seed each time: a view gives the same spikes whenever it is read.
        return np.delete(train, find_duplicated_spikes(train, self._period, self._method, seed=0))

    def get_unit_spike_train(
        self, unit_id: UnitId, start_frame: int | None = None, end_frame: int | None = None
    ) -> IntArray:
        """The samples of one unit in [start_frame, end_frame), ascending."""
        return self.get_unit_spike_trains([unit_id], start_frame, end_frame)[0]


remove_duplicated_spikes = RemoveDuplicatedSpikesSorting
register_class(RemoveDuplicatedSpikesSorting._dump_class, RemoveDuplicatedSpikesSorting)
