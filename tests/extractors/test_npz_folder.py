from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import spikeinterface.core as si

from spikewire.core.errors import FormatError, SortingExistsError, SortingFileNotFoundError
from spikewire.core.loading import load
from spikewire.core.numpy_sorting import NumpySorting
from spikewire.core.sorting import BaseSorting
from spikewire.extractors import NpzFolderSorting, read_npz_folder
from spikewire.extractors.npz_folder import read_cached_folder

Same = Callable[[BaseSorting, BaseSorting], None]

deprecated = pytest.mark.filterwarnings("ignore:npz folders are deprecated")


@deprecated
def test_a_sorting_comes_back(
    tmp_path: Path, sorting: NumpySorting, same_spikes: Same, same_metadata: Same
) -> None:
    saved = sorting.save(format="npz_folder", folder=tmp_path / "a")
    for read in (saved, read_npz_folder(tmp_path / "a"), load(tmp_path / "a")):
        assert isinstance(read, NpzFolderSorting)
        same_spikes(read, sorting)
        same_metadata(read, sorting)


@deprecated
def test_spikeinterface_reads_it(tmp_path: Path, int_sorting: NumpySorting) -> None:
    int_sorting.save(format="npz_folder", folder=tmp_path / "a")
    for read in (si.NpzFolderSorting(tmp_path / "a"), si.load(tmp_path / "a")):
        assert read.unit_ids.tolist() == int_sorting.unit_ids.tolist()
        assert read._annotations == int_sorting._annotations
        np.testing.assert_array_equal(read.get_property("snr"), int_sorting.get_property("snr"))
        for unit in read.unit_ids:
            train = int_sorting.get_unit_spike_train(unit, segment_index=2)
            assert np.array_equal(read.get_unit_spike_train(unit, segment_index=2), train)


def test_it_is_deprecated(tmp_path: Path, int_sorting: NumpySorting) -> None:
    with pytest.warns(DeprecationWarning, match="numpy_folder"):
        NpzFolderSorting.write_sorting(int_sorting, tmp_path / "a")
    with pytest.warns(DeprecationWarning, match="numpy_folder"), pytest.raises(SortingExistsError):
        NpzFolderSorting.write_sorting(int_sorting, tmp_path / "a")


def test_the_dump_beside_it_is_not_followed(tmp_path: Path, samples: Path) -> None:
    source = samples / "si0.105.3" / "int" / "npz_folder"
    for name in ("npz.json", "sorting_cached.npz"):
        (tmp_path / name).write_bytes((source / name).read_bytes())
    dump = json.loads((tmp_path / "npz.json").read_text())
    dump["kwargs"]["file_path"] = "/etc/passwd"
    (tmp_path / "npz.json").write_text(json.dumps(dump))
    assert read_npz_folder(tmp_path).get_num_units() == 6


def test_the_cached_folder_of_2021_keeps_its_properties(samples: Path) -> None:
    folder = samples / "si0.92.0" / "my_sorting"
    rates = np.load(folder / "properties" / "firing_rate.npy")
    for read in (read_cached_folder(folder), load(folder)):
        assert type(read).__name__ == "NpzSortingExtractor"
        assert np.array_equal(read.get_property("firing_rate"), rates)  # type: ignore[arg-type]
        assert read.get_annotation("lab") == "x"


def test_damaged_folders(tmp_path: Path) -> None:
    with pytest.raises(SortingFileNotFoundError):
        read_npz_folder(tmp_path / "absent")
    with pytest.raises(FormatError, match="no npz folder"):
        read_npz_folder(tmp_path)
    with pytest.raises(SortingFileNotFoundError, match="sorting_cached"):
        read_cached_folder(tmp_path)
