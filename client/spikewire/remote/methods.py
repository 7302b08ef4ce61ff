"""Every call that the client makes: how long it may take, and whether it may be repeated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from google.protobuf.message import Message

from spikewire.core.errors import SortingNotFoundError, SpikewireError
from spikewire.v1 import acquisition_service_pb2 as acquisitions
from spikewire.v1 import server_service_pb2 as server
from spikewire.v1 import sorting_service_pb2 as sortings
from spikewire.v1 import spike_train_service_pb2 as trains

RequestT = TypeVar("RequestT", bound=Message | bytes)
ResponseT = TypeVar("ResponseT")

UNARY_SECONDS = 30.0
COPY_SECONDS = 3600.0  # the server copies a whole sorting before it answers


@dataclass(frozen=True)
class Rpc(Generic[RequestT, ResponseT]):
    """One rpc.

    Attributes
    ----------
    service, method : str
        Their names in the protos.
    timeout : float
        Seconds that a unary call may take, retries included.
    retry : bool
        Whether the call may be repeated when the server was unavailable: the
        first one may have taken effect all the same.
    settled_by : tuple of exception classes
        Errors of a repeated call which say that the first one took effect.

    A request or response of the type `bytes` is a serialized message, as it goes or came.
    """

    service: str
    method: str
    request: type[RequestT]
    response: type[ResponseT]
    timeout: float = UNARY_SECONDS
    retry: bool = True
    settled_by: tuple[type[SpikewireError], ...] = ()

    @property
    def path(self) -> str:
        """What goes over the wire."""
        return f"/spikewire.v1.{self.service}/{self.method}"

    @property
    def codec(self) -> dict[str, Callable[[Any], Any] | None]:
        """What grpc needs to know of the messages; what has no codec is not copied."""
        return {
            "request_serializer": getattr(self.request, "SerializeToString", None),
            "response_deserializer": getattr(self.response, "FromString", None),
        }


GET_SERVER_INFO = Rpc(
    "ServerService", "GetServerInfo", server.GetServerInfoRequest, server.GetServerInfoResponse
)

_SORTINGS = "SortingService"
LIST_SORTINGS = Rpc(
    _SORTINGS, "ListSortings", sortings.ListSortingsRequest, sortings.ListSortingsResponse
)
GET_SORTING = Rpc(_SORTINGS, "GetSorting", sortings.GetSortingRequest, sortings.GetSortingResponse)
GET_PROPERTY = Rpc(
    _SORTINGS, "GetProperty", sortings.GetPropertyRequest, sortings.GetPropertyResponse
)
# Writes under an etag are not repeated: the second one would meet the first one's etag.
SET_PROPERTY = Rpc(
    _SORTINGS,
    "SetProperty",
    sortings.SetPropertyRequest,
    sortings.SetPropertyResponse,
    retry=False,
)
DELETE_PROPERTY = Rpc(
    _SORTINGS,
    "DeleteProperty",
    sortings.DeletePropertyRequest,
    sortings.DeletePropertyResponse,
    retry=False,
)
GET_ANNOTATIONS = Rpc(
    _SORTINGS, "GetAnnotations", sortings.GetAnnotationsRequest, sortings.GetAnnotationsResponse
)
SET_ANNOTATION = Rpc(
    _SORTINGS,
    "SetAnnotation",
    sortings.SetAnnotationRequest,
    sortings.SetAnnotationResponse,
    retry=False,
)
DELETE_ANNOTATION = Rpc(
    _SORTINGS,
    "DeleteAnnotation",
    sortings.DeleteAnnotationRequest,
    sortings.DeleteAnnotationResponse,
    retry=False,
)
# The server takes equal content for an existing name, so these may be repeated.
REGISTER_SORTING = Rpc(
    _SORTINGS,
    "RegisterSorting",
    sortings.RegisterSortingRequest,
    sortings.RegisterSortingResponse,
)
UPLOAD_SORTING = Rpc(
    _SORTINGS, "UploadSorting", sortings.UploadSortingRequest, sortings.UploadSortingResponse
)
SAVE_SORTING = Rpc(
    _SORTINGS,
    "SaveSorting",
    sortings.SaveSortingRequest,
    sortings.SaveSortingResponse,
    timeout=COPY_SECONDS,
)
DUMP_SORTING = Rpc(
    _SORTINGS, "DumpSorting", sortings.DumpSortingRequest, sortings.DumpSortingResponse
)
DELETE_SORTING = Rpc(
    _SORTINGS,
    "DeleteSorting",
    sortings.DeleteSortingRequest,
    sortings.DeleteSortingResponse,
    settled_by=(SortingNotFoundError,),
)

_TRAINS = "SpikeTrainService"
GET_UNIT_SPIKE_TRAIN = Rpc(
    _TRAINS,
    "GetUnitSpikeTrain",
    trains.GetUnitSpikeTrainRequest,
    trains.GetUnitSpikeTrainResponse,
)
# The bulk methods: see `spikewire.wire.cutting`.
GET_UNIT_SPIKE_TRAINS = Rpc(_TRAINS, "GetUnitSpikeTrains", trains.GetUnitSpikeTrainsRequest, bytes)
STREAM_SPIKES = Rpc(_TRAINS, "StreamSpikes", trains.StreamSpikesRequest, bytes)
COUNT_SPIKES = Rpc(_TRAINS, "CountSpikes", trains.CountSpikesRequest, trains.CountSpikesResponse)
QUERY = Rpc(_TRAINS, "Query", trains.QueryRequest, trains.QueryResponse)

_ACQUISITIONS = "AcquisitionService"
START_ACQUISITION = Rpc(
    _ACQUISITIONS,
    "StartAcquisition",
    acquisitions.StartAcquisitionRequest,
    acquisitions.StartAcquisitionResponse,
)
GET_ACQUISITION = Rpc(
    _ACQUISITIONS,
    "GetAcquisition",
    acquisitions.GetAcquisitionRequest,
    acquisitions.GetAcquisitionResponse,
)
FINISH_ACQUISITION = Rpc(
    _ACQUISITIONS,
    "FinishAcquisition",
    acquisitions.FinishAcquisitionRequest,
    acquisitions.FinishAcquisitionResponse,
    timeout=COPY_SECONDS,
)
APPEND_SPIKES = Rpc(_ACQUISITIONS, "AppendSpikes", bytes, acquisitions.AppendSpikesResponse)
FOLLOW_SPIKES = Rpc(
    _ACQUISITIONS,
    "FollowSpikes",
    acquisitions.FollowSpikesRequest,
    acquisitions.FollowSpikesResponse,
)
