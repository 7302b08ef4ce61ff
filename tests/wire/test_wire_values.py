"""Values, arrays and properties: every type that the API allows comes back the same."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime
from pathlib import PurePosixPath

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from spikewire.core.errors import (
    InvalidTypeError,
    InvalidValueError,
    LimitExceededError,
    MalformedMessageError,
)
from spikewire.v1 import dump_pb2 as pb
from spikewire.v1 import sorting_service_pb2 as service_pb
from spikewire.wire.arrays import dtype_from_proto, dtype_to_proto
from spikewire.wire.properties import MAX_SLICE_BYTES, PropertyAssembler, property_to_slices
from spikewire.wire.values import (
    array_from_proto,
    array_to_proto,
    entries_from_proto,
    value_from_proto,
    value_to_proto,
)

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(),
    st.text(st.characters(exclude_categories=["Cs"])),
    st.binary(),
)
values = st.recursive(
    scalars,
    lambda children: (
        st.lists(children)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), children)
    ),
    max_leaves=20,
)
dtypes = st.one_of(
    hnp.scalar_dtypes().filter(lambda dtype: dtype.itemsize not in (12, 16, 32)),
    hnp.complex_number_dtypes(sizes=(64, 128)),
    hnp.unicode_string_dtypes(max_len=5),
    hnp.byte_string_dtypes(max_len=5),
)
records = hnp.array_dtypes(dtypes, max_size=4) | hnp.nested_dtypes(dtypes, max_leaves=4)
# Titles, second names of fields that hardly anybody knows, are not kept.
records = records.filter(lambda dtype: "((" not in str(dtype))


def same(value, other) -> bool:
    if isinstance(value, float) and math.isnan(value):
        return isinstance(other, float) and math.isnan(other)
    if isinstance(value, list):
        return len(value) == len(other) and all(map(same, value, other))
    if isinstance(value, dict):
        return list(value) == list(other) and all(same(value[key], other[key]) for key in value)
    return type(value) is type(other) and value == other


def sent(value):
    message = value_to_proto(value)
    return value_from_proto(pb.Value.FromString(message.SerializeToString()))


@given(values)
def test_values_round_trip(value):
    assert same(value, sent(value))


@given(hnp.arrays(dtypes | records, hnp.array_shapes(min_dims=0, min_side=0, max_side=4)))
def test_arrays_round_trip(array):
    message = pb.Array.FromString(array_to_proto(array).SerializeToString())
    received = array_from_proto(message)
    assert received.dtype == array.dtype.newbyteorder("<")
    assert received.shape == array.shape
    assert received.flags.writeable
    assert received.tobytes() == array.astype(received.dtype).tobytes()


@pytest.mark.parametrize(
    "value",
    [
        np.float32(1.5),
        np.int16(-3),
        np.str_("ü"),
        np.bool_(True),
        np.datetime64("2026-11-22T10:00:00", "ms"),
        np.array((1, 2.5), dtype=[("a", "<i2"), ("b", "<f8")])[()],
    ],
)
def test_numpy_scalars_stay_numpy_scalars(value):
    received = sent(value)
    assert type(received) is type(value)
    assert received.dtype == value.dtype
    assert received == value


def test_arrays_of_objects():
    array = np.empty((2, 2), dtype=object)
    array[0, 0], array[0, 1], array[1, 0], array[1, 1] = None, "text", [1, 2], {"a": np.arange(3)}
    received = sent(array)
    assert received.dtype == object
    assert received.shape == (2, 2)
    assert received[0].tolist() == [None, "text"]
    assert received[1, 0] == [1, 2]
    assert received[1, 1]["a"].tolist() == [0, 1, 2]


def test_records_keep_offsets_padding_and_subarrays():
    dtype = np.dtype(
        {
            "names": ["x", "shape", "where"],
            "formats": ["<i2", ("<U3", (2, 2)), [("lat", "<f4"), ("long", "<f4")]],
            "offsets": [8, 16, 72],
            "itemsize": 96,
        }
    )
    array = np.zeros(3, dtype)
    array["shape"] = "abc"
    array["where"]["long"] = 2.5
    received = sent(array)
    assert received.dtype == dtype
    assert (received == array).all()


def test_other_orders_of_bytes_and_axes_are_made_portable():
    array = np.asfortranarray(np.arange(6, dtype=">i4").reshape(2, 3))
    message = array_to_proto(array)
    assert message.type.format == "<i4"
    assert message.data == np.arange(6, dtype="<i4").tobytes()
    np.testing.assert_array_equal(array_from_proto(message), array)


@pytest.mark.parametrize(
    ("value", "received"),
    [
        ((1, (2,)), [1, [2]]),
        (PurePosixPath("/a/b"), "/a/b"),
        (date(2026, 11, 22), "2026-11-22"),
        (datetime(2026, 11, 22, 10, tzinfo=UTC), "2026-11-22T10:00:00+00:00"),
        (bytearray(b"ab"), b"ab"),
    ],
)
def test_values_without_a_form_of_their_own(value, received):
    assert sent(value) == received


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (2**64, InvalidValueError),
        (-(2**63) - 1, InvalidValueError),
        ("\ud800", InvalidValueError),
        ({"\ud800": 1}, InvalidValueError),
        ({1: 2}, InvalidTypeError),
        (object(), InvalidTypeError),
        ({1, 2}, InvalidTypeError),
        (1j, InvalidTypeError),
        (np.longdouble(1), InvalidTypeError),
        (np.zeros(1, [("a", object)]), InvalidTypeError),
        (np.array([object()]), InvalidTypeError),
    ],
)
def test_what_cannot_be_sent_is_refused(value, error):
    with pytest.raises(error):
        value_to_proto(value)


def test_deep_values_are_refused_before_a_parser_refuses_them():
    fits = too_deep = 0
    for _ in range(44):
        fits = [fits]
    assert sent(fits) == fits
    for _ in range(1000):
        too_deep = {"a": too_deep}
    with pytest.raises(InvalidValueError, match="deep"):
        value_to_proto(too_deep)


def array(shape=(2,), data=b"\0" * 16, **type_):
    return pb.Array(type=pb.ArrayType(**({"format": "<f8"} | type_)), shape=shape, data=data)


@pytest.mark.parametrize(
    "message",
    [
        pb.Array(),
        array(shape=(3,)),
        array(shape=(1,)),
        array(shape=(10**12,)),
        array(shape=(2**63, 2**63)),
        array(shape=(0, 2**62, 2**62), data=b""),
        array(shape=[1] * 100),
        array(format="f8"),
        array(format=">f8"),
        array(format="<f16"),
        array(format="|V0"),
        array(format="<U0"),
        array(format="<U999999999"),
        array(format="float64"),
        array(format="os.system"),
        array(format="<i8,<i8"),
        array(format="O"),
        array(format="|b1", data=b"\2\1"),
        array(format="<U2", data=b"\xff" * 16),
        array(format="<U1", data=b"a\0\0\0\0\0\x11\0"),
        array(format="<M8[parsec]"),
        array(fields=[pb.ArrayField(name="a", type=pb.ArrayType(format="<f8"))]),
        array(
            format="|V8",
            fields=[pb.ArrayField(name="a", type=pb.ArrayType(format="<f8"), offset_bytes=1)],
        ),
        array(format="|V8", fields=[pb.ArrayField(name="a", type=pb.ArrayType(format="|O"))]),
        array(format="|V8", fields=2 * [pb.ArrayField(name="a", type=pb.ArrayType(format="<f4"))]),
        array(
            format="|V8",
            fields=[pb.ArrayField(name="a", type=pb.ArrayType(format="<f4"), shape=(2**40, 2**40))],
        ),
        array(
            shape=(1,),
            format="|V8",
            data=b"\5" * 8,
            fields=[pb.ArrayField(name="a", type=pb.ArrayType(format="|b1"))],
        ),
        pb.Array(type=pb.ArrayType(format="|O"), shape=(2,), items=[pb.Value(bool_value=True)]),
        pb.Array(type=pb.ArrayType(format="|O"), shape=(1,), items=[pb.Value()]),
    ],
    ids=str,
)
def test_malformed_arrays_are_refused(message):
    with pytest.raises(MalformedMessageError):
        array_from_proto(message)


def test_types_nested_without_end_are_refused():
    nested = pb.ArrayType(format="|V8")
    for _ in range(20):
        nested = pb.ArrayType(format="|V8", fields=[pb.ArrayField(name="a", type=nested)])
    with pytest.raises(MalformedMessageError):
        dtype_from_proto(nested)


def test_values_that_are_legal_elsewhere_only_are_refused():
    for message in (pb.Value(), pb.Value(dump_value=pb.DumpDict()), pb.Value(sorting_value={})):
        with pytest.raises(MalformedMessageError):
            value_from_proto(message)


def test_a_key_that_comes_twice_is_refused():
    entry = pb.ValueEntry(key="a", value=pb.Value(bool_value=True))
    with pytest.raises(MalformedMessageError, match="twice"):
        entries_from_proto([entry, entry])


def assembled(slices, **limits):
    assembler = PropertyAssembler(**limits)
    complete = [assembler.feed(piece) for piece in slices]
    assert assembler.is_complete
    return [pair for pair in complete if pair is not None]


@pytest.mark.parametrize(
    "property_values",
    [
        np.arange(5, dtype="<i4"),
        np.array(["a", "bc", ""]),
        np.array([True, False]),
        np.zeros((400_000, 2, 3), dtype="<f4"),
        np.zeros(0),
        np.zeros((0, 4), dtype=object),
        np.zeros((3, 0)),
        np.array([None, {"a": [1]}, "x"], dtype=object),
        np.array(["y" * 400_000] * 7, dtype=object),
        np.array([("2026-01-01", 5)], dtype=[("when", "<M8[s]"), ("n", "u1")]),
    ],
    ids=lambda array: f"{array.dtype.str}-{array.shape}",
)
def test_properties_travel_in_slices(property_values):
    first = list(property_to_slices("key", property_values))
    both = first + list(property_to_slices("other", np.arange(3)))
    assert all(len(piece.data) <= MAX_SLICE_BYTES for piece in both)
    (key, received), (other, _) = assembled(both)
    assert (key, other) == ("key", "other")
    assert received.dtype == property_values.dtype
    np.testing.assert_array_equal(received, property_values)


def test_large_properties_of_objects_are_cut():
    values = np.array(["y" * 400_000] * 7, dtype=object)
    assert [len(piece.items) for piece in property_to_slices("k", values)] == [2, 2, 2, 1]


def pieces(**changes):
    header = {"key": "k", "type": dtype_to_proto(np.dtype("<f8")), "shape": [2]} | changes
    return service_pb.PropertySlice(**header)


@pytest.mark.parametrize(
    "slices",
    [
        [service_pb.PropertySlice(data=b"12345678")],
        [pieces(data=b"1" * 24)],
        [pieces(shape=[])],
        [pieces(data=b"1"), pieces(data=b"1")],
        [pieces(data=b"1"), service_pb.PropertySlice()],
        [pieces(items=[pb.Value(bool_value=True)])],
        [pieces(type=pb.ArrayType(format="|O"), data=b"1")],
    ],
)
def test_slices_that_do_not_fit_are_refused(slices):
    with pytest.raises(MalformedMessageError):
        assembled(slices)


def test_a_property_over_the_limit_is_refused_at_its_header():
    with pytest.raises(LimitExceededError, match="'k'"):
        PropertyAssembler(max_bytes=100).feed(pieces(shape=[10**12]))


def test_objects_over_the_limit_are_refused_as_they_come():
    slices = property_to_slices("k", np.array(["x" * 60] * 5, dtype=object))
    with pytest.raises(LimitExceededError):
        assembled(slices, max_bytes=100)


def test_a_property_that_is_cut_is_not_complete():
    assembler = PropertyAssembler()
    assert assembler.feed(pieces(data=b"12345678")) is None
    assert not assembler.is_complete
