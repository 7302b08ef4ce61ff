"""The one table between exception class, `ErrorReason` and status code.

The server turns exceptions into statuses with it, the client statuses into
exceptions, so a mistake raises the same class locally and remotely.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeVar

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]

from spikewire.core import errors
from spikewire.v1 import error_reason_pb2 as reasons

if TYPE_CHECKING:
    from collections.abc import Mapping

ErrorT = TypeVar("ErrorT", bound=errors.SpikewireError)

DOMAIN = "spikewire"
_Code = grpc.StatusCode
_DETAILS_KEY = "grpc-status-details-bin"
_CLASS_KEY = "exception"  # metadata that tells apart classes that share a reason
# Trailing metadata is refused by peers beyond 8 KiB, and the message is in it twice,
# once with three bytes for each byte that is not ASCII.
_MAX_MESSAGE_CHARACTERS = 600
_MAX_METADATA_CHARACTERS = 200


class _Row(NamedTuple):
    reason: reasons.ErrorReason.ValueType
    code: grpc.StatusCode
    # The first class is what the reason alone means.
    errors: tuple[type[errors.SpikewireError], ...]


_TABLE = (
    _Row(reasons.ERROR_REASON_SORTING_NOT_FOUND, _Code.NOT_FOUND, (errors.SortingNotFoundError,)),
    _Row(
        reasons.ERROR_REASON_UNIT_NOT_FOUND,
        _Code.NOT_FOUND,
        (errors.UnitNotFoundError, errors.UnitSelectionError),
    ),
    _Row(
        reasons.ERROR_REASON_SEGMENT_OUT_OF_RANGE,
        _Code.OUT_OF_RANGE,
        (errors.SegmentIndexError, errors.SegmentRequiredError),
    ),
    _Row(reasons.ERROR_REASON_PROPERTY_NOT_FOUND, _Code.NOT_FOUND, (errors.PropertyNotFoundError,)),
    _Row(
        reasons.ERROR_REASON_ANNOTATION_NOT_FOUND,
        _Code.NOT_FOUND,
        (errors.AnnotationNotFoundError,),
    ),
    _Row(
        reasons.ERROR_REASON_INVALID_ARGUMENT,
        _Code.INVALID_ARGUMENT,
        (errors.InvalidValueError, errors.InvalidTypeError, errors.MalformedMessageError),
    ),
    _Row(reasons.ERROR_REASON_INVALID_NAME, _Code.INVALID_ARGUMENT, (errors.InvalidNameError,)),
    _Row(reasons.ERROR_REASON_SORTING_EXISTS, _Code.ALREADY_EXISTS, (errors.SortingExistsError,)),
    _Row(reasons.ERROR_REASON_NAME_IN_ROOT, _Code.FAILED_PRECONDITION, (errors.ReadOnlyError,)),
    _Row(reasons.ERROR_REASON_REVISION_MISMATCH, _Code.ABORTED, (errors.RevisionMismatchError,)),
    _Row(reasons.ERROR_REASON_ETAG_MISMATCH, _Code.ABORTED, (errors.EtagMismatchError,)),
    _Row(reasons.ERROR_REASON_CONTENT_CHANGED, _Code.ABORTED, (errors.ContentChangedError,)),
    _Row(
        reasons.ERROR_REASON_NEEDS_SAMPLING_FREQUENCY,
        _Code.FAILED_PRECONDITION,
        (errors.NeedsSamplingFrequencyError,),
    ),
    _Row(
        reasons.ERROR_REASON_SORTING_BROKEN,
        _Code.FAILED_PRECONDITION,
        (
            errors.FormatError,
            errors.NotASortingError,
            errors.UnsafeContentError,
            errors.MissingExtraError,
        ),
    ),
    _Row(reasons.ERROR_REASON_UNKNOWN_CLASS, _Code.INVALID_ARGUMENT, (errors.UnknownClassError,)),
    _Row(reasons.ERROR_REASON_INVALID_DUMP, _Code.INVALID_ARGUMENT, (errors.DumpError,)),
    _Row(
        reasons.ERROR_REASON_LIMIT_EXCEEDED, _Code.RESOURCE_EXHAUSTED, (errors.LimitExceededError,)
    ),
    _Row(reasons.ERROR_REASON_UPLOAD_INCOMPLETE, _Code.DATA_LOSS, (errors.UploadIncompleteError,)),
    _Row(
        reasons.ERROR_REASON_STORE_UNWRITABLE,
        _Code.RESOURCE_EXHAUSTED,
        (errors.StoreUnwritableError,),
    ),
    _Row(reasons.ERROR_REASON_INTERNAL, _Code.INTERNAL, (errors.InternalServerError,)),
    _Row(
        reasons.ERROR_REASON_OFFSET_OUT_OF_RANGE,
        _Code.OUT_OF_RANGE,
        (errors.OffsetOutOfRangeError,),
    ),
    _Row(reasons.ERROR_REASON_INVALID_VALUE, _Code.INVALID_ARGUMENT, (errors.ContractError,)),
    _Row(reasons.ERROR_REASON_WRITER_FENCED, _Code.ABORTED, (errors.WriterFencedError,)),
    _Row(reasons.ERROR_REASON_SEQUENCE_GAP, _Code.OUT_OF_RANGE, (errors.SequenceGapError,)),
    _Row(
        reasons.ERROR_REASON_RECORD_CONFLICT,
        _Code.FAILED_PRECONDITION,
        (errors.RecordConflictError,),
    ),
    _Row(reasons.ERROR_REASON_REVISION_EXPIRED, _Code.OUT_OF_RANGE, (errors.RevisionExpiredError,)),
    _Row(
        reasons.ERROR_REASON_NOT_RECORDING, _Code.FAILED_PRECONDITION, (errors.NotRecordingError,)
    ),
)
_ROW_OF: Mapping[type[BaseException], _Row] = {error: row for row in _TABLE for error in row.errors}
_ROW_NAMED: Mapping[str, _Row] = {reasons.ErrorReason.Name(row.reason): row for row in _TABLE}

# What a status code means if its reason is unknown here, or absent.
_BY_CODE: Mapping[grpc.StatusCode, type[errors.SpikewireError]] = {
    _Code.UNAVAILABLE: errors.ServerUnavailableError,
    _Code.DEADLINE_EXCEEDED: errors.DeadlineExceededError,
    _Code.UNIMPLEMENTED: errors.NotSupportedByServerError,
    _Code.NOT_FOUND: errors.SortingNotFoundError,
    _Code.INVALID_ARGUMENT: errors.InvalidValueError,
    _Code.OUT_OF_RANGE: errors.InvalidValueError,
    _Code.ALREADY_EXISTS: errors.SortingExistsError,
    _Code.ABORTED: errors.ContentChangedError,
    _Code.RESOURCE_EXHAUSTED: errors.LimitExceededError,
    _Code.INTERNAL: errors.InternalServerError,
}


class ErrorStatus(NamedTuple):
    """How a failed call ends: the arguments of ``context.abort``."""

    code: grpc.StatusCode
    details: str
    trailing_metadata: tuple[tuple[str, bytes], ...]


def with_metadata(error: ErrorT, **metadata: object) -> ErrorT:
    """Attach the names and numbers that a message mentions, for programs.

    They cross the wire as the metadata of ErrorInfo; `metadata_of` reads them on
    either side.

    Examples
    --------
    >>> raise with_metadata(SortingNotFoundError("no sorting 'a'"), name="a")
    """
    error.__dict__["metadata"] = {key: str(value) for key, value in metadata.items()}
    return error


def metadata_of(error: BaseException) -> dict[str, str]:
    """Return what `with_metadata` attached, here or on the server."""
    metadata: dict[str, str] = error.__dict__.get("metadata", {})
    return dict(metadata)


def status_of(error: Exception, request_id: str) -> ErrorStatus:
    """Return how a call ends that failed with this exception.

    Parameters
    ----------
    error : Exception
        What the handler raised. Whatever spikewire does not raise on purpose
        becomes INTERNAL, with nothing of its text: it may hold paths.
    request_id : str
        Under which the server's log has the details of such an exception.
    """
    # A class that is not in the table means what its nearest base in it means.
    kind = next((kind for kind in type(error).__mro__ if kind in _ROW_OF), None)
    message, metadata = str(error), metadata_of(error)
    if kind is None:
        kind = errors.InternalServerError
        message = f"the server failed in a way it did not expect; its log has it as {request_id}"
        metadata = {"request_id": request_id}
    row = _ROW_OF[kind]
    message = _clip(message, _MAX_MESSAGE_CHARACTERS)
    info = error_details_pb2.ErrorInfo(
        reason=reasons.ErrorReason.Name(row.reason),
        domain=DOMAIN,
        metadata={
            key: _clip(value, _MAX_METADATA_CHARACTERS)
            for key, value in ({_CLASS_KEY: kind.__name__} | metadata).items()
        },
    )
    number: int = row.code.value[0]
    status = status_pb2.Status(code=number, message=message)
    status.details.add().Pack(info)
    return ErrorStatus(row.code, message, ((_DETAILS_KEY, status.SerializeToString()),))


def error_from_rpc(error: Exception, address: str, method: str) -> errors.SpikewireError:
    """Return the exception that a failed call means.

    Parameters
    ----------
    error : grpc.RpcError or grpc.FutureCancelledError
        What grpc raised.
    address : str
        The server's address, for the message.
    method : str
        The rpc that was called, for the message.
    """
    if not isinstance(error, grpc.Call | grpc.aio.AioRpcError):
        return errors.ServerUnavailableError(f"the call of {method} at {address} failed: {error}")
    code, message = error.code(), error.details() or ""
    info = _error_info(error)
    if info is not None:
        kind = _class_of(info) or _BY_CODE.get(code, errors.RemoteError)
        return with_metadata(kind(message), **info.metadata)
    if code is _Code.UNAVAILABLE:
        message = f"no spikewire server answers at {address} ({message})"
    elif code is _Code.DEADLINE_EXCEEDED:
        message = f"{method} did not end within its deadline at {address}"
    elif code is _Code.UNIMPLEMENTED:
        message = (
            f"the server at {address} does not know the call {method}: it is older than this "
            f"client, or not a spikewire server"
        )
    else:
        message = f"{method} failed at {address}: {code.name} ({message})"
    return _BY_CODE.get(code, errors.RemoteError)(message)


def _class_of(info: error_details_pb2.ErrorInfo) -> type[errors.SpikewireError] | None:
    row = _ROW_NAMED.get(info.reason)
    if row is None:
        return None
    named = (kind for kind in row.errors if kind.__name__ == info.metadata.get(_CLASS_KEY))
    return next(named, row.errors[0])


def _error_info(error: grpc.Call | grpc.aio.AioRpcError) -> error_details_pb2.ErrorInfo | None:
    for key, value in error.trailing_metadata() or ():
        if key != _DETAILS_KEY:
            continue
        status, info = status_pb2.Status(), error_details_pb2.ErrorInfo()
        try:
            status.ParseFromString(value)
            for detail in status.details:
                if detail.Unpack(info) and info.domain == DOMAIN:
                    return info
        except DecodeError:
            return None
    return None


def _clip(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
