from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikewire.core.errors import (
    FormatError,
    NeedsSamplingFrequencyError,
    SortingFileNotFoundError,
    UnsafeContentError,
)
from spikewire.extractors import ALFSortingExtractor, read_alf_sorting, recognise


def make_folder(folder: Path, **changes: Any) -> Path:
    folder.mkdir(exist_ok=True)
    arrays = {
        "spikes.times": np.array([0.1, 0.25, 0.25, 0.5]),
        "spikes.samples": np.array([3000, 7501, 7502, 15000], dtype=np.uint64),
        "spikes.clusters": np.array([2, 0, 2, 0], dtype=np.uint32),
        "clusters.depths": np.array([10.0, 20.0, 30.0]),
        "clusters.waveforms": np.zeros((3, 5, 2), dtype=np.float32),
    }
    arrays.update({name.replace("_", "."): values for name, values in changes.items()})
    for name, values in arrays.items():
        if values is not None:
            np.save(folder / f"{name}.npy", values)
    return folder


def test_samples_are_taken_where_they_are(tmp_path: Path) -> None:
    sorting = read_alf_sorting(make_folder(tmp_path / "a"), 30000)
    assert sorting.unit_ids.tolist() == [0, 1, 2]
    assert sorting.to_spike_vector().tolist() == [
        (3000, 2, 0),
        (7501, 0, 0),
        (7502, 2, 0),
        (15000, 0, 0),
    ]
    assert sorting.segments[0].count_spikes().tolist() == [2, 0, 2]
    assert sorting.get_property_keys() == ["depths"]
    assert sorting.clone().sampling_frequency == 30000.0


def test_times_stand_in_for_samples(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "a", spikes_samples=None)
    assert read_alf_sorting(folder, 30000).to_spike_vector()["sample_index"].tolist() == [
        3000,
        7500,
        7500,
        15000,
    ]
    folder = make_folder(tmp_path / "b", spikes_samples=np.array([1.0, 2.0, 3.0, 3.0]))
    assert read_alf_sorting(folder, 30000).get_last_spike_frame() == 3


def test_names_with_more_parts_and_no_clusters(tmp_path: Path) -> None:
    np.save(tmp_path / "_ibl_spikes.times_ephysClock.0a1b2c.npy", np.array([0.5, 1.0]))
    np.save(tmp_path / "spikes.clusters.npy", np.array([7, 3]))
    sorting = ALFSortingExtractor(tmp_path, 100)
    assert sorting.unit_ids.tolist() == [3, 7]
    assert sorting.to_spike_vector().tolist() == [(50, 1, 0), (100, 0, 0)]
    found = recognise(tmp_path)
    assert found is not None
    assert found.name == "alf"
    assert len(found.spike_files(tmp_path)) == 2


def test_the_rate_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(NeedsSamplingFrequencyError):
        read_alf_sorting(make_folder(tmp_path / "a"))


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"spikes_clusters": None}, FormatError, "no ALF folder"),
        ({"spikes_times": None, "spikes_samples": None}, FormatError, "no ALF folder"),
        ({"spikes_clusters": np.array([0, 1, 3, 0])}, FormatError, "spikes of 3"),
        ({"spikes_clusters": np.array([0, 1])}, FormatError, "but 2 labels"),
        ({"spikes_clusters": np.array([[0, 1], [1, 2]])}, FormatError, "one column"),
        ({"clusters_amps": np.array([1.0])}, FormatError, "1 and 3"),
        (
            {"spikes_samples": None, "spikes_times": np.array([0, 1, np.nan, 2])},
            FormatError,
            "nan cannot be",
        ),
        ({"spikes_samples": np.array(["a"] * 4)}, FormatError, "are no samples"),
        ({"spikes_samples": np.array([{}] * 4)}, UnsafeContentError, "pickled"),
    ],
)
def test_damaged_folders(
    tmp_path: Path, changes: dict[str, Any], error: type[Exception], said: str
) -> None:
    folder = make_folder(tmp_path / "a", **changes)
    with pytest.raises(error, match=said):
        read_alf_sorting(folder, 30000).to_spike_vector()


def test_missing_folders(tmp_path: Path) -> None:
    with pytest.raises(SortingFileNotFoundError):
        read_alf_sorting(tmp_path / "absent", 30000)


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_a_mutated_folder_is_read_or_refused(
    read_or_refused: Callable[[Path], AbstractContextManager[None]],
    data: st.DataObject,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = make_folder(tmp_path_factory.mktemp("mutated") / "a")
    path = folder / data.draw(st.sampled_from(sorted(path.name for path in folder.iterdir())))
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(len(content) - 10, len(content)))])
    with read_or_refused(folder):
        read_alf_sorting(folder, 30000).to_spike_vector()
