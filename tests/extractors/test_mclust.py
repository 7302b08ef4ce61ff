from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest
import spikeinterface.extractors as sie
from hypothesis import given, settings
from hypothesis import strategies as st

from spikewire.core.errors import (
    ContentChangedError,
    FormatError,
    NeedsSamplingFrequencyError,
    SortingFileNotFoundError,
)
from spikewire.core.sorting import BaseSorting
from spikewire.extractors import MClustSortingExtractor, read_mclust, recognise

HEADER = b"%%BEGINHEADER\n% Program: matlab\n%%ENDHEADER\n"
STAMPS = [5, 70, 70, 900_000]


def write(path: Path, stamps: list[int], dtype: str = ">u4") -> Path:
    path.write_bytes(HEADER + np.array(stamps, dtype=dtype).tobytes())
    return path


def test_real_folder(real_data: Path, as_expected: Callable[[BaseSorting, str], None]) -> None:
    sorting = read_mclust(real_data / "mclust_R050", 32000)
    as_expected(sorting, "mclust_R050")
    path = real_data / "mclust_R050" / "R050-2014-04-02-TT15_12.t"
    stamps = np.frombuffer(path.read_bytes().partition(b"%%ENDHEADER\n")[2], ">u4")
    train = sorting.get_unit_spike_train("R050-2014-04-02-TT15_12")
    assert np.array_equal(train, np.rint(stamps / 1e4 * 32000))


@pytest.mark.parametrize(
    ("suffix", "dtype"), [("t", ">u4"), ("t", ">u8"), ("t32", ">u4"), ("t64", ">u8")]
)
def test_every_kind_like_spikeinterface(tmp_path: Path, suffix: str, dtype: str) -> None:
    write(tmp_path / f"TT1_1.{suffix}", STAMPS, dtype)
    write(tmp_path / f"TT1_2.{suffix}", [30], dtype)
    ours = read_mclust(tmp_path, 32000)
    theirs = sie.read_mclust(tmp_path, 32000)
    assert ours.unit_ids.tolist() == ["TT1_1", "TT1_2"]
    for mine, other in zip(ours.unit_ids, theirs.unit_ids, strict=True):
        train = theirs.get_unit_spike_train(other, use_cache=False)
        assert np.array_equal(ours.get_unit_spike_train(mine), train)
    assert ours.segments[0].count_spikes().tolist() == [4, 1]
    assert ours.segments[0].get_last_spike_frame() == 2_880_000
    assert ours.segments[0].get_unit_spike_train("TT1_1", 17, 225).tolist() == [224, 224]


def test_raw_files_need_to_be_told_their_unit(tmp_path: Path) -> None:
    write(tmp_path / "a_1.raw64", [100, 2**40], ">u8")
    with pytest.raises(NeedsSamplingFrequencyError, match="sampling_frequency_raw="):
        read_mclust(tmp_path, 32000)
    sorting = read_mclust(tmp_path, 32000, 64000)
    assert sorting.get_unit_spike_train("a_1").tolist() == [50, 2**39]
    assert sorting.clone().unit_ids.tolist() == ["a_1"]


def test_a_silent_unit_and_files_that_macos_leaves(tmp_path: Path) -> None:
    write(tmp_path / "b.t", [])
    write(tmp_path / "a.t", [5])
    (tmp_path / "._a.t").write_bytes(b"\0")
    (tmp_path / "c._t").write_bytes(b"")
    sorting = read_mclust(tmp_path, 10000)
    assert sorting.unit_ids.tolist() == ["a", "b"]
    assert sorting.to_spike_vector().tolist() == [(5, 0, 0)]


def test_the_rate_is_asked_for(tmp_path: Path) -> None:
    write(tmp_path / "a.t", [5])
    with pytest.raises(NeedsSamplingFrequencyError, match="sampling_frequency="):
        MClustSortingExtractor(tmp_path)
    with pytest.raises(FormatError, match="finite"):
        MClustSortingExtractor(tmp_path, float("nan"))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no header"),
        (b"\0\0\0\5", "no header"),
        (b"%%BEGINHEADER\n%", "no header"),
        (b"%%BEGINHEADER\n%%ENDHEADER", "no header"),
        (HEADER + b"\0\0\0\5\0", "cut off"),
        (HEADER + np.array([9, 5, 7], ">u4").tobytes(), "ascending"),
        (HEADER + np.array([5, 2**63], ">u8").tobytes(), "ascending|number of samples"),
    ],
)
def test_damaged_files(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "a.t").write_bytes(content)
    with pytest.raises(FormatError, match=said):
        read_mclust(tmp_path, 32000).to_spike_vector()


def test_stamps_beyond_any_recording(tmp_path: Path) -> None:
    write(tmp_path / "a.t64", [2**63], ">u8")
    with pytest.raises(FormatError, match=r"a\.t64.*number of samples"):
        read_mclust(tmp_path, 32000).to_spike_vector()


def test_folders_without_cell_files(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="no cell files"):
        read_mclust(tmp_path, 32000)
    with pytest.raises(SortingFileNotFoundError):
        read_mclust(tmp_path / "absent", 32000)
    (tmp_path / "other.t").write_text("a file of another program")
    assert recognise(tmp_path) is None


def test_a_file_that_changes(tmp_path: Path) -> None:
    path = write(tmp_path / "a.t", [5])
    sorting = read_mclust(tmp_path, 32000)
    write(path, [5, 6])
    with pytest.raises(ContentChangedError):
        sorting.to_spike_vector()


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_a_mutated_file_is_read_or_refused(
    read_or_refused: Callable[[Path], AbstractContextManager[None]],
    data: st.DataObject,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("mutated")
    path = write(folder / "a.t", STAMPS)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    with read_or_refused(folder):
        sorting = read_mclust(folder, 32000)
        sorting.segments[0].count_spikes()
        sorting.segments[0].get_last_spike_frame()
        sorting.to_spike_vector()
