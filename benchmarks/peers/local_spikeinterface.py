"""SpikeInterface on the same machine, reading a folder that lies in the page cache."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import spikeinterface
from numpy.typing import NDArray


def load(folder: Path) -> spikeinterface.BaseSorting:
    """Return a fresh object; this reads the spikes."""
    return spikeinterface.load(folder)


def vector(folder: Path) -> NDArray[np.void]:
    """Return the spike vector of a fresh object."""
    return load(folder).to_spike_vector()


def trains(folder: Path) -> list[NDArray[np.int64]]:
    """Return the trains of all units of a fresh object."""
    sorting = load(folder)
    return [sorting.get_unit_spike_train(unit_id) for unit_id in sorting.unit_ids]
