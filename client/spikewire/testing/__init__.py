"""For those who write extractors: what a sorting has to do, as tests to inherit.

Needs pytest; `import spikewire` does not load it.
"""

from __future__ import annotations

from spikewire.core.comparison import check_sortings_equal
from spikewire.testing.contract import SortingContract
from spikewire.testing.truths import TRUTHS, make_truth

__all__ = ["TRUTHS", "SortingContract", "check_sortings_equal", "make_truth"]
