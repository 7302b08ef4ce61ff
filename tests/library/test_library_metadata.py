from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikewire.core.errors import (
    AnnotationNotFoundError,
    ContractError,
    EtagMismatchError,
    InvalidNameError,
    InvalidTypeError,
    LimitExceededError,
    PropertyNotFoundError,
    RevisionMismatchError,
    SortingNotFoundError,
)
from spikewire.core.numpy_sorting import NumpySorting
from spikewire.wire.errors import metadata_of
from spikewire_server.library.overlay import filled_dtype, fit

PHY = "lab/phy"


def keys(library, name):
    return [info.key for info in library.describe(name).properties]


def etag_of(library, name, key):
    return next(info.etag for info in library.describe(name).properties if info.key == key)


@pytest.fixture
def stored(library, sorting, upload):
    upload(library, "s", sorting)
    return library


STRUCTURED = np.array([(1, 2.0)] * 3, dtype=[("a", "<i4"), ("b", "<f8", (1,))])


@pytest.mark.parametrize(
    "values",
    [
        np.array([1, 2, 3], np.int16),
        np.array([True, False, True]),
        np.array(["", "ü", "xyz"]),
        np.array([b"a", b"", b"\xff"]),
        np.array([1 + 2j, 0, np.nan]),
        np.array(["2026-11-22", "NaT", "1970-01-01"], "M8[D]"),
        np.zeros((3, 2, 4), np.float32),
        np.zeros((3, 0)),
        np.array([{"a": 1}, None, [1, "x"]], dtype=object),
        STRUCTURED,
    ],
    ids=lambda values: str(values.dtype),
)
def test_properties_of_every_type_come_back(stored, values):
    etag = stored.set_property("s", "p", values)
    got, got_etag = stored.get_property("s", "p")
    assert got.dtype == values.dtype
    assert got.shape == values.shape
    assert got.tobytes() == values.tobytes() or got.tolist() == values.tolist()
    (info,) = stored.describe("s").properties
    assert info == ("p", values.dtype, values.shape, etag)
    assert got_etag == etag


def test_annotations_come_back(stored):
    value = {"a": [1, None, True, 2.5, "ü"], "b": {"c": b"\0"}}
    etag = stored.set_annotation("s", "note", value)
    assert stored.get_annotations("s") == [("note", value, etag)]
    assert stored.describe("s").annotations == (("note", etag),)
    assert stored.open("s").sorting.get_annotation("note") == value
    stored.delete_annotation("s", "note", etag)
    assert stored.get_annotations("s") == []


def test_what_is_not_there_cannot_be_had_or_removed(stored):
    with pytest.raises(PropertyNotFoundError):
        stored.get_property("s", "p")
    with pytest.raises(PropertyNotFoundError) as caught:
        stored.delete_property("s", "p")
    assert metadata_of(caught.value) == {"name": "s", "key": "p"}
    with pytest.raises(AnnotationNotFoundError):
        stored.delete_annotation("s", "p")
    for call in (
        lambda: stored.get_property("none", "p"),
        lambda: stored.set_property("none", "p", np.zeros(3)),
        lambda: stored.set_annotation("none", "p", 1),
        lambda: stored.get_annotations("none"),
    ):
        with pytest.raises(SortingNotFoundError):
            call()


def test_values_must_fit_the_units(stored):
    for values in (np.zeros(2), np.zeros(4), np.array(1.0), np.zeros((1, 3))):
        with pytest.raises(ContractError, match="needs 3 values"):
            stored.set_property("s", "p", values)
    with pytest.raises(InvalidTypeError):
        stored.set_property("s", "p", np.array([1, 2, 3], np.longdouble))
    with pytest.raises(InvalidTypeError):
        stored.set_annotation("s", "k", object())
    for key in ("", "a\nb", "k" * 600):
        with pytest.raises(InvalidNameError):
            stored.set_property("s", key, np.zeros(3))
        with pytest.raises(InvalidNameError):
            stored.set_annotation("s", key, 1)
    with pytest.raises(RevisionMismatchError):
        stored.set_property("s", "p", np.zeros(3), revision="not this")
    assert keys(stored, "s") == []


def test_large_annotations_are_refused(start, sorting, upload):
    library = start(max_property_bytes=100)
    upload(library, "s", sorting)
    with pytest.raises(LimitExceededError) as caught:
        library.set_annotation("s", "k", "x" * 200)
    assert metadata_of(caught.value) == {"limit": "property_bytes", "maximum": "100"}


def test_an_etag_is_compared_before_writing(stored):
    with pytest.raises(EtagMismatchError):
        stored.set_property("s", "p", np.zeros(3), if_etag="unknown")
    first = stored.set_property("s", "p", np.zeros(3), if_etag="")
    with pytest.raises(EtagMismatchError) as caught:
        stored.set_property("s", "p", np.ones(3), if_etag="")
    assert metadata_of(caught.value) == {"key": "p", "expected": "", "actual": first}
    second = stored.set_property("s", "p", np.ones(3), if_etag=first)
    assert second != first
    with pytest.raises(EtagMismatchError):
        stored.delete_property("s", "p", first)
    other = stored.set_property("s", "other", np.ones(3), if_etag="")
    assert etag_of(stored, "s", "p") == second
    assert other != second
    stored.delete_property("s", "p", second)
    stored.set_property("s", "p", np.ones(3), if_etag="")


def test_only_one_of_two_clients_writes(stored):
    etag = stored.set_property("s", "p", np.zeros(3))
    barrier = threading.Barrier(6)
    written, refused = [], []

    def write(number):
        barrier.wait()
        try:
            written.append((number, stored.set_property("s", "p", np.full(3, number), etag)))
        except EtagMismatchError as error:
            refused.append(metadata_of(error)["actual"])

    threads = [threading.Thread(target=write, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ((number, new_etag),) = written
    values, now = stored.get_property("s", "p")
    assert (values.tolist(), now) == ([number] * 3, new_etag)
    assert refused == [new_etag] * 5


def test_different_keys_never_conflict(stored):
    def write(key):
        etag = ""
        for number in range(10):
            etag = stored.set_property("s", key, np.full(3, number), if_etag=etag)

    threads = [threading.Thread(target=write, args=(f"k{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(keys(stored, "s")) == ["k0", "k1", "k2", "k3"]
    assert all(stored.get_property("s", key)[0].tolist() == [9, 9, 9] for key in keys(stored, "s"))


def test_notes_lie_over_what_a_root_has(library, phy):
    phy()
    base = keys(library, PHY)
    assert "quality" in base
    etag = etag_of(library, PHY, "quality")
    with pytest.raises(EtagMismatchError):
        library.set_property(PHY, "quality", np.array(["a", "b"]), if_etag="")
    library.set_property(PHY, "quality", np.array(["a", "b"]), if_etag=etag)
    library.set_property(PHY, "mine", np.array([1, 2]))
    assert keys(library, PHY) == [*base, "mine"]
    assert library.get_property(PHY, "quality")[0].tolist() == ["a", "b"]
    assert library.open(PHY).sorting.get_property("quality").tolist() == ["a", "b"]


def test_what_a_root_has_can_be_removed_from_sight(library, phy):
    phy()
    etag = etag_of(library, PHY, "quality")
    with pytest.raises(EtagMismatchError):
        library.delete_property(PHY, "quality", "not this")
    library.delete_property(PHY, "quality", etag)
    assert "quality" not in keys(library, PHY)
    assert "quality" not in library.open(PHY).sorting.get_property_keys()
    with pytest.raises(PropertyNotFoundError):
        library.get_property(PHY, "quality")
    with pytest.raises(PropertyNotFoundError):
        library.delete_property(PHY, "quality")
    library.set_property(PHY, "quality", np.array(["x", "y"]), if_etag="")
    assert library.get_property(PHY, "quality")[0].tolist() == ["x", "y"]


def test_notes_survive_a_restart(start, phy):
    phy()
    library = start()
    etag = library.set_property(PHY, "mine", np.array([1, 2]))
    library.close()
    assert start().get_property(PHY, "mine")[1] == etag


def test_units_that_still_exist_keep_their_notes(library, phy, old):
    folder = phy()
    notes = {
        "f": (np.array([1.5, 2.5]), [2.5, np.nan]),
        "i": (np.array([1, 2]), [2, None]),
        "b": (np.array([True, False]), [False, None]),
        "U": (np.array(["a", "b"]), ["b", ""]),
        "O": (np.array([{"x": 1}, [1]], dtype=object), [[1], None]),
        "2d": (np.array([[1.0, 2.0], [3.0, 4.0]]), [[3.0, 4.0], [np.nan, np.nan]]),
        "quality": (np.array(["mine0", "mine2"]), ["mine2", "mua"]),
    }
    etags = {key: library.set_property(PHY, key, values) for key, (values, _) in notes.items()}
    library.set_property(PHY, "V", np.zeros(2, dtype=[("a", "i4")]))
    np.save(folder / "spike_clusters.npy", np.array([2, 2, 7, 7], dtype=np.int32))
    (folder / "cluster_group.tsv").write_text("cluster_id\tgroup\n2\tnoise\n7\tmua\n")
    old(folder / "spike_clusters.npy")
    entry = library.describe(PHY)
    assert entry.unit_ids.tolist() == [2, 7]
    infos = {info.key: info for info in entry.properties}
    assert "V" not in infos
    for key, (_, expected) in notes.items():
        values, etag = library.get_property(PHY, key)
        assert repr(values.tolist()) == repr(expected), key
        assert etag == etags[key] == infos[key].etag
        assert (infos[key].dtype, infos[key].shape) == (values.dtype, values.shape)
    with pytest.raises(PropertyNotFoundError):
        library.get_property(PHY, "V")


def test_a_note_is_not_attached_to_what_came_meanwhile(stored, sorting, upload, monkeypatch):
    other = NumpySorting.from_samples_and_labels([np.array([1])], [np.array([1])], 1.0, [1, 2, 3])
    revision = stored.describe("s").revision
    write = stored._editor._write

    def replaced_first(*args):
        upload(stored, "s", other, if_revision=revision)
        return write(*args)

    monkeypatch.setattr(stored._editor, "_write", replaced_first)
    with pytest.raises(RevisionMismatchError):
        stored.set_property("s", "p", np.array([1, 2, 3]))
    assert keys(stored, "s") == []


ids = st.lists(st.integers(0, 12), unique=True, max_size=8)


@given(noted=ids, today=ids, kind=st.sampled_from("fciubOUSMm"), has_base=st.booleans())
def test_fit_gives_every_unit_its_own_value(noted, today, kind, has_base):
    def values_of(units):
        made = [f"{unit}" if kind in "US" else unit for unit in units]
        dtype = {"i": "i4", "u": "u2", "O": object, "M": "M8[s]", "m": "m8[s]"}.get(kind, kind)
        dtype = {"f": "f8", "c": "c16", "b": "?", "U": "U3", "S": "S3"}.get(dtype, dtype)
        return np.array(made, dtype=dtype)

    values, base = values_of(noted), values_of(today) if has_base else None
    complete = set(today) <= set(noted)
    dtype = filled_dtype(values.dtype, None if base is None else base.dtype, complete)
    fitted = fit(values, noted, today, base, dtype)
    assert fitted.dtype == dtype
    assert fitted.shape == (len(today),)
    expected = dict(zip(noted, values.tolist(), strict=True))
    for unit, value in zip(today, fitted.tolist(), strict=True):
        if unit in expected:
            assert value == expected[unit]
        elif has_base:
            assert value == values_of([unit]).tolist()[0]
        else:
            assert value in (None, "", b"") or value != value
