"""Spike rasters in plain text: a line a unit, two bins of time a character."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from spikewire.core.errors import SegmentIndexError
from spikewire.core.sorting import BaseSorting

# A braille character has two columns of four dots; these are its bits for a
# left and a right column that are filled from below with 0 to 4 dots.
_LEFT = np.array([0x00, 0x40, 0x44, 0x46, 0x47], np.uint32)
_RIGHT = np.array([0x00, 0x80, 0xA0, 0xB0, 0xB8], np.uint32)
_BLANK = np.uint32(0x2800)
# For terminals without braille: denser for more spikes.
_ASCII = np.array([" ", ".", ":", "+", "#"])
_LEVELS = 4

_MIN_CELLS = 8
_MAX_LABEL = 24


def raster(
    sorting: BaseSorting,
    segment_index: int = 0,
    *,
    width: int = 80,
    max_units: int = 50,
    ascii_only: bool = False,
) -> list[str]:
    """Return a raster of one segment: a line a unit, then the time axis.

    A line has the unit's id, its spikes over time, and how many they are. Where
    more spikes fall into one bin, it is drawn higher, on a logarithmic scale
    that all units share: a unit of a hundred spikes shows up beside one of half
    a million.

    Parameters
    ----------
    sorting : BaseSorting
        Whose spikes; its spike vector is read.
    segment_index : int
        Which segment.
    width : int
        How many characters a line may have.
    max_units : int
        How many units are drawn at most; a line says how many are left out.
    ascii_only : bool
        Draw for terminals that cannot show braille.

    Returns
    -------
    list of str
        The lines, without line ends.

    Raises
    ------
    SegmentIndexError
        If the sorting has no such segment.
    """
    segment_count = sorting.get_num_segments()
    if not 0 <= segment_index < segment_count:
        raise SegmentIndexError(
            f"no segment {segment_index}: the sorting has {segment_count}, counted from 0"
        )
    spikes = sorting.to_spike_vector(concatenated=False)[segment_index]
    unit_count = sorting.get_num_units()
    shown = min(unit_count, max_units)
    counts = np.bincount(spikes["unit_index"], minlength=unit_count)[:shown]
    labels = [_shorten(str(unit_id)) for unit_id in sorting.unit_ids[:shown]]
    totals = [f"{count:,}" for count in counts]
    label_width = max(map(len, labels), default=0)
    total_width = max(map(len, totals), default=0)
    cells = max(width - label_width - total_width - 2, _MIN_CELLS)

    levels = _levels(spikes["sample_index"], spikes["unit_index"], shown, 2 * cells)
    drawings = _ascii(levels) if ascii_only else _braille(levels)
    lines = [
        f"{label:>{label_width}} {drawing} {total:>{total_width}}"
        for label, drawing, total in zip(labels, drawings, totals, strict=True)
    ]
    if shown < unit_count:
        lines.append(f"and {unit_count - shown:,} more units")
    if len(spikes):
        rate = sorting.get_sampling_frequency()
        first, last = (f"{spikes['sample_index'][i] / rate:,.1f} s" for i in (0, -1))
        lines.append(f"{'':{label_width}} {first}{last:>{max(cells - len(first), len(last) + 1)}}")
    return lines


def _shorten(label: str) -> str:
    return label if len(label) <= _MAX_LABEL else f"{label[: _MAX_LABEL - 3]}..."


def _levels(
    samples: npt.NDArray[np.int64], units: npt.NDArray[np.int64], unit_count: int, bins: int
) -> npt.NDArray[np.intp]:
    """Return how high each bin is drawn, 0 to 4: (unit_count, bins)."""
    histogram = np.zeros((unit_count, bins), np.intp)
    chosen = units < unit_count
    if chosen.any():
        # A difference of two samples may not fit an int64, but always fits an uint64.
        since_first = (samples - samples[0]).astype(np.uint64)
        position = since_first[chosen] / (int(since_first[-1]) + 1)
        column = np.minimum(position * bins, bins - 1).astype(np.intp)
        flat = np.bincount(units[chosen] * bins + column, minlength=histogram.size)
        histogram = flat.reshape(unit_count, bins)
    scale = np.log1p(max(histogram.max(initial=0), 1))
    levels: npt.NDArray[np.intp] = np.ceil(np.log1p(histogram) / scale * _LEVELS).astype(np.intp)
    return levels


def _braille(levels: npt.NDArray[np.intp]) -> list[str]:
    codes = _BLANK + _LEFT[levels[:, ::2]] + _RIGHT[levels[:, 1::2]]
    return ["".join(map(chr, row)) for row in codes]


def _ascii(levels: npt.NDArray[np.intp]) -> list[str]:
    return ["".join(row) for row in _ASCII[np.maximum(levels[:, ::2], levels[:, 1::2])]]
