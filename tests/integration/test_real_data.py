"""Real phy and Kilosort folders below a root, read locally and through a server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

import spikewire
import spikewire.extractors as se

NAMES = ["phy_wmaze", "ks_bombcell_toy"]


@pytest.fixture(scope="module")
def client(real_data: Path, tmp_path_factory: pytest.TempPathFactory, server_class) -> Iterator:
    folder = tmp_path_factory.mktemp("data_server")
    with (
        closing(server_class(folder, f"data={real_data}").start()) as process,
        spikewire.connect(process.address) as connected,
    ):
        yield connected


@pytest.fixture(scope="module")
def expected(real_data: Path) -> dict:
    return json.loads((real_data / "expected.json").read_text())


def raw_spikes(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    times = np.load(folder / "spike_times.npy").squeeze().astype(np.int64)
    clusters = np.load(folder / "spike_clusters.npy").squeeze().astype(np.int64)
    return times, clusters


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("where", ["local", "remote"])
def test_reads_to_the_truth(name, where, client, real_data, expected):
    folder = real_data / name
    truth = expected[name]
    sorting = se.read_phy(folder) if where == "local" else client.open(f"data/{name}")

    assert sorting.get_num_units() == truth["unit_count"]
    assert sorting.unit_ids.tolist() == truth["unit_ids"]
    assert sorting.sampling_frequency == truth["sampling_frequency_hz"]
    assert sorting.count_total_num_spikes() == truth["spike_count"]
    counts = sorting.count_num_spikes_per_unit()
    assert {str(unit): int(count) for unit, count in counts.items()} == truth["spikes_per_unit"]

    times, clusters = raw_spikes(folder)
    spikes = sorting.to_spike_vector()
    np.testing.assert_array_equal(spikes["sample_index"], times)
    np.testing.assert_array_equal(sorting.unit_ids[spikes["unit_index"]], clusters)
    assert (spikes["sample_index"][0], spikes["sample_index"][-1]) == (
        truth["first_sample"],
        truth["last_sample"],
    )
    for unit in sorting.unit_ids:
        np.testing.assert_array_equal(sorting.get_unit_spike_train(unit), times[clusters == unit])


@pytest.mark.parametrize("name", NAMES)
def test_windows_of_a_remote_sorting_equal_those_of_the_files(name, client, real_data):
    sorting = client.open(f"data/{name}")
    times, clusters = raw_spikes(real_data / name)
    generator = np.random.default_rng(0)
    for _ in range(20):
        start, end = np.sort(generator.integers(0, times[-1] + 2, 2)).tolist()
        unit = int(generator.choice(sorting.unit_ids))
        train = sorting.get_unit_spike_train(unit, start_frame=start, end_frame=end)
        inside = (clusters == unit) & (times >= start) & (times < end)
        np.testing.assert_array_equal(train, times[inside])


def test_clusters_without_a_label_are_kept_as_unsorted(client):
    sorting = client.open("data/phy_wmaze")
    quality = sorting.get_property("quality")
    assert len(quality) == 25
    assert (quality == "unsorted").sum() == 12


def test_what_the_files_do_not_say_is_asked_for(client):
    listed = {info.name: info for info in client.list()}
    assert {f"data/{name}" for name in NAMES} <= set(listed)
