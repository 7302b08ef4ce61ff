"""Unit ids, sortings and errors on the wire."""

from __future__ import annotations

import builtins

import grpc
import numpy as np
import pytest
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2

from spikewire.core import errors
from spikewire.core.errors import InvalidTypeError, MalformedMessageError
from spikewire.v1 import dump_pb2, error_reason_pb2, sorting_pb2
from spikewire.wire.errors import error_from_rpc, metadata_of, status_of, with_metadata
from spikewire.wire.sortings import sorting_from_proto
from spikewire.wire.unit_ids import unit_ids_from_proto, unit_ids_to_proto

PURPOSEFUL = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type)
    and issubclass(kind, errors.SpikewireError)
    and kind not in (errors.SpikewireError, errors.RemoteError)
    # A client has no business with the server's files: it learns that there is no sorting.
    and kind is not errors.SortingFileNotFoundError
    # A rig's own disk is full: the server never hears of it.
    and kind is not errors.SpoolFullError
    # These a client makes itself, of what happened to the call.
    and not issubclass(
        kind,
        errors.ServerUnavailableError
        | errors.DeadlineExceededError
        | errors.NotSupportedByServerError,
    )
]


class FailedCall(grpc.RpcError, grpc.Call):
    """What grpc raises, as far as it is looked at."""

    def __init__(self, code, details="", trailing_metadata=()):
        self._code, self._details, self._trailing = code, details, trailing_metadata

    def code(self):
        return self._code

    def details(self):
        return self._details

    def trailing_metadata(self):
        return self._trailing

    initial_metadata = add_callback = cancel = is_active = time_remaining = None


FailedCall.__abstractmethods__ = frozenset()


def across(error: Exception) -> errors.SpikewireError:
    status = status_of(error, "id-1")
    return error_from_rpc(FailedCall(*status), "host:7745", "Method")


@pytest.mark.parametrize(
    "unit_ids",
    [
        np.array([3, 1, -2]),
        np.array([1, 2], dtype=np.int32),
        np.array([2**64 - 1], dtype=np.uint64),
        np.array([1, 300], dtype=np.uint16),
        np.array(["a", "", "ü7"]),
        np.array(["1", "a"], dtype="<U21"),
        np.array([b"x", b"yz"]),
        np.array([], dtype=np.int64),
        np.array([], dtype="<U4"),
        np.array([]),
    ],
    ids=lambda ids: f"{ids.dtype.str}-{len(ids)}",
)
def test_unit_ids_round_trip(unit_ids):
    message = sorting_pb2.UnitIds.FromString(unit_ids_to_proto(unit_ids).SerializeToString())
    received = unit_ids_from_proto(message)
    assert received.dtype == unit_ids.dtype
    assert received.tolist() == unit_ids.tolist()


@pytest.mark.parametrize("unit_ids", [np.array([1.5]), np.array([None]), np.array([True])])
def test_unit_ids_of_other_types_are_refused(unit_ids):
    with pytest.raises(InvalidTypeError):
        unit_ids_to_proto(unit_ids)


@pytest.mark.parametrize(
    "message",
    [
        sorting_pb2.UnitIds(dtype="<i8"),
        sorting_pb2.UnitIds(signed_ids={"values": [300]}, dtype="|i1"),
        sorting_pb2.UnitIds(signed_ids={"values": [1]}, dtype="<U3"),
        sorting_pb2.UnitIds(signed_ids={"values": [1]}, dtype="<f8"),
        sorting_pb2.UnitIds(signed_ids={"values": [1]}, dtype="|O"),
        sorting_pb2.UnitIds(unsigned_ids={"values": [2**63]}, dtype="<i8"),
        sorting_pb2.UnitIds(string_ids={"values": ["abc"]}, dtype="<U2"),
        sorting_pb2.UnitIds(string_ids={"values": ["abc"]}, dtype="<U1000000000"),
    ],
    ids=str,
)
def test_unit_ids_that_do_not_fit_their_type_are_refused(message):
    with pytest.raises(MalformedMessageError):
        unit_ids_from_proto(message)


def test_unit_ids_without_a_type_are_as_wide_as_they_can_be():
    message = sorting_pb2.UnitIds(unsigned_ids={"values": [7]})
    assert unit_ids_from_proto(message).dtype == np.uint64


def test_sortings_tell_unknown_from_nothing():
    info = sorting_from_proto(
        sorting_pb2.Sorting(
            name="a/b",
            state=sorting_pb2.SORTING_STATE_READY,
            unit_count=0,
            segments=[{"t_start_seconds": 0.0}, {}],
            properties=[{"key": "q", "type": dump_pb2.ArrayType(format="<f4"), "shape": [0, 3]}],
        )
    )
    assert (info.unit_count, info.spike_count, info.sampling_frequency) == (0, None, None)
    assert info.t_starts == (0.0, None)
    assert info.properties["q"].dtype == np.float32
    assert repr(info) == "<a/b: ready, 0 units>"


def test_unknown_fields_and_enum_values_are_ignored():
    """A newer server knows states, origins and fields that this client does not."""
    message = sorting_pb2.Sorting(name="a", state=77, origin=78).SerializeToString()
    unknown_field = b"\xb8\x3e\x05"  # field 999, the number 5
    info = sorting_from_proto(sorting_pb2.Sorting.FromString(message + unknown_field))
    assert (info.name, info.state, info.origin) == ("a", "unknown", "unknown")


@pytest.mark.parametrize("kind", PURPOSEFUL)
def test_every_error_crosses_the_wire_as_itself(kind):
    error = across(with_metadata(kind("no such thing"), name="a", maximum=7))
    assert type(error) is kind
    assert str(error) == "no such thing"
    assert metadata_of(error)["name"] == "a"
    assert metadata_of(error)["maximum"] == "7"


def test_every_reason_has_a_class():
    named = {error_details(status_of(kind("x"), "id")).reason for kind in PURPOSEFUL}
    assert named == set(error_reason_pb2.ErrorReason.keys()) - {"ERROR_REASON_UNSPECIFIED"}


def error_details(status):
    rich = status_pb2.Status.FromString(dict(status.trailing_metadata)["grpc-status-details-bin"])
    info = error_details_pb2.ErrorInfo()
    assert rich.details[0].Unpack(info)
    assert rich.code == status.code.value[0]
    return info


def test_a_subclass_crosses_as_its_nearest_base():
    assert type(across(errors.SortingFileNotFoundError("x"))) is errors.SortingNotFoundError

    class Special(errors.UnitNotFoundError):
        pass

    assert type(across(Special("x"))) is errors.UnitNotFoundError


@pytest.mark.parametrize("kind", [RuntimeError, KeyError, builtins.OSError, MemoryError])
def test_what_nobody_meant_to_raise_tells_nothing_but_its_id(kind):
    status = status_of(kind("/home/secret/file.npz"), "id-1")
    assert status.code is grpc.StatusCode.INTERNAL
    assert "secret" not in str(status)
    error = across(kind("/home/secret/file.npz"))
    assert type(error) is errors.InternalServerError
    assert metadata_of(error)["request_id"] == "id-1"
    assert "id-1" in str(error)


def test_long_messages_fit_into_trailing_metadata():
    long = "\u00fc" * 100_000
    status = status_of(with_metadata(errors.InvalidNameError(long), name=long), "id")
    size = len(status.details.encode()) * 3 + len(status.trailing_metadata[0][1]) * 4 / 3
    assert size < 8000


@pytest.mark.parametrize(
    ("code", "kind", "says"),
    [
        (grpc.StatusCode.UNAVAILABLE, errors.ServerUnavailableError, "host:7745"),
        (grpc.StatusCode.DEADLINE_EXCEEDED, errors.DeadlineExceededError, "host:7745"),
        (grpc.StatusCode.UNIMPLEMENTED, errors.NotSupportedByServerError, "Method"),
        (grpc.StatusCode.NOT_FOUND, errors.SortingNotFoundError, "Method"),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, errors.LimitExceededError, "Method"),
        (grpc.StatusCode.DATA_LOSS, errors.RemoteError, "DATA_LOSS"),
        (grpc.StatusCode.UNKNOWN, errors.RemoteError, "UNKNOWN"),
    ],
)
def test_statuses_without_a_reason_go_by_their_code(code, kind, says):
    error = error_from_rpc(FailedCall(code, "details"), "host:7745", "Method")
    assert type(error) is kind
    assert says in str(error)


@pytest.mark.parametrize(
    ("domain", "reason"),
    [("spikewire", "ERROR_REASON_OF_THE_FUTURE"), ("elsewhere", "ERROR_REASON_INTERNAL")],
)
def test_unknown_reasons_go_by_their_code(domain, reason):
    detail = any_pb2.Any()
    detail.Pack(error_details_pb2.ErrorInfo(domain=domain, reason=reason))
    rich = status_pb2.Status(details=[detail]).SerializeToString()
    call = FailedCall(grpc.StatusCode.ABORTED, "x", (("grpc-status-details-bin", rich),))
    assert type(error_from_rpc(call, "a", "M")) is errors.ContentChangedError


def test_damaged_details_go_by_their_code():
    call = FailedCall(
        grpc.StatusCode.NOT_FOUND, "x", (("grpc-status-details-bin", b"\xff\xff\xff"),)
    )
    assert type(error_from_rpc(call, "a", "M")) is errors.SortingNotFoundError
