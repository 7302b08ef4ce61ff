from __future__ import annotations

import datetime
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import spikeinterface.core as si
import spikeinterface.extractors as sie
from hypothesis import given, settings
from hypothesis import strategies as st

import spikewire.extractors
from spikewire.core.errors import (
    ContentChangedError,
    ContractError,
    DumpError,
    FormatError,
    InvalidNameError,
    InvalidValueError,
    MissingExtraError,
    NeedsSamplingFrequencyError,
    SortingExistsError,
    SortingFileNotFoundError,
)
from spikewire.core.loading import load
from spikewire.core.numpy_sorting import NumpySorting
from spikewire.core.sorting import BaseSorting
from spikewire.extractors import NwbSortingExtractor, read_nwb_sorting, recognise

Same = Callable[[BaseSorting, BaseSorting], None]
NOW = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)


@pytest.fixture
def path(tmp_path: Path, mono_sorting: NumpySorting) -> Path:
    NwbSortingExtractor.write_sorting(mono_sorting, tmp_path / "a.nwb", NOW)
    return tmp_path / "a.nwb"


def test_real_file(real_data: Path, as_expected: Callable[[BaseSorting, str], None]) -> None:
    file = real_data / "nwb_pynapple_A8604" / "A8604-211122.nwb"
    with pytest.raises(NeedsSamplingFrequencyError, match="sampling_frequency="):
        read_nwb_sorting(file)
    sorting = read_nwb_sorting(file, sampling_frequency=20000)
    as_expected(sorting, "nwb_pynapple_A8604")
    theirs = sie.read_nwb_sorting(file, sampling_frequency=20000.0, t_start=0.0)
    assert np.array_equal(sorting.to_spike_vector(), theirs.to_spike_vector())
    with h5py.File(file) as root:
        seconds = root["units/spike_times"][:11020]
    assert np.array_equal(sorting.get_unit_spike_train_in_seconds(6), seconds)
    some = theirs.get_unit_spike_train_in_seconds(191, start_time=500.0, end_time=510.0)
    assert np.array_equal(sorting.get_unit_spike_train_in_seconds(191, 0, 500.0, 510.0), some)


def test_a_sorting_comes_back(
    path: Path, mono_sorting: NumpySorting, same_spikes: Same, same_windows: Same
) -> None:
    read = read_nwb_sorting(path)
    in_unit_order = NumpySorting.from_unit_dict(
        [{unit: mono_sorting.get_unit_spike_train(unit) for unit in mono_sorting.unit_ids}], 25000.0
    )
    same_windows(read, in_unit_order)
    same_spikes(read, in_unit_order)
    assert set(read.get_property_keys()) == {"quality", "snr"}
    for key in ("quality", "snr"):
        np.testing.assert_array_equal(read.get_property(key), mono_sorting.get_property(key))
    same_spikes(read.clone(), in_unit_order)


def test_spikeinterface_reads_what_is_written(tmp_path: Path, mono_sorting: NumpySorting) -> None:
    mono_sorting.set_property("flag", [True, False, True])
    mono_sorting.set_property("location", np.arange(6.0).reshape(3, 2))
    named = mono_sorting.rename_units(["a", "β", "c"])
    for name, sorting in (("a", mono_sorting), ("b", named)):
        NwbSortingExtractor.write_sorting(sorting, tmp_path / f"{name}.nwb", NOW)
        theirs = sie.read_nwb_sorting(tmp_path / f"{name}.nwb")
        assert list(theirs.unit_ids) == list(sorting.unit_ids)
        assert theirs.sampling_frequency == pytest.approx(25000.0, rel=1e-12)
        for unit in sorting.unit_ids:
            train = sorting.get_unit_spike_train(unit)
            assert np.array_equal(theirs.get_unit_spike_train(unit), train)
        for key in ("quality", "flag", "location"):
            assert theirs.get_property(key).tolist() == sorting.get_property(key).tolist()
        read = read_nwb_sorting(tmp_path / f"{name}.nwb")
        assert read.unit_ids.tolist() == sorting.unit_ids.tolist()


def test_native_seconds_are_kept(tmp_path: Path) -> None:
    seconds = np.array([0.1, 0.1000049, 0.30000001])
    with h5py.File(tmp_path / "a.nwb", "w") as root:
        units = root.create_group("units")
        units["id"] = [5]
        units["spike_times"] = seconds
        units["spike_times_index"] = [3]
    sorting = read_nwb_sorting(tmp_path / "a.nwb", sampling_frequency=1000, t_start=0.05)
    assert sorting.get_unit_spike_train(5).tolist() == [50, 50, 250]
    assert np.array_equal(sorting.get_unit_spike_train_in_seconds(5), seconds)
    NwbSortingExtractor.write_sorting(sorting, tmp_path / "b.nwb", NOW)
    again = read_nwb_sorting(tmp_path / "b.nwb", t_start=0.05)
    assert np.array_equal(again.get_unit_spike_train_in_seconds(5), seconds)
    assert again.to_spike_vector().tolist() == sorting.to_spike_vector().tolist()


def test_times_out_of_order_within_a_unit(path: Path) -> None:
    with h5py.File(path, "r+") as root:
        times = root["units/spike_times"]
        times[:5] = times[:5][::-1]
    sorting = read_nwb_sorting(path)
    assert (np.diff(sorting.get_unit_spike_train(4)) >= 0).all()
    assert (np.diff(sorting.to_spike_vector()["sample_index"]) >= 0).all()


def add_series(path: Path, **content: Any) -> None:
    with h5py.File(path, "r+") as root:
        series = root.create_group("acquisition/recording")
        series.attrs["neurodata_type"] = "ElectricalSeries"
        for name, value in {"data": np.zeros((4, 2)), "electrodes": [0, 1], **content}.items():
            series[name] = value
        if "starting_time" in series:
            series["starting_time"].attrs["rate"] = 12500.0


def test_the_time_base_of_a_recording(path: Path) -> None:
    add_series(path, starting_time=0.004)
    with pytest.raises(InvalidValueError, match="give t_start"):
        read_nwb_sorting(path)
    with pytest.raises(InvalidValueError, match="either electrical_series_path"):
        read_nwb_sorting(path, "acquisition/recording", t_start=1.0)
    with pytest.raises(InvalidValueError, match="no recording"):
        read_nwb_sorting(path, "acquisition/absent")
    name = "acquisition/recording"
    ours, theirs = read_nwb_sorting(path, name), sie.read_nwb_sorting(path, name)
    assert ours.sampling_frequency == theirs.sampling_frequency == 12500.0
    assert np.array_equal(ours.to_spike_vector(), theirs.to_spike_vector())
    assert ours.get_start_time() == 0.004
    assert load(theirs.to_dict()).to_spike_vector().tolist() == ours.to_spike_vector().tolist()
    assert si.load(ours.to_dict()).sampling_frequency == 12500.0
    given = read_nwb_sorting(path, sampling_frequency=100, t_start=0.01)
    assert load(given.to_dict()).to_spike_vector().tolist() == given.to_spike_vector().tolist()


def test_a_recording_without_a_rate(path: Path) -> None:
    add_series(path, timestamps=[0.0, 0.1])
    with pytest.raises(NeedsSamplingFrequencyError, match="states times, no rate"):
        read_nwb_sorting(path, "acquisition/recording")


def test_dumps_of_streams_are_refused() -> None:
    dump = {
        "class": NwbSortingExtractor._dump_class,
        "kwargs": {"file_path": "https://host/a.nwb", "stream_mode": "remfile"},
        "version": "0.105.3",
        "annotations": {},
    }
    with pytest.raises(DumpError, match="not streamed"):
        load(dump)


def test_a_table_elsewhere_and_ragged_columns(path: Path) -> None:
    with h5py.File(path, "r+") as root:
        root["units/electrodes"] = np.arange(6)
        root["units/electrodes_index"] = [2, 4, 6]
        root["units/amplitudes"] = np.arange(4.0)
        root["units/amplitudes_index"] = [1, 2, 4]
        root["units/group"] = np.array([root["units"].ref] * 3, dtype=h5py.ref_dtype)
        root.move("units", "processing/curated")
    with pytest.raises(FormatError, match="no spike times in 'units'"):
        read_nwb_sorting(path)
    sorting = read_nwb_sorting(path, unit_table_path="processing/curated")
    assert sorting.get_property("electrodes").tolist() == [[0, 1], [2, 3], [4, 5]]  # type: ignore[union-attr]
    assert set(sorting.get_property_keys()) == {"quality", "snr", "electrodes"}
    assert sorting.clone().get_num_units() == 3
    bare = read_nwb_sorting(path, unit_table_path="processing/curated", load_unit_properties=False)
    assert bare.get_property_keys() == []


def test_what_cannot_be_written(
    tmp_path: Path, int_sorting: NumpySorting, mono_sorting: NumpySorting
) -> None:
    with pytest.raises(ContractError, match="one segment"):
        NwbSortingExtractor.write_sorting(int_sorting, tmp_path / "a.nwb", NOW)
    with pytest.raises(InvalidValueError, match="time zone"):
        NwbSortingExtractor.write_sorting(
            mono_sorting, tmp_path / "a.nwb", datetime.datetime(2026, 1, 1)
        )
    for key in ("a/b", "x_index", "id", "electrodes"):
        sorting = mono_sorting.clone()
        sorting.set_property(key, [1, 2, 3])
        with pytest.raises(InvalidNameError):
            NwbSortingExtractor.write_sorting(sorting, tmp_path / "a.nwb", NOW)
    with pytest.raises(InvalidValueError, match="unit id"):
        NwbSortingExtractor.write_sorting(
            mono_sorting.rename_units(np.array([1, 2, 2**63], dtype=np.uint64)),
            tmp_path / "a.nwb",
            NOW,
        )
    mono_sorting.set_property("when", np.array(["2026"] * 3, dtype="M8[Y]"))
    with pytest.warns(UserWarning, match="left out: \\['when'\\]"):
        NwbSortingExtractor.write_sorting(mono_sorting, tmp_path / "a.nwb", NOW)
    mono_sorting.delete_property("when")
    with pytest.raises(SortingExistsError):
        NwbSortingExtractor.write_sorting(mono_sorting.select_units([4]), tmp_path / "a.nwb", NOW)


def test_no_units(tmp_path: Path) -> None:
    empty = NumpySorting.from_unit_dict([{}], 30000.0)
    NwbSortingExtractor.write_sorting(empty, tmp_path / "a.nwb", NOW)
    read = read_nwb_sorting(tmp_path / "a.nwb")
    assert read.get_num_units() == 0
    assert read.get_last_spike_frame() == 0
    assert read.to_spike_vector().size == 0


@pytest.fixture(scope="module")
def small_file(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("small") / "a.nwb"
    sorting = NumpySorting.from_unit_dict([{1: np.array([5, 9]), 2: np.array([7])}], 1000.0)
    sorting.set_property("quality", ["good", "mua"])
    NwbSortingExtractor.write_sorting(sorting, path, NOW)
    return path.read_bytes()


def replace(root: h5py.File, name: str, value: Any) -> None:
    del root[name]
    root[name] = value


def claim_much(root: h5py.File) -> None:
    del root["units/spike_times"]
    root.create_dataset("units/spike_times", shape=(10**12,), chunks=(1000,), dtype="<f8")
    replace(root, "units/spike_times_index", [1, 2, 10**12])


def lead_out(root: h5py.File) -> None:
    del root["units/spike_times"]
    root["units/spike_times"] = h5py.ExternalLink("other.nwb", "/units/spike_times")


def store_outside(root: h5py.File) -> None:
    del root["units/spike_times"]
    root["units"].create_dataset(
        "spike_times", shape=(800,), dtype="<f8", external=[("/etc/passwd", 0, 6400)]
    )


def be_virtual(root: h5py.File) -> None:
    del root["units/spike_times"]
    layout = h5py.VirtualLayout(shape=(800,), dtype="<f8")
    layout[:] = h5py.VirtualSource("other.nwb", "units/spike_times", shape=(800,))
    root["units"].create_virtual_dataset("spike_times", layout)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda root: replace(root, "units/spike_times", ["a"]), "no column of numbers"),
        (lambda root: replace(root, "units/spike_times", np.zeros((2, 2))), "no column"),
        (lambda root: replace(root, "units/spike_times", np.full(800, np.nan)), "nan cannot be"),
        (lambda root: replace(root, "units/spike_times_index", [1, 2]), "one number a unit"),
        (lambda root: replace(root, "units/spike_times_index", [9, 2, 800]), "does not divide"),
        (lambda root: replace(root, "units/spike_times_index", [1, 2, 900]), "does not divide"),
        (lambda root: replace(root, "units/spike_times_index", [1.0, 2.0, 3.0]), "one number"),
        (lambda root: replace(root, "units/id", [1, 1, 2]), "unique"),
        (lambda root: replace(root, "units/id", [1.5, 1, 2]), "integers or of strings"),
        (lambda root: replace(root, "units/snr", [1.5]), "one row for each unit"),
        (lambda root: root.__delitem__("units/id"), "no dataset"),
        (lambda root: root.__delitem__("units"), "no spike times"),
        (claim_much, "claims 8000000000000 bytes; no more than 0"),
        (lead_out, "damaged"),
        (store_outside, "no more than 0 are in the file"),
        (be_virtual, "no more than 0 are in the file"),
    ],
)
def test_damaged_files(path: Path, damage: Callable[[h5py.File], None], said: str) -> None:
    with h5py.File(path, "r+") as root:
        damage(root)
    with pytest.raises(FormatError, match=rf"a\.nwb.*{said}"):
        read_nwb_sorting(path, sampling_frequency=1000).to_spike_vector()


def test_files_of_another_kind(tmp_path: Path, path: Path) -> None:
    (tmp_path / "b.nwb").write_text("no HDF5")
    with pytest.raises(FormatError, match="not an HDF5 file"):
        read_nwb_sorting(tmp_path / "b.nwb")
    (tmp_path / "c.nwb").write_bytes(path.read_bytes()[:600])
    with pytest.raises(FormatError, match=r"c\.nwb"):
        read_nwb_sorting(tmp_path / "c.nwb")
    with pytest.raises(SortingFileNotFoundError):
        read_nwb_sorting(tmp_path / "absent.nwb")


def test_a_file_that_changes(path: Path, tmp_path: Path) -> None:
    sorting = read_nwb_sorting(path)
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(ContentChangedError):
        sorting.to_spike_vector()


def test_without_the_extra(
    path: Path, monkeypatch: pytest.MonkeyPatch, mono_sorting: NumpySorting
) -> None:
    monkeypatch.setitem(sys.modules, "pyfive", None)
    monkeypatch.delitem(sys.modules, "spikewire.extractors.hdf5", raising=False)
    monkeypatch.delattr(spikewire.extractors, "hdf5", raising=False)
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(MissingExtraError, match=r"spikewire\[nwb\]"):
        read_nwb_sorting(path)
    with pytest.raises(MissingExtraError, match=r"spikewire\[nwb\]"):
        NwbSortingExtractor.write_sorting(mono_sorting, path, NOW)
    assert recognise(path) is not None


def test_compressed_chunks(tmp_path: Path, path: Path) -> None:
    truth = read_nwb_sorting(path).to_spike_vector()
    with h5py.File(path, "r+") as root:
        times = root["units/spike_times"][:]
        del root["units/spike_times"]
        root["units"].create_dataset(
            "spike_times",
            data=times,
            chunks=(100,),
            compression="gzip",
            shuffle=True,
            maxshape=(None,),
        ).attrs["resolution"] = 1 / 25000
    sorting = read_nwb_sorting(path)
    assert np.array_equal(sorting.to_spike_vector(), truth)
    train = sorting.segments[0].get_unit_spike_train(9, 100, 4000)
    assert np.array_equal(train, read_nwb_sorting(path).get_unit_spike_train(9, 0, 100, 4000))


def test_an_attribute_that_claims_much(path: Path) -> None:
    # Found by the test below: pyfive makes room for every value.
    with h5py.File(path, "r+") as root:
        root["units/spike_times"].attrs.create("words", ["a"] * 77)
    content = path.read_bytes()
    shape = (77).to_bytes(8, "little")
    assert content.count(shape * 2) == 1
    path.write_bytes(content.replace(shape * 2, (2**29).to_bytes(8, "little") * 2))
    with pytest.raises(FormatError, match="claims 536870912 values"):
        read_nwb_sorting(path)


def test_links_in_circles(path: Path) -> None:
    with h5py.File(path, "r+") as root:
        root["units/round"] = h5py.SoftLink("/units/round")
        root["acquisition/again"] = root["/"]
        root["analysis/again"] = root["/"]
    with pytest.raises(FormatError, match=r"a\.nwb"):
        read_nwb_sorting(path)


def test_recognised(path: Path, tmp_path: Path) -> None:
    found = recognise(path)
    assert found is not None
    assert found.name == "nwb"
    assert found.open(path, 1000).sampling_frequency == 1000.0
    with h5py.File(tmp_path / "recording.nwb", "w") as root:
        root.create_group("acquisition")
    assert recognise(tmp_path / "recording.nwb") is None


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_a_mutated_file_is_read_or_refused(
    read_or_refused: Callable[[Path], AbstractContextManager[None]],
    small_file: bytes,
    data: st.DataObject,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    path = tmp_path_factory.mktemp("mutated") / "a.nwb"
    content = bytearray(small_file)
    for _ in range(data.draw(st.integers(1, 10))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    with read_or_refused(path):
        read_nwb_sorting(path, sampling_frequency=1000).to_spike_vector()
