from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from spikewire.core.errors import FormatError, NeedsSamplingFrequencyError
from spikewire.core.numpy_sorting import NumpySorting
from spikewire.extractors import NpzSortingExtractor, recognise
from spikewire.extractors.formats import FORMATS, Format


def recognised(path: Path) -> Format:
    found = recognise(path)
    assert found is not None, path
    return found


def names(files: list[Path], folder: Path) -> list[str]:
    return [file.relative_to(folder).as_posix() for file in files]


def test_npz(tmp_path: Path, int_sorting: NumpySorting) -> None:
    path = tmp_path / "a.npz"
    NpzSortingExtractor.write_sorting(int_sorting, path)
    found = recognised(path)
    assert found.name == "npz"
    assert found.spike_files(path) == [path]
    assert found.label_files(path) == []
    assert found.open(path, 1.0).sampling_frequency == 30000.0  # the file knows
    np.savez(tmp_path / "other.npz", weights=np.arange(3))
    assert recognise(tmp_path / "other.npz") is None
    damaged = tmp_path / "damaged.npz"
    damaged.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(FormatError, match=r"damaged\.npz"):
        recognised(damaged).open(damaged)


def test_numpy_folder(tmp_path: Path, int_sorting: NumpySorting) -> None:
    folder = tmp_path / "a"
    int_sorting.save(folder=folder)
    found = recognised(folder)
    assert found.name == "numpy_folder"
    assert names(found.spike_files(folder), folder) == ["numpysorting_info.json", "spikes.npy"]
    assert names(found.label_files(folder), folder) == [
        "properties/location.npy",
        "properties/main_channel_id.npy",
        "properties/quality.npy",
        "properties/snr.npy",
        "annotations.json",
        "si_folder.json",
    ]
    assert np.array_equal(found.open(folder).to_spike_vector(), int_sorting.to_spike_vector())


def test_phy(tmp_path: Path) -> None:
    np.save(tmp_path / "spike_times.npy", np.arange(3))
    assert recognise(tmp_path) is None
    np.save(tmp_path / "spike_templates.npy", np.zeros(3, dtype=int))
    found = recognised(tmp_path)
    assert names(found.spike_files(tmp_path), tmp_path) == [
        "spike_times.npy",
        "spike_templates.npy",
    ]
    with pytest.raises(NeedsSamplingFrequencyError):
        found.open(tmp_path)
    assert found.open(tmp_path, 25000).sampling_frequency == 25000.0
    (tmp_path / "params.py").write_text("sample_rate = 20000")
    np.save(tmp_path / "spike_clusters.npy", np.ones(3, dtype=int))
    assert names(found.spike_files(tmp_path), tmp_path) == [
        "spike_times.npy",
        "spike_clusters.npy",
        "params.py",
    ]


def test_labels_that_change_units_are_told_from_others(tmp_path: Path) -> None:
    np.save(tmp_path / "spike_times.npy", np.arange(3))
    np.save(tmp_path / "spike_clusters.npy", np.zeros(3, dtype=int))
    found = recognised(tmp_path)

    def label(text: str) -> bytes:
        (tmp_path / "cluster_group.tsv").write_text(text)
        assert names(found.label_files(tmp_path), tmp_path) == ["cluster_group.tsv"]
        return found.unit_ids_in_labels(tmp_path)

    good = label("cluster_id\tgroup\n0\tgood\n")
    assert label("cluster_id\tgroup\n0\tnoise\n") == good
    assert label("cluster_id\tgroup\n0\tgood\n1\tgood\n") != good
    assert label("cluster_id\tsi_unit_id\n0\t5\n") != good


def test_every_format_tells_its_own_and_nothing_else(tmp_path: Path, real_data: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.txt").write_text("x")
    for path in (tmp_path, tmp_path / "empty", tmp_path / "text.txt", tmp_path / "absent"):
        assert [known.name for known in FORMATS if known.recognise(path)] == []
    for name in ("phy_wmaze", "ks_bombcell_toy"):
        assert [known.name for known in FORMATS if known.recognise(real_data / name)] == ["phy"]


def test_saves_that_were_interrupted_are_not_listed(
    tmp_path: Path, int_sorting: NumpySorting
) -> None:
    int_sorting.save(folder=tmp_path / "a")
    (tmp_path / "a").rename(tmp_path / "a.spikewire-backup")
    assert recognise(tmp_path / "a.spikewire-backup") is None
