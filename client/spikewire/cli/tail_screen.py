"""What `spikewire tail` shows in a terminal: a line a unit, drawn anew as spikes come."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table

from spikewire.cli.printing import duration, number, text
from spikewire.cli.rates import Rates
from spikewire.core.dtypes import AnyArray
from spikewire.core.unit_ids import label_indices

if TYPE_CHECKING:
    from spikewire.remote.live.following import SpikeBlock

_ARRIVAL_SECONDS = 2.0
_QUIET_SECONDS = 2.0
_BAR_WIDTH = 30
_LINES_BESIDE_UNITS = 4


class TailScreen:
    """The units of an acquisition, how many spikes they have, and how fast they fire.

    Parameters
    ----------
    name : str
        The sorting's name.
    sampling_frequency : float
        Samples per second, in Hz.
    unit_ids : ndarray, shape (units,)
        The units that are known.
    shown : ndarray, shape (some units,), optional
        The units that are shown; by default all.
    """

    def __init__(
        self,
        name: str,
        sampling_frequency: float,
        unit_ids: AnyArray,
        shown: AnyArray | None = None,
    ) -> None:
        self._name = name
        self._sampling_frequency = sampling_frequency
        self._shown = shown
        self._lock = threading.Lock()  # it is drawn in another thread
        self._unit_ids = unit_ids
        self._counts = np.zeros(len(unit_ids), np.int64)
        self._rates: dict[str, Rates] = {}  # rigs that are shown as one have clocks of their own
        self._arrivals: deque[tuple[float, int]] = deque()
        self._block: SpikeBlock | None = None

    def take(self, block: SpikeBlock, unit_ids: AnyArray) -> None:
        """Show a block too; `unit_ids` are the units announced so far."""
        with self._lock:
            if not np.array_equal(unit_ids, self._unit_ids):
                self._place_units(unit_ids)
            self._counts += np.bincount(block.unit_index, minlength=len(unit_ids))
            rates = self._rates.get(block.source_name)
            if rates is None:
                rates = Rates(self._sampling_frequency, len(unit_ids))
                self._rates[block.source_name] = rates
            rates.add(block.segment_index, block.sample_index, block.unit_index)
            self._arrivals.append((time.monotonic(), len(block)))
            self._block = block

    def _place_units(self, unit_ids: AnyArray) -> None:
        """Move what was counted: where several rigs are shown as one, units may move."""
        place_of = {unit_id: place for place, unit_id in enumerate(unit_ids.tolist())}
        places = np.array([place_of.get(unit, -1) for unit in self._unit_ids.tolist()], np.int64)
        counts = np.zeros(len(unit_ids), np.int64)
        if np.all(places >= 0):
            counts[places] = self._counts
            for rates in self._rates.values():
                rates.place_units(places, len(unit_ids))
        else:  # two rigs came to have the same ids: all units have got other ones
            self._rates.clear()
        self._unit_ids, self._counts = unit_ids, counts

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw it; called by rich."""
        with self._lock:
            yield text(self._heading())
            yield ""
            yield from self._units(console, max(console.height - _LINES_BESIDE_UNITS, 1))

    def _heading(self) -> str:
        block = self._block
        if block is None:
            return f"{self._name}: no spikes yet"
        now = time.monotonic()
        quiet = now - self._arrivals[-1][0]
        while len(self._arrivals) > 1 and self._arrivals[0][0] < now - _ARRIVAL_SECONDS:
            self._arrivals.popleft()
        arrived = sum(count for at, count in self._arrivals if at >= now - _ARRIVAL_SECONDS)
        reached = block.sample_index[-1] / self._sampling_frequency
        parts = [
            f"{self._name}: {reached:,.1f} s of segment {block.segment_index}",
            f"{self._counts.sum():,} spikes",
            f"{arrived / _ARRIVAL_SECONDS:,.0f} spikes/s",
            f"latency {duration(block.latency)}",
        ]
        if quiet > _QUIET_SECONDS:
            parts.append(f"nothing for {quiet:,.0f} s")
        return "   ".join(parts)

    def _units(self, console: Console, most: int) -> RenderResult:
        rates = np.zeros(len(self._unit_ids))
        for source in self._rates.values():
            rates += source.rates()
        rows = np.arange(len(self._unit_ids))
        if self._shown is not None:
            rows = label_indices(self._shown, self._unit_ids)
        # A logarithmic scale, as in the raster: a slow unit shows beside a fast one.
        heights = np.log1p(rates)
        highest = heights[rows].max(initial=0.0) or 1.0
        block = "█" if (console.encoding or "").startswith("utf") else "#"
        table = Table("unit", box=None, pad_edge=False)
        for heading in ("spikes", "Hz"):
            table.add_column(heading, justify="right")
        table.add_column("", width=_BAR_WIDTH)
        for row in rows[:most]:
            table.add_row(
                text(self._unit_ids[row]),
                number(self._counts[row]),
                f"{rates[row]:,.1f}",
                block * round(heights[row] / highest * _BAR_WIDTH),
            )
        yield table
        if len(rows) > most:
            yield f"and {len(rows) - most:,} more units"
