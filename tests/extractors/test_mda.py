from __future__ import annotations

import struct
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest
import spikeinterface.extractors as sie
from hypothesis import given, settings
from hypothesis import strategies as st
from spikeinterface.extractors.mdaextractors import MdaSortingExtractor as TheirMda
from spikeinterface.extractors.mdaextractors import writemda

from spikewire.core.errors import (
    ContractError,
    FormatError,
    InvalidValueError,
    NeedsSamplingFrequencyError,
    SortingFileNotFoundError,
)
from spikewire.core.numpy_sorting import NumpySorting
from spikewire.core.sorting import BaseSorting
from spikewire.extractors import MdaSortingExtractor, read_mda_sorting

Same = Callable[[BaseSorting, BaseSorting], None]
FIRINGS = np.array([[2, 1, 2, 5], [10, 11, 11, 40], [7, 3, 7, 3]])


def test_a_sorting_comes_back(
    tmp_path: Path, mono_sorting: NumpySorting, same_spikes: Same, same_windows: Same
) -> None:
    path = tmp_path / "firings.mda"
    MdaSortingExtractor.write_sorting(mono_sorting, path)
    read = read_mda_sorting(path, 25000.0)
    same_windows(read, mono_sorting)
    same_spikes(read, mono_sorting)
    theirs = sie.read_mda_sorting(path, 25000.0)
    for unit in theirs.unit_ids:
        train = theirs.get_unit_spike_train(unit, use_cache=False)
        assert np.array_equal(read.get_unit_spike_train(unit), train)


@pytest.mark.parametrize("dtype", ["float64", "float32", "int16", "int32", "uint16", "uint8"])
def test_every_type_like_spikeinterface(tmp_path: Path, dtype: str) -> None:
    path = tmp_path / "firings.mda"
    writemda(FIRINGS, str(path), dtype=dtype)
    ours, theirs = read_mda_sorting(path, 20000), sie.read_mda_sorting(path, 20000)
    assert ours.unit_ids.tolist() == theirs.unit_ids.tolist() == [3, 7]
    channels = ours.get_property("max_channel")
    assert channels is not None
    assert channels.tolist() == list(theirs.get_property("max_channel")) == [1, 2]
    assert ours.to_spike_vector().tolist() == [(10, 1, 0), (11, 0, 0), (11, 1, 0), (40, 0, 0)]


def test_rows_that_are_not_needed_and_times_out_of_order(tmp_path: Path) -> None:
    path = tmp_path / "firings.mda"
    writemda(np.vstack([FIRINGS[:, ::-1], np.ones(4)]), str(path), dtype="float64")
    vector = read_mda_sorting(path, 1).to_spike_vector()
    assert vector.tolist() == [(10, 1, 0), (11, 1, 0), (11, 0, 0), (40, 0, 0)]


def test_primary_channels_and_text_ids(tmp_path: Path, mono_sorting: NumpySorting) -> None:
    path = tmp_path / "firings.mda"
    with pytest.raises(InvalidValueError, match="max_channel"):
        MdaSortingExtractor.write_sorting(mono_sorting, path, write_primary_channels=True)
    named = mono_sorting.rename_units(["a", "b", "c"])
    named.set_property("max_channel", [3, 1, 2])
    MdaSortingExtractor.write_sorting(named, path, write_primary_channels=True)
    read = read_mda_sorting(path, 25000)
    assert read.unit_ids.tolist() == [0, 1, 2]
    assert read.get_property("max_channel").tolist() == [3, 1, 2]  # type: ignore[union-attr]
    TheirMda.write_sorting(sie.read_mda_sorting(path, 25000), tmp_path / "b.mda")
    again = read_mda_sorting(tmp_path / "b.mda", 25000)
    assert np.array_equal(
        again.to_spike_vector()["sample_index"], read.to_spike_vector()["sample_index"]
    )


def test_what_cannot_be_written(tmp_path: Path, int_sorting: NumpySorting) -> None:
    with pytest.raises(ContractError, match="one segment"):
        MdaSortingExtractor.write_sorting(int_sorting, tmp_path / "a.mda")
    late = NumpySorting.from_unit_dict([{1: np.array([2**53])}], 1.0)
    with pytest.raises(InvalidValueError, match="sample beyond"):
        MdaSortingExtractor.write_sorting(late, tmp_path / "a.mda")
    empty = NumpySorting.from_unit_dict([{1: np.array([], dtype=int)}], 1.0)
    MdaSortingExtractor.write_sorting(empty, tmp_path / "a.mda")
    assert read_mda_sorting(tmp_path / "a.mda", 1.0).to_spike_vector().size == 0


def header(*values: int, dims: str = "i") -> bytes:
    return struct.pack(f"<3i{len(values) - 3}{dims}", *values)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "ends within the header"),
        (header(-7, 8, 2), "ends within the header"),
        (header(-9, 8, 2, 3, 0), "not an mda file"),
        (header(-7, 4, 2, 3, 0), "not an mda file"),
        (header(-7, 8, 3, 3, 0, 1), "2 axes"),
        (header(-7, 8, -(2**31), 3, 0), "2 axes"),
        (header(-7, 8, 2, 2, 0), "3 rows"),
        (header(-7, 8, 2, 10**6, 1), "3 rows"),
        (header(-7, 8, 2, 3, -1), "3 rows"),
        (header(-7, 8, 2, 3, 10**9), "truncated"),
        (header(-7, 8, -2, 3, 10**12, dims="q"), "truncated"),
        (header(-7, 8, 2, 3, 1) + np.array([0, 1, 2.5]).tobytes(), "2.5 is no unit label"),
        (header(-7, 8, 2, 3, 1) + np.array([0, np.nan, 2]).tobytes(), "nan cannot be"),
        (header(-7, 8, 2, 3, 1) + np.array([0, 1, np.inf]).tobytes(), "inf cannot be"),
        (header(-7, 8, 2, 3, 1) + np.array([1e300, 1, 1]).tobytes(), "1e\\+300 cannot be"),
    ],
)
def test_damaged_files(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "firings.mda").write_bytes(content)
    with pytest.raises(FormatError, match=rf"firings\.mda.*{said}"):
        read_mda_sorting(tmp_path / "firings.mda", 1.0).to_spike_vector()


def test_large_files_have_wide_lengths(tmp_path: Path) -> None:
    data = FIRINGS.T.astype("<f8").tobytes()
    (tmp_path / "a.mda").write_bytes(header(-7, 8, -2, 3, 4, dims="q") + data)
    assert read_mda_sorting(tmp_path / "a.mda", 1.0).unit_ids.tolist() == [3, 7]


def test_the_rate_is_asked_for(tmp_path: Path) -> None:
    writemda(FIRINGS, str(tmp_path / "a.mda"), dtype="float64")
    with pytest.raises(NeedsSamplingFrequencyError):
        read_mda_sorting(tmp_path / "a.mda")
    with pytest.raises(SortingFileNotFoundError):
        read_mda_sorting(tmp_path / "absent.mda")


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_a_mutated_file_is_read_or_refused(
    read_or_refused: Callable[[Path], AbstractContextManager[None]],
    data: st.DataObject,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    path = tmp_path_factory.mktemp("mutated") / "firings.mda"
    content = bytearray(header(-7, 8, 2, 3, 4) + FIRINGS.T.astype("<f8").tobytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    with read_or_refused(path):
        read_mda_sorting(path, 1.0).to_spike_vector()
