"""Appends lines of text to an acquisition, and says which line is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from spikewire.cli.spike_lines import parse_line
from spikewire.cli.unit_labels import looks_whole
from spikewire.core.errors import InvalidValueError
from spikewire.core.unit_ids import some

if TYPE_CHECKING:
    from spikewire.remote.live.writer import SpikeWriter

_SHOWN = 60


@dataclass
class _Batch:
    """Spikes of lines that follow each other, all of one segment."""

    segment_index: int
    samples: list[int] = field(default_factory=list)
    unit_ids: list[Any] = field(default_factory=list)
    new_units: list[Any] = field(default_factory=list)
    last_line: int = 0


class LineRecorder:
    """Appends lines to an acquisition.

    Parameters
    ----------
    writer : SpikeWriter
        What records.
    as_text : bool
        Whether ids that look like numbers are text; asked if no unit is announced yet.
    takes_new : bool
        Whether units are announced as they come.

    Attributes
    ----------
    line_count : int
        How many lines were taken so far, comments included.
    """

    def __init__(self, writer: SpikeWriter, as_text: bool, takes_new: bool) -> None:
        self.line_count = 0
        self._writer = writer
        self._as_text = as_text
        self._takes_new = takes_new
        self._ids: dict[str, Any] = {str(unit): unit for unit in writer.unit_ids.tolist()}
        self._segment_count = writer.segment_count

    def announce(self, labels: Sequence[str]) -> None:
        """Announce units, but for those that are announced already.

        Raises
        ------
        InvalidValueError
            One is text, and those before are whole numbers.
        """
        new = [label for label in dict.fromkeys(labels) if label not in self._ids]
        unit_ids = [self._typed(label) for label in new]
        self._ids.update(zip(new, unit_ids, strict=True))
        self._writer.add_units(unit_ids)

    def take(self, lines: Sequence[bytes]) -> None:
        """Append lines; if one is wrong, those before it.

        Raises
        ------
        InvalidValueError
            A line is wrong; it says which, and what would be right.
        SpikewireError
            Nothing can be recorded; see `SpikeWriter.append`.
        """
        batches: list[_Batch] = []
        wrong = None
        end = self.line_count + len(lines)
        for number, line in enumerate(lines, self.line_count + 1):
            try:
                self._read(line, number, batches)
            except ValueError as error:
                shown = line[:_SHOWN].decode(errors="replace").rstrip("\r")
                wrong = InvalidValueError(f"line {number}, {shown!r}: {error}")
                end = number - 1
                break
        for batch in batches:
            self._record(batch)
        self.line_count = end
        if wrong is not None:
            raise wrong

    def _read(self, line: bytes, number: int, batches: list[_Batch]) -> None:
        """Put a line into the last batch, or into a new one if the segment is another."""
        spike = parse_line(line.decode())
        if spike is None:
            return
        segment = self._segment_count - 1 if spike.segment_index is None else spike.segment_index
        if not 0 <= segment <= self._segment_count:
            raise InvalidValueError(
                f"segment {segment} does not follow: {self._segment_count} were started, counted "
                f"from 0"
            )
        unit_id = self._ids.get(spike.label)
        is_new = unit_id is None
        if is_new:
            unit_id = self._ids[spike.label] = self._new_unit(spike.label)
        self._segment_count = max(self._segment_count, segment + 1)
        if not batches or batches[-1].segment_index != segment:
            batches.append(_Batch(segment))
        batch = batches[-1]
        if is_new:
            batch.new_units.append(unit_id)
        batch.samples.append(spike.sample_index)
        batch.unit_ids.append(unit_id)
        batch.last_line = number

    def _new_unit(self, label: str) -> int | str:
        if not self._takes_new:
            raise InvalidValueError(
                f"{label!r} is not one of the units {some(self._ids)}; --new-units takes others too"
            )
        return self._typed(label)

    def _typed(self, label: str) -> int | str:
        """Return a label as an id of the type of those before."""
        first = next(iter(self._ids.values()), label if self._as_text else None)
        if isinstance(first, str) or (first is None and not looks_whole(label)):
            return label
        if not looks_whole(label):
            raise InvalidValueError(
                f"unit {label!r} is no whole number, and those before are; --text, from the "
                f"beginning on, takes all ids as text"
            )
        return int(label)

    def _record(self, batch: _Batch) -> None:
        if batch.new_units:
            self._writer.add_units(batch.new_units)
        if batch.segment_index == self._writer.segment_count:
            self._writer.start_segment()
        samples = np.array(batch.samples, np.int64)
        self._writer.append(samples, np.array(batch.unit_ids), batch.segment_index)
        self.line_count = batch.last_line
