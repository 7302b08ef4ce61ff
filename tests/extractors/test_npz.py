from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import spikeinterface.core as si
from hypothesis import given, settings
from hypothesis import strategies as st

from spikewire.core.errors import (
    ContentChangedError,
    FormatError,
    UnsafeContentError,
)
from spikewire.core.numpy_sorting import NumpySorting
from spikewire.core.sorting import BaseSorting
from spikewire.extractors.npz import NpzSortingExtractor, read_npz_sorting

Same = Callable[[BaseSorting, BaseSorting], None]


def arrays(**changes: Any) -> dict[str, np.ndarray]:
    """A sound npz of two units and one segment, but for the changes."""
    content = {
        "unit_ids": np.array([3, 8]),
        "num_segment": np.array([1]),
        "sampling_frequency": np.array([20000.0]),
        "spike_indexes_seg0": np.array([5, 9, 9, 12]),
        "spike_labels_seg0": np.array([8, 3, 8, 8]),
    }
    content.update(changes)
    return {name: values for name, values in content.items() if values is not None}


def test_a_sorting_comes_back(
    tmp_path: Path, sorting: NumpySorting, same_spikes: Same, same_windows: Same
) -> None:
    NpzSortingExtractor.write_sorting(sorting, tmp_path / "a")
    read = read_npz_sorting(tmp_path / "a.npz")
    same_windows(read, sorting)
    same_spikes(read, sorting)
    assert read._kwargs == {"file_path": str(tmp_path / "a.npz")}
    assert f"file_path: {tmp_path / 'a.npz'}" in repr(read)


def test_spikeinterface_reads_what_is_written(tmp_path: Path, int_sorting: NumpySorting) -> None:
    NpzSortingExtractor.write_sorting(int_sorting, tmp_path / "a.npz")
    read = si.NpzSortingExtractor(tmp_path / "a.npz")
    assert read.unit_ids.tolist() == int_sorting.unit_ids.tolist()
    assert read.get_num_segments() == 3
    for segment in range(3):
        for unit in int_sorting.unit_ids:
            train = int_sorting.get_unit_spike_train(unit, segment_index=segment)
            theirs = read.get_unit_spike_train(unit, segment_index=segment)
            assert np.array_equal(train, theirs)


def test_what_spikeinterface_writes_is_read(tmp_path: Path, int_sorting: NumpySorting) -> None:
    # A silent unit makes its labels float64.
    theirs = si.NumpySorting(int_sorting.to_spike_vector().copy(), 30000.0, int_sorting.unit_ids)
    si.NpzSortingExtractor.write_sorting(theirs, tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz") as archive:
        assert archive["spike_labels_seg0"].dtype == np.float64
    read = NpzSortingExtractor(tmp_path / "a.npz")
    for segment in range(3):
        for unit in read.unit_ids:
            train = int_sorting.get_unit_spike_train(unit, segment_index=segment)
            assert np.array_equal(train, read.get_unit_spike_train(unit, segment_index=segment))


def test_no_units_no_segments_and_trailing_empty_segments(tmp_path: Path, samples: Path) -> None:
    empty = NumpySorting.from_unit_dict([{}], 30000.0)
    NpzSortingExtractor.write_sorting(empty, tmp_path / "a.npz")
    assert NpzSortingExtractor(tmp_path / "a.npz").get_num_units() == 0
    np.savez(tmp_path / "b.npz", **arrays(num_segment=np.array([0])))
    assert NpzSortingExtractor(tmp_path / "b.npz").get_num_segments() == 0
    read = NpzSortingExtractor(samples / "si0.105.3" / "trailing_empty.npz")
    truth = si.NpzSortingExtractor(samples / "si0.105.3" / "trailing_empty.npz")
    assert read.get_num_segments() == truth.get_num_segments()
    assert read.segments[-1].get_last_spike_frame() is None


def test_compressed_archives(tmp_path: Path, same_spikes: Same, same_windows: Same) -> None:
    np.savez(tmp_path / "a.npz", **arrays())
    np.savez_compressed(tmp_path / "b.npz", **arrays())
    same_windows(NpzSortingExtractor(tmp_path / "b.npz"), NpzSortingExtractor(tmp_path / "a.npz"))
    same_spikes(NpzSortingExtractor(tmp_path / "b.npz"), NpzSortingExtractor(tmp_path / "a.npz"))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"unit_ids": None}, "no array named 'unit_ids'"),
        ({"spike_labels_seg0": None}, "no array named 'spike_labels_seg0'"),
        ({"num_segment": np.array([2])}, "no array named 'spike_indexes_seg1'"),
        ({"num_segment": np.array([-1])}, "num_segment is -1"),
        ({"num_segment": np.array([10**12])}, "num_segment is 1000000000000"),
        ({"num_segment": np.array([0.5])}, "num_segment is 0.5"),
        ({"num_segment": np.array(["1"])}, "one number"),
        ({"num_segment": np.array([], dtype=int)}, "one number"),
        ({"sampling_frequency": np.array([np.nan])}, "finite"),
        ({"sampling_frequency": np.array([-1.0])}, "finite"),
        ({"unit_ids": np.array([3, 3])}, "unique"),
        ({"unit_ids": np.array([3.0, 8.0])}, "integers or of strings"),
        ({"unit_ids": np.array([[3, 8], [1, 2]])}, "one column"),
        ({"spike_indexes_seg0": np.array([1, 2, 3])}, "3 spike times but 4 labels"),
        ({"spike_indexes_seg0": np.array([1.0, 2.0, 3.0, 4.0])}, "float64 are no samples"),
        ({"spike_indexes_seg0": np.array([[1], [2]] * 2) * [1, 1]}, "one column"),
    ],
)
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_damage_that_headers_show(
    tmp_path: Path, changes: dict[str, Any], said: str, save: Callable[..., None]
) -> None:
    save(tmp_path / "a.npz", **arrays(**changes))
    with pytest.raises(FormatError, match=rf"a\.npz.*{said}"):
        NpzSortingExtractor(tmp_path / "a.npz")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"spike_indexes_seg0": np.array([9, 5, 9, 12])}, "ascending"),
        ({"spike_indexes_seg0": np.array([1, 2, 3, 2**63], dtype=np.uint64)}, "int64 range"),
        ({"spike_labels_seg0": np.array([8, 3, 8, 4])}, "spikes of 4, which is no unit's id"),
        ({"spike_labels_seg0": np.array([8.0, 3.0, 8.5, 8.0])}, "spikes of 8.5"),
        ({"spike_labels_seg0": np.array([8.0, 3.0, np.nan, 8.0])}, "float64 name no units"),
        ({"spike_labels_seg0": np.array([8.0, 3.0, 2.0**60, 8.0])}, "float64 name no units"),
        ({"spike_labels_seg0": np.array(["8", "3", "8", "8"])}, "both be"),
        ({"spike_labels_seg0": np.array([True, False, True, True])}, "bool name no units"),
    ],
)
def test_damage_that_reading_shows(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    np.savez(tmp_path / "a.npz", **arrays(**changes))
    with pytest.raises(FormatError, match=rf"a\.npz.*{said}"):
        NpzSortingExtractor(tmp_path / "a.npz").to_spike_vector()


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("name", ["unit_ids", "num_segment", "spike_labels_seg0"])
def test_pickles_are_not_loaded(tmp_path: Path, save: Callable[..., None], name: str) -> None:
    save(tmp_path / "a.npz", **arrays(**{name: np.array([{}] * 4)}))
    with pytest.raises(UnsafeContentError, match=r"a\.npz"):
        NpzSortingExtractor(tmp_path / "a.npz")


def test_a_bomb_does_not_go_off(tmp_path: Path) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<i8", "fortran_order": False, "shape": (10**12,)}
    )
    np.savez(tmp_path / "a.npz", **arrays(spike_indexes_seg0=None))
    with zipfile.ZipFile(tmp_path / "a.npz", "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("spike_indexes_seg0.npy", header.getvalue() + bytes(300 * 2**20))
    with pytest.raises(FormatError, match="would grow from"):
        NpzSortingExtractor(tmp_path / "a.npz")
    with zipfile.ZipFile(tmp_path / "b.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("num_segment.npy", header.getvalue() + bytes(1000))
    with pytest.raises(FormatError, match="ends before"):
        NpzSortingExtractor(tmp_path / "b.npz")


def test_a_member_of_a_method_that_numpy_does_not_write(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("num_segment.npy", b"")
    with pytest.raises(FormatError, match="compressed by a method"):
        NpzSortingExtractor(tmp_path / "a.npz")


def test_a_file_replaced_after_it_was_opened(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", **arrays())
    sorting = NpzSortingExtractor(tmp_path / "a.npz")
    np.savez(tmp_path / "a.npz", **arrays(spike_indexes_seg0=np.array([1, 2, 3, 4])))
    with pytest.raises(ContentChangedError, match=r"a\.npz"):
        sorting.to_spike_vector()


def test_a_failed_write_leaves_what_was_there(tmp_path: Path, int_sorting: NumpySorting) -> None:
    np.savez(tmp_path / "a.npz", **arrays())
    before = (tmp_path / "a.npz").read_bytes()
    int_sorting.segments[2].get_spike_columns = lambda: 1 / 0  # type: ignore[method-assign]
    with pytest.raises(ZeroDivisionError):
        NpzSortingExtractor.write_sorting(int_sorting, tmp_path / "a.npz")
    assert (tmp_path / "a.npz").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]


def test_a_directory_that_points_before_the_file(tmp_path: Path) -> None:
    # Found by the test below.
    np.savez(tmp_path / "a.npz", **arrays())
    content = bytearray((tmp_path / "a.npz").read_bytes())
    offset = int.from_bytes(content[-6:-2], "little")
    content[-6:-2] = (offset + 1).to_bytes(4, "little")
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(FormatError, match=r"a\.npz"):
        NpzSortingExtractor(tmp_path / "a.npz")


@settings(max_examples=200, deadline=None)
@given(data=st.data())
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_a_mutated_file_is_read_or_refused(
    read_or_refused: Callable[[Path], AbstractContextManager[None]],
    data: st.DataObject,
    save: Callable[..., None],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    buffer = io.BytesIO()
    save(buffer, **arrays())
    content = bytearray(buffer.getvalue())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    end = data.draw(st.one_of(st.just(len(content)), st.integers(0, len(content))))
    path = tmp_path_factory.mktemp("mutated") / "a.npz"
    path.write_bytes(content[:end])
    with read_or_refused(path):
        sorting = NpzSortingExtractor(path)
        for segment in sorting.segments:
            segment.count_spikes()
            segment.get_unit_spike_train(sorting.unit_ids[0], 3, 10)
        assert len(sorting.to_spike_vector()) <= 8
