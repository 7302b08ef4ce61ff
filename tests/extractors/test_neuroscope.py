from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from spikeinterface.extractors.neoextractors.neuroscope import (
    NeuroScopeSortingExtractor as TheirNeuroScope,
)

from spikewire.core.errors import (
    ContractError,
    FormatError,
    InvalidValueError,
    NeedsSamplingFrequencyError,
    SortingExistsError,
    SortingFileNotFoundError,
)
from spikewire.core.numpy_sorting import NumpySorting
from spikewire.extractors import NeuroScopeSortingExtractor, read_neuroscope_sorting, recognise

XML = """<?xml version='1.0'?>
<parameters><files><file><samplingRate>1250</samplingRate></file></files>
<acquisitionSystem><nBits>16</nBits><samplingRate>20000</samplingRate></acquisitionSystem>
<fieldPotentials><lfpSamplingRate>1250</lfpSamplingRate></fieldPotentials></parameters>
"""


def lines(*values: int) -> str:
    return "".join(f"{value}\n" for value in values)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two shanks with noise, multi-unit activity and units; a tie across shanks."""
    folder = tmp_path / "rat"
    folder.mkdir()
    (folder / "rat.xml").write_text(XML)
    (folder / "rat.res.1").write_text(lines(5, 9, 9, 30, 31))
    (folder / "rat.clu.1").write_text(lines(4, 0, 2, 5, 1, 2))
    (folder / "rat.res.2").write_text(lines(2, 9))
    (folder / "rat.clu.2").write_text(lines(2, 3, 2))
    (folder / "rat.res.2~").write_text("a backup of an editor")
    return folder


@pytest.mark.parametrize(
    "options", [{}, {"keep_mua_units": False}, {"exclude_shanks": [1]}, {"exclude_shanks": [2]}]
)
def test_like_spikeinterface(folder: Path, options: dict[str, Any]) -> None:
    ours = read_neuroscope_sorting(folder, **options)
    theirs = TheirNeuroScope(folder, **options)
    assert ours.sampling_frequency == theirs.sampling_frequency == 20000.0
    assert ours.unit_ids.tolist() == theirs.unit_ids.tolist()
    group = ours.get_property("group")
    assert group is not None
    assert group.tolist() == list(theirs.get_property("group"))
    for unit in ours.unit_ids:
        train = theirs.get_unit_spike_train(unit, use_cache=False)
        assert np.array_equal(ours.get_unit_spike_train(unit), train)
    names = set(theirs._kwargs) - {"xml_file_path"}
    assert {name: ours._kwargs[name] for name in names} == {
        name: theirs._kwargs[name] for name in names
    }


def test_where_units_come_from(folder: Path) -> None:
    sorting = read_neuroscope_sorting(folder)
    assert sorting.get_property("original_cluster_id").tolist() == [1, 2, 5, 2, 3]  # type: ignore[union-attr]
    assert sorting.to_spike_vector()["sample_index"].tolist() == [2, 9, 9, 9, 30, 31]
    assert sorting.segments[0].get_unit_spike_train(3, 9, 31).tolist() == [9]


def test_one_pair_of_files(folder: Path) -> None:
    pair = {"resfile_path": folder / "rat.res.2", "clufile_path": folder / "rat.clu.2"}
    ours, theirs = read_neuroscope_sorting(**pair), TheirNeuroScope(**pair)  # type: ignore[arg-type]
    assert ours.unit_ids.tolist() == theirs.unit_ids.tolist() == [1, 2]
    assert ours.get_property("group") is None
    assert ours.clone().unit_ids.tolist() == [1, 2]
    for wrong in ({}, {"folder_path": folder, **pair}, {"resfile_path": folder / "rat.res.2"}):
        with pytest.raises(ContractError, match="either folder_path, or both"):
            read_neuroscope_sorting(**wrong)  # type: ignore[arg-type]


def test_a_sorting_comes_back(tmp_path: Path, mono_sorting: NumpySorting) -> None:
    mono_sorting.set_property("group", [3, 1, 3])
    written = NeuroScopeSortingExtractor.write_sorting(mono_sorting, tmp_path / "a")
    theirs = TheirNeuroScope(tmp_path / "a")
    assert written.unit_ids.tolist() == theirs.unit_ids.tolist() == [1, 2, 3]
    assert written.sampling_frequency == 25000.0
    assert written.get_property("group").tolist() == [1, 3, 3]  # type: ignore[union-attr]
    for mine, unit in zip([1, 2, 3], [9, 4, 30], strict=True):
        train = mono_sorting.get_unit_spike_train(unit)
        assert np.array_equal(written.get_unit_spike_train(mine), train)
        assert np.array_equal(theirs.get_unit_spike_train(mine, use_cache=False), train)
    with pytest.raises(SortingExistsError):
        NeuroScopeSortingExtractor.write_sorting(mono_sorting, tmp_path / "a")


def test_what_cannot_be_written(
    tmp_path: Path, int_sorting: NumpySorting, mono_sorting: NumpySorting
) -> None:
    with pytest.raises(ContractError, match="one segment"):
        NeuroScopeSortingExtractor.write_sorting(int_sorting, tmp_path / "a")
    mono_sorting.set_property("group", ["a", "b", "c"])
    with pytest.raises(InvalidValueError, match="'group'"):
        NeuroScopeSortingExtractor.write_sorting(mono_sorting, tmp_path / "a")
    silent = NumpySorting.from_unit_dict([{1: np.array([3]), 2: np.array([], int)}], 1.0)
    with pytest.warns(UserWarning, match="without spikes: 2"):
        written = NeuroScopeSortingExtractor.write_sorting(silent, tmp_path / "a")
    assert written.unit_ids.tolist() == [1]


def test_the_rate_is_asked_for(folder: Path) -> None:
    (folder / "other.xml").write_text(XML.replace("20000", "30000"))
    with pytest.raises(NeedsSamplingFrequencyError, match="or several"):
        read_neuroscope_sorting(folder)
    chosen = read_neuroscope_sorting(folder, xml_file_path=folder / "other.xml")
    assert chosen.sampling_frequency == 30000.0
    (folder / "other.xml").unlink()
    for text, said in (("<parameters/>", "no samplingRate"), (XML.replace("20000", "x"), "number")):
        (folder / "rat.xml").write_text(text)
        with pytest.raises(NeedsSamplingFrequencyError, match=said):
            read_neuroscope_sorting(folder)
    (folder / "rat.xml").unlink()
    with pytest.raises(NeedsSamplingFrequencyError, match="no parameter file"):
        read_neuroscope_sorting(folder)
    sorting = read_neuroscope_sorting(folder, sampling_frequency=10)
    assert sorting.clone().sampling_frequency == 10.0


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("rat.res.1", "", "one line more"),
        ("rat.res.1", "5\n9\n", "one line more"),
        ("rat.clu.1", "", "one line more"),
        ("rat.clu.1", lines(9, 0, 2, 5, 1, 2), "first line says 9 clusters, there are 4"),
        ("rat.res.1", "5\n9\n9.5\n30\n31\n", "integers were expected"),
        ("rat.res.1", "5\n9\nx\n30\n31\n", "integers were expected"),
        ("rat.res.1", "5\n9\n1-1\n30\n31\n", "could not convert"),
        ("rat.res.1", "5\n9\n99999999999999999999\n30\n31\n", "could not convert"),
        ("rat.res.1", "5 1\n9\n9\n30\n31\n", "columns"),
        ("rat.res.3", "5\n", "rat.3 there is only one"),
    ],
)
def test_damaged_files(folder: Path, name: str, content: str, said: str) -> None:
    (folder / name).write_text(content)
    with pytest.raises(FormatError, match=said):
        read_neuroscope_sorting(folder)


def test_empty_shanks_and_folders(folder: Path) -> None:
    for name in ("rat.res.1", "rat.clu.1"):
        (folder / name).write_text("")
    assert read_neuroscope_sorting(folder).unit_ids.tolist() == [1, 2]
    for path in folder.iterdir():
        path.unlink()
    with pytest.raises(FormatError, match=r"no \.res files"):
        read_neuroscope_sorting(folder)
    with pytest.raises(SortingFileNotFoundError):
        read_neuroscope_sorting(folder / "absent")


def test_recognised(folder: Path) -> None:
    found = recognise(folder)
    assert found is not None
    assert found.name == "neuroscope"
    files = [path.name for path in found.spike_files(folder)]
    assert files == ["rat.res.1", "rat.clu.1", "rat.res.2", "rat.clu.2", "rat.xml"]


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_a_mutated_folder_is_read_or_refused(
    read_or_refused: Callable[[Path], AbstractContextManager[None]],
    data: st.DataObject,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("mutated")
    texts = {"a.res": lines(5, 9, 30), "a.clu": lines(2, 3, 2, 3), "a.xml": XML}
    for name, text in texts.items():
        (folder / name).write_text(text)
    path = folder / data.draw(st.sampled_from(sorted(texts)))
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    with read_or_refused(folder):
        read_neuroscope_sorting(folder).to_spike_vector()
