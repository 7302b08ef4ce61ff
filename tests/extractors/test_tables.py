"""Tables whose rows turn out to be in another order than that of time."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from spikewire.core.sorting import BaseSorting
from spikewire.extractors.files import MemoryColumn
from spikewire.extractors.segments import TableSegment
from spikewire.extractors.tables import ROWS_PER_READ, ColumnTable, OrderedTable


class _InterruptedColumn(MemoryColumn):
    """A column between whose reads something happens."""

    def __init__(self, values, happen) -> None:
        super().__init__(values)
        self._happen = happen

    def read(self, start: int, stop: int):
        if start:
            self._happen()
        return super().read(start, stop)


def test_spikes_are_counted_once_while_another_thread_finds_their_order() -> None:
    count = 4 * ROWS_PER_READ
    samples = np.arange(count)[::-1].copy()
    units = np.repeat([0, 1], count // 2)
    order_is_found = []

    def find_order() -> None:
        if not order_is_found:
            order_is_found.append(True)
            table.read_samples(0, 1)

    table = OrderedTable(
        ColumnTable(
            Path("spikes"),
            MemoryColumn(samples),
            _InterruptedColumn(units, find_order),
            np.array([0, 1]),
        )
    )
    sorting = BaseSorting(30_000.0, [0, 1])
    sorting.add_sorting_segment(TableSegment(table, 0, count))
    counts = sorting.segments[0].count_spikes()
    assert order_is_found
    assert counts.tolist() == [count // 2, count // 2]
