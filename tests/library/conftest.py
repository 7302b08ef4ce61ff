from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from spikewire.core.numpy_sorting import NumpySorting
from spikewire.core.sorting import BaseSorting
from spikewire.extractors import NpzSortingExtractor
from spikewire_server.library import Library
from spikewire_server.settings import Root, SamplingRule, Settings


@pytest.fixture
def root(tmp_path) -> Path:
    folder = tmp_path / "root"
    folder.mkdir()
    return folder.resolve()


@pytest.fixture
def start(tmp_path, root):
    """Start a library over the folder `root`, labelled "lab", or over other roots."""
    libraries: list[Library] = []

    def start(**settings) -> Library:
        values = {"roots": (Root("lab", root),), "store": tmp_path / "store"} | settings
        library = Library(Settings(**values))
        library.start()
        libraries.append(library)
        return library

    yield start
    for library in libraries:
        library.close()


@pytest.fixture
def library(start) -> Library:
    return start()


@pytest.fixture
def scanned() -> Callable[[Library], Library]:
    """Scan now and to the end, instead of waiting for the background."""

    def scanned(library: Library) -> Library:
        library._scanner.scan_once()
        return library

    return scanned


@pytest.fixture
def sorting() -> BaseSorting:
    """Two segments, a tie, a silent unit, ids that are not their positions."""
    samples = [np.array([3, 7, 7, 2**40]), np.array([-5, 0])]
    labels = [np.array([1, 9, 1, 9]), np.array([9, 9])]
    return NumpySorting.from_samples_and_labels(samples, labels, 30000.0, [9, 1, 4])


def write_npz(path: Path, sorting: BaseSorting, age: float = 60.0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    NpzSortingExtractor.write_sorting(sorting, path)
    grow_old(path, age)
    return path


def grow_old(path: Path, age: float = 60.0) -> None:
    then = time.time() - age
    os.utime(path, (then, then))


@pytest.fixture
def npz() -> Callable[..., Path]:
    return write_npz


@pytest.fixture
def old() -> Callable[..., None]:
    return grow_old


@pytest.fixture
def phy(root) -> Callable[..., Path]:
    """Write a minimal folder of phy."""

    def phy(name="phy", *, rate=25000.0, labels="cluster_id\tgroup\n0\tgood\n2\tnoise\n") -> Path:
        folder = root / name
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / "spike_times.npy", np.array([1, 2, 5, 9], dtype=np.uint64))
        np.save(folder / "spike_clusters.npy", np.array([0, 2, 0, 2], dtype=np.int32))
        rate_line = "" if rate is None else f"sample_rate = {rate}\n"
        (folder / "params.py").write_text(f"n_channels_dat = 4\n{rate_line}")
        if labels:
            (folder / "cluster_group.tsv").write_text(labels)
        for path in folder.iterdir():
            grow_old(path)
        return folder

    return phy


@pytest.fixture
def upload():
    """Upload a sorting as a client does, in pieces of one spike."""

    def upload(library: Library, name: str, sorting: BaseSorting, if_revision="", piece=1):
        columns = [segment.get_spike_columns() for segment in sorting.segments]
        annotations = {key: sorting.get_annotation(key) for key in sorting.get_annotation_keys()}
        with library.begin_upload(
            name,
            sorting.sampling_frequency,
            sorting.unit_ids,
            [segment._t_start for segment in sorting.segments],
            [len(samples) for samples, _ in columns],
            annotations,
            if_revision,
        ) as incoming:
            for key in sorting.get_property_keys():
                incoming.write_property(key, sorting.get_property(key))
            for index, (samples, units) in enumerate(columns):
                for start in range(0, len(samples), piece):
                    part = slice(start, start + piece)
                    incoming.write_spikes(index, samples[part], units[part])
            return incoming.commit()

    return upload


@pytest.fixture
def rule():
    return SamplingRule
