"""An opened sorting as a sorting, for views of it and for copies."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from spikewire.core.clocks import UnitClocks
from spikewire.core.dtypes import UnitId
from spikewire.core.segment import BaseSortingSegment
from spikewire.core.sorting import BaseSorting

if TYPE_CHECKING:
    from spikewire_server.library.opened import OpenedSorting


class ServedSorting(BaseSorting):
    """Reads what an opened sorting gives.

    Parameters
    ----------
    opened : OpenedSorting
        Has the spikes.
    """

    # The library's cache lies behind it, and is the one whose size is bounded.
    _reads_before_caching = math.inf

    def __init__(self, opened: OpenedSorting) -> None:
        facts = opened.facts
        super().__init__(facts.sampling_frequency, facts.unit_ids)
        for index, (t_start, clocks) in enumerate(zip_longest(facts.t_starts, facts.clocks)):
            self.add_sorting_segment(_ServedSegment(opened, index, t_start, clocks))


class _ServedSegment(BaseSortingSegment):
    def __init__(
        self, opened: OpenedSorting, index: int, t_start: float | None, clocks: UnitClocks | None
    ) -> None:
        super().__init__(t_start, clocks)
        self._opened = opened
        self._index = index

    def get_unit_spike_train(
        self, unit_id: UnitId, start_frame: int | None = None, end_frame: int | None = None
    ) -> NDArray[np.int64]:
        (train,) = self.get_unit_spike_trains([unit_id], start_frame, end_frame)
        return train

    def get_unit_spike_trains(
        self,
        unit_ids: Sequence[UnitId] | NDArray[Any],
        start_frame: int | None = None,
        end_frame: int | None = None,
    ) -> list[NDArray[np.int64]]:
        sorting = self._sorting()
        units = np.array([sorting.id_to_index(unit_id) for unit_id in unit_ids], dtype=np.int64)
        spikes = self._opened.spikes(self._index)
        return [
            train.astype(np.int64) + spikes.base
            for train in spikes.trains(units, start_frame, end_frame)
        ]

    def get_spike_columns(
        self, start_frame: int | None = None, end_frame: int | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        blocks = list(self.iter_spike_columns(start_frame, end_frame))
        if len(blocks) == 1:
            return blocks[0]
        empty = np.empty(0, dtype=np.int64)
        return (
            np.concatenate([empty, *(samples for samples, _ in blocks)]),
            np.concatenate([empty, *(unit_indices for _, unit_indices in blocks)]),
        )

    def iter_spike_columns(
        self, start_frame: int | None = None, end_frame: int | None = None
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        spikes = self._opened.spikes(self._index)
        for samples, unit_indices in spikes.blocks(start_frame, end_frame):
            yield samples, unit_indices.astype(np.int64, copy=False)

    def count_spikes(self) -> NDArray[np.int64]:
        return self.count_spikes_between(None, None)

    def count_spikes_between(
        self, start_frame: int | None, end_frame: int | None
    ) -> NDArray[np.int64]:
        units = np.arange(self._sorting().get_num_units())
        return self._opened.spikes(self._index).counts(units, start_frame, end_frame)

    def get_last_spike_frame(self) -> int | None:
        return self._opened.spikes(self._index).last_sample(None, None)
