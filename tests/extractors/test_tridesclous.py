from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikewire.core.errors import FormatError, InvalidValueError, SortingFileNotFoundError
from spikewire.core.sorting import BaseSorting
from spikewire.extractors import TridesclousSortingExtractor, read_tridesclous, recognise

FIELDS = [["index", "<i8"], ["cluster_label", "<i8"], ["jitter", "<f8"]]


def make_folder(
    folder: Path, segments: list[list[tuple[int, int]]], group: int = 0, **description: Any
) -> Path:
    folder.mkdir(exist_ok=True)
    info = {"datasource_info": {"sample_rate": 20000.0, "nb_segment": len(segments)}}
    (folder / "info.json").write_text(json.dumps(info))
    for number, spikes in enumerate(segments):
        segment = folder / f"channel_group_{group}" / f"segment_{number}"
        segment.mkdir(parents=True)
        records = np.zeros(len(spikes), dtype=[tuple(field) for field in FIELDS])
        for name, column in zip(
            ("index", "cluster_label"), zip(*spikes, strict=True), strict=False
        ):
            records[name] = column
        arrays = {"spikes": {"dtype": FIELDS, "shape": [len(spikes)], **description}}
        (segment / "arrays.json").write_text(json.dumps(arrays))
        (segment / "spikes.raw").write_bytes(records.tobytes())
    return folder


def test_real_folder(real_data: Path, as_expected: Callable[[BaseSorting, str], None]) -> None:
    sorting = read_tridesclous(real_data / "tdc_gibson")
    as_expected(sorting, "tdc_gibson")
    raw = real_data / "tdc_gibson" / "channel_group_0" / "segment_0" / "spikes.raw"
    records = np.fromfile(raw, dtype=[tuple(field) for field in FIELDS])
    vector = sorting.to_spike_vector()
    assert np.array_equal(vector["sample_index"], records["index"])
    assert np.array_equal(sorting.unit_ids[vector["unit_index"]], records["cluster_label"])


def test_segments_and_labels_that_are_no_units(tmp_path: Path) -> None:
    spikes = [[(5, 3), (9, -1), (9, 0)], [], [(1, -11), (2, 3)]]
    sorting = read_tridesclous(make_folder(tmp_path / "a", spikes))
    assert sorting.unit_ids.tolist() == [0, 3]
    assert sorting.to_spike_vector().tolist() == [(5, 1, 0), (9, 0, 0), (2, 1, 2)]
    assert sorting.segments[0].count_spikes().tolist() == [1, 1]
    assert sorting.get_num_segments() == 3
    assert sorting.segments[1].get_last_spike_frame() is None


def test_last_spikes_that_are_of_no_unit(tmp_path: Path) -> None:
    spikes = [[(5, 3), *((n, -1) for n in range(6, 900))]]
    sorting = read_tridesclous(make_folder(tmp_path / "a", spikes))
    assert sorting.segments[0].get_last_spike_frame() == 5


def test_several_channel_groups(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "a", [[(5, 3)]])
    make_folder(folder, [[(6, 4)]], group=12)
    assert recognise(folder) is None
    for wrong in (None, 1, "../0"):
        with pytest.raises(InvalidValueError, match="one of 0, 12"):
            read_tridesclous(folder, wrong)  # type: ignore[arg-type]
    assert read_tridesclous(folder, 12).unit_ids.tolist() == [4]
    assert TridesclousSortingExtractor(folder, 0).clone().unit_ids.tolist() == [3]


@pytest.mark.parametrize(
    ("description", "said"),
    [
        ({"shape": [10**12]}, "truncated"),
        ({"shape": [2]}, "truncated"),
        ({"shape": [-1]}, "shape"),
        ({"shape": [True]}, "shape"),
        ({"shape": 1}, "shape"),
        ({"dtype": "<i8"}, "type"),
        ({"dtype": [["index", "O"], ["cluster_label", "<i8"]]}, "type"),
        ({"dtype": [["index", "<i8"], ["index", "<i8"]]}, "type"),
        ({"dtype": [["index", "<i8"]]}, "no cluster_label"),
        ({"dtype": [["index", "<f8"], ["cluster_label", "<i8"]]}, "float64 are no samples"),
        ({"dtype": [["index", "<i8"], ["cluster_label", "<f8"]]}, "float64 are no integers"),
        ({"dtype": [["index", "<i8", [2]], ["cluster_label", "<i8"]]}, "type"),
    ],
)
def test_damaged_descriptions(tmp_path: Path, description: dict[str, Any], said: str) -> None:
    folder = make_folder(tmp_path / "a", [[(5, 3)]], **description)
    with pytest.raises(FormatError, match=said):
        read_tridesclous(folder)


def test_missing_files(tmp_path: Path) -> None:
    with pytest.raises(SortingFileNotFoundError):
        read_tridesclous(tmp_path / "absent")
    with pytest.raises(FormatError, match="no folder of Tridesclous"):
        read_tridesclous(tmp_path)
    folder = make_folder(tmp_path / "a", [[(5, 3)]])
    (folder / "info.json").write_text("{}")
    with pytest.raises(FormatError, match="sample_rate"):
        read_tridesclous(folder)
    (folder / "info.json").write_text('{"datasource_info": {"sample_rate": [1]}}')
    with pytest.raises(FormatError, match="sampling_frequency"):
        read_tridesclous(folder)


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_a_mutated_folder_is_read_or_refused(
    read_or_refused: Callable[[Path], AbstractContextManager[None]],
    data: st.DataObject,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = make_folder(tmp_path_factory.mktemp("mutated") / "a", [[(5, 3), (9, 4)]])
    segment = "channel_group_0/segment_0"
    names = ["info.json", f"{segment}/arrays.json", f"{segment}/spikes.raw"]
    path = folder / data.draw(st.sampled_from(names))
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(len(content) - 10, len(content)))])
    with read_or_refused(folder):
        read_tridesclous(folder).to_spike_vector()
