"""What `load` takes, and what it refuses."""

from __future__ import annotations

import contextlib
import copy
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import spikewire as sw
from spikewire.core import registry
from spikewire.core.dump import MAX_DEPTH
from spikewire.core.errors import (
    ContractError,
    DumpError,
    InvalidValueError,
    NotASortingError,
    SortingNotFoundError,
    SpikewireError,
    UnknownClassError,
    UnsafeContentError,
)

NPZ = "spikeinterface.core.npzsortingextractor.NpzSortingExtractor"
SELECTION = "spikeinterface.core.unitsselectionsorting.UnitsSelectionSorting"


@pytest.fixture
def recorded(tmp_path: Path) -> sw.BaseSorting:
    sorting = sw.generate_sorting(seed=0)
    sw.NpzSortingExtractor.write_sorting(sorting, tmp_path / "spikes.npz")
    opened = sw.NpzSortingExtractor(tmp_path / "spikes.npz")
    opened.annotate(rat="a")
    opened.set_property("main_channel_id", np.arange(5))
    opened.set_property("depth", np.arange(5.0))
    return opened


def nested(dump: dict[str, Any], depth: int) -> dict[str, Any]:
    """The dump in so many selections."""
    for _ in range(depth):
        dump = {**dump, "class": SELECTION, "kwargs": {"parent_sorting": dump, "unit_ids": ["1"]}}
        dump["properties"] = {}
    return dump


def test_what_a_dump_holds(recorded: sw.BaseSorting, tmp_path: Path) -> None:
    dump = recorded.to_dict()
    assert list(dump) == [
        "class",
        "module",
        "kwargs",
        "version",
        "dumpable",
        "annotations",
        "properties",
        "relative_paths",
        "spikewire",
    ]
    assert dump["class"] == NPZ
    assert dump["kwargs"] == {"file_path": str(tmp_path / "spikes.npz")}
    assert dump["annotations"] == {}
    assert list(dump["properties"]) == ["main_channel_id"]
    everything = recorded.to_dict(include_annotations=True, include_properties=True)
    assert everything["annotations"] == {"rat": "a"}
    assert list(everything["properties"]) == ["main_channel_id", "depth"]
    loaded = sw.load(everything)
    assert loaded.get_property("depth").tolist() == [0, 1, 2, 3, 4]


def test_dumps_cannot_change_the_sorting(recorded: sw.BaseSorting) -> None:
    recorded.to_dict()["kwargs"]["file_path"] = "elsewhere"
    recorded.to_dict(include_annotations=True)["annotations"].clear()
    assert recorded.to_dict()["kwargs"]["file_path"] != "elsewhere"
    assert recorded.get_annotation("rat") == "a"


def test_live_and_nested_parents(recorded: sw.BaseSorting) -> None:
    view = recorded.select_units(["1", "3"])
    assert view.to_dict()["kwargs"]["parent_sorting"] is recorded
    assert view.to_dict(recursive=True)["kwargs"]["parent_sorting"]["class"] == NPZ
    for dump in (view.to_dict(), view.to_dict(recursive=True)):
        sw.check_sortings_equal(sw.load(dump), view)


def test_relative_paths(recorded: sw.BaseSorting, tmp_path: Path) -> None:
    with pytest.raises(InvalidValueError, match="recursive"):
        recorded.to_dict(relative_to=tmp_path)
    with pytest.raises(ContractError, match="existing folder"):
        recorded.to_dict(relative_to=tmp_path / "nowhere", recursive=True)
    (tmp_path / "sub").mkdir()
    dump = recorded.to_dict(relative_to=tmp_path / "sub", recursive=True)
    assert dump["kwargs"]["file_path"] == "../spikes.npz"
    assert dump["relative_paths"] is True
    with pytest.raises(ContractError, match="base_folder"):
        sw.load(dump)
    sw.check_sortings_equal(sw.load(dump, base_folder=tmp_path / "sub"), recorded)


def test_files(recorded: sw.BaseSorting, tmp_path: Path) -> None:
    recorded.dump_to_json(tmp_path / "new" / "folder" / "dump")
    loaded = sw.load(tmp_path / "new" / "folder" / "dump.json")
    assert loaded.get_annotation("rat") == "a"
    assert loaded.get_property("depth") is None
    recorded.dump_to_json(tmp_path / "all.json", include_properties=True, include_annotations=False)
    assert sw.load(tmp_path / "all.json").get_property("depth") is not None
    with pytest.raises(ContractError, match="must end in"):
        recorded.dump_to_json(tmp_path / "dump.txt")
    with pytest.raises(InvalidValueError, match="must end in"):
        recorded.dump(tmp_path / "dump.yaml")
    sw.BaseSorting.load(tmp_path / "all.json")


def test_json_of_numpy_values(recorded: sw.BaseSorting, tmp_path: Path) -> None:
    recorded.annotate(
        scalar=np.float32(0.5),
        array=np.arange(3),
        keys={np.int64(5): np.bool_(True)},
        type=np.int32,
        dtype=np.dtype("u2"),
        path=Path("a") / "b",
        tuple=(1, 2),
        set={7},
        day=np.datetime64("2026-01-01").item(),
        nan=float("nan"),
    )
    recorded.dump(tmp_path / "dump.json")
    annotations = json.loads((tmp_path / "dump.json").read_text())["annotations"]
    assert np.isnan(annotations.pop("nan"))
    assert annotations == {
        "rat": "a",
        "scalar": 0.5,
        "array": [0, 1, 2],
        "keys": {"5": True},
        "type": "int32",
        "dtype": "uint16",
        "path": str(Path("a") / "b"),
        "tuple": [1, 2],
        "set": [7],
        "day": "2026-01-01",
    }
    recorded.annotate(bytes=b"x")
    with pytest.raises(TypeError, match="bytes"):
        recorded.dump(tmp_path / "dump.json")


def test_a_failed_dump_leaves_the_old_file(recorded: sw.BaseSorting, tmp_path: Path) -> None:
    recorded.dump(tmp_path / "dump.json")
    before = (tmp_path / "dump.json").read_text()
    recorded.annotate(bytes=b"x")
    with pytest.raises(TypeError):
        recorded.dump(tmp_path / "dump.json")
    assert (tmp_path / "dump.json").read_text() == before


class Shell:
    """What it is unpickled from runs code."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("ran"),)


def test_pickles_need_permission(
    recorded: sw.BaseSorting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.pkl").write_bytes(pickle.dumps(Shell()))
    with pytest.raises(UnsafeContentError, match="allow_pickle=True"):
        sw.load(tmp_path / "bad.pkl")
    assert not (tmp_path / "ran").exists()
    recorded.dump(tmp_path / "good.pickle")
    loaded = sw.load(tmp_path / "good.pickle", allow_pickle=True)
    sw.check_sortings_equal(loaded, recorded, check_annotations=True, check_properties=True)
    (tmp_path / "cut.pkl").write_bytes((tmp_path / "good.pickle").read_bytes()[:-20])
    with pytest.raises(DumpError, match="unpickled"):
        sw.load(tmp_path / "cut.pkl", allow_pickle=True)


def test_what_lies_nowhere(tmp_path: Path) -> None:
    for path in (tmp_path / "nothing", tmp_path / "nothing.json"):
        with pytest.raises(SortingNotFoundError, match="there is no file or folder"):
            sw.load(path)
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(NotASortingError, match="not a dump"):
        sw.load(tmp_path / "notes.txt")
    (tmp_path / "empty").mkdir()
    with pytest.raises(NotASortingError, match="known format"):
        sw.load(tmp_path / "empty")


def test_addresses() -> None:
    for address in ("http://host/x.zarr", "s3://bucket/x", "file:///etc/passwd"):
        with pytest.raises(InvalidValueError, match="spikewire://"):
            sw.load(address)


def test_folders_that_hold_a_dump(recorded: sw.BaseSorting, tmp_path: Path) -> None:
    for name in ("si_folder.json", "cached.json"):
        folder = tmp_path / name.split(".")[0]
        folder.mkdir()
        recorded.select_units(["1"]).dump(folder / name, relative_to=True)
        assert sw.load(folder).unit_ids.tolist() == ["1"]


def test_registered_folders_come_first(
    recorded: sw.BaseSorting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "_folder_loaders", list(registry._folder_loaders))
    registry.register_folder_loader(lambda path: (path / "mine").exists(), lambda path: recorded)
    (tmp_path / "mine").touch()
    assert sw.load(tmp_path) is recorded


def test_deep_nesting(recorded: sw.BaseSorting, tmp_path: Path) -> None:
    dump = recorded.to_dict()
    assert sw.load(nested(dump, 20)).unit_ids.tolist() == ["1"]
    deep = nested(dump, 1000)
    with pytest.raises(DumpError, match="nested deeper"):
        sw.load(deep)
    brackets = '{"kwargs":' + "[" * 100_000 + "]" * 100_000 + "}"
    (tmp_path / "deep.json").write_text(brackets)
    with pytest.raises(DumpError):
        sw.load(tmp_path / "deep.json")
    itself: dict[str, Any] = dict(dump)
    itself["kwargs"] = {"parent_sorting": itself}
    with pytest.raises(DumpError, match=f"{MAX_DEPTH} levels"):
        sw.load(itself)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "3", "null", '"text"', "\xff\xfe", "9" * 10_000, "{'a': 1}"]
)
def test_files_that_are_no_dumps(text: str, tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text(text, encoding="latin-1")
    with pytest.raises(DumpError, match=r"bad\.json"):
        sw.load(tmp_path / "bad.json")


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"class": "subprocess.Popen"}, UnknownClassError),
        ({"class": "spikewire.core.loading.load"}, UnknownClassError),
        ({"class": 5}, DumpError),
        ({"class": ["a"]}, DumpError),
        ({"kwargs": None}, DumpError),
        ({"kwargs": []}, DumpError),
        ({"kwargs": {}}, DumpError),
        ({"kwargs": {5: 6}}, DumpError),
        ({"kwargs": {"file_path": 5}}, SpikewireError),
        ({"kwargs": {"file_path": "x", "other": 1}}, DumpError),
        ({"kwargs": {"parent_sorting": 5}, "class": SELECTION}, DumpError),
        ({"kwargs": {"parent_sorting": {}}, "class": SELECTION}, DumpError),
        ({"annotations": []}, DumpError),
        ({"annotations": {5: 6}}, DumpError),
        ({"properties": []}, SpikewireError),
        ({"properties": {"p": 5}}, SpikewireError),
        ({"properties": {"p": [1]}}, SpikewireError),
        ({"properties": {"p": [[1], 2, 3, 4, 5]}}, DumpError),
        ({"version": None}, DumpError),
    ],
)
def test_malformed_dumps(change: dict[str, Any], error: type, recorded: sw.BaseSorting) -> None:
    dump = recorded.to_dict()
    if change == {"properties": []}:
        change = {"properties": [1]}
    with pytest.raises(error):
        sw.load({**dump, **change})


def test_parts_that_are_missing(recorded: sw.BaseSorting) -> None:
    dump = recorded.to_dict()
    for key in ("class", "kwargs", "version", "annotations"):
        with pytest.raises(DumpError, match=key):
            sw.load({k: v for k, v in dump.items() if k != key})
    with pytest.raises(DumpError):
        sw.load({})
    for key in ("module", "dumpable", "properties", "relative_paths", "spikewire"):
        sw.load({k: v for k, v in dump.items() if k != key})


def test_mistakes_in_kwargs_keep_their_class(recorded: sw.BaseSorting) -> None:
    dump = recorded.select_units(["1"]).to_dict(recursive=True)
    dump["kwargs"]["unit_ids"] = ["nobody"]
    with pytest.raises(sw.errors.UnitSelectionError):
        sw.load(dump)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)


def _places(dump: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = dump.items() if isinstance(dump, dict) else enumerate(dump)
    found = [path]
    for key, value in inner:
        found += _places(value, (*path, key)) if isinstance(value, dict | list) else [(*path, key)]
    return found


@pytest.fixture(scope="module")
def plain_dumps(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Dumps of every kind of view, as JSON holds them."""
    folder = tmp_path_factory.mktemp("fuzz")
    path = folder / "spikes.npz"
    sw.NpzSortingExtractor.write_sorting(sw.generate_sorting(durations=[1.0, 1.0], seed=0), path)
    base = sw.NpzSortingExtractor(path)
    base.annotate(a=[1])
    base.set_property("main_channel_id", np.arange(5))
    first = sw.select_segment_sorting(base, 0)
    views = [
        base,
        base.select_units(["1", "3"]),
        first,
        first.frame_slice(10, 20_000),
        sw.append_sortings([base, base]),
        sw.concatenate_sortings([first, first], total_samples_list=[30_000] * 2),
        sw.aggregate_units({"x": base, "y": base}),
    ]
    for number, view in enumerate(views):
        view.dump(folder / f"{number}.json")
    return [json.loads((folder / f"{n}.json").read_text()) for n in range(len(views))]


@given(data=st.data())
@settings(max_examples=400, deadline=None)
def test_mutated_dumps_load_or_say_why(plain_dumps: list[dict[str, Any]], data: Any) -> None:
    dump = copy.deepcopy(data.draw(st.sampled_from(plain_dumps)))
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.sampled_from(_places(dump)[1:]))
        target = dump
        for key in place[:-1]:
            target = target[key]
        if isinstance(target, dict) and data.draw(st.booleans()):
            del target[place[-1]]
        else:
            target[place[-1]] = data.draw(values)
        if len(_places(dump)) < 2:
            break
    with contextlib.suppress(SpikewireError):
        sw.load(dump).count_total_num_spikes()
