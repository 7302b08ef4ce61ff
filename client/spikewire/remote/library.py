"""What can be done with the sortings of a server, as operations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from spikewire._version import __version__
from spikewire.core.aggregation import UnitsAggregationSorting
from spikewire.core.dump import DIALECT, SortingReference, class_path
from spikewire.core.errors import (
    FormatError,
    InvalidTypeError,
    InvalidValueError,
    MalformedMessageError,
    RevisionMismatchError,
)
from spikewire.core.sorting import BaseSorting
from spikewire.remote.calls import call, send
from spikewire.remote.methods import (
    COUNT_SPIKES,
    DELETE_SORTING,
    DUMP_SORTING,
    GET_SERVER_INFO,
    GET_SORTING,
    LIST_SORTINGS,
    REGISTER_SORTING,
    SAVE_SORTING,
    UPLOAD_SORTING,
)
from spikewire.remote.references import from_server, to_server
from spikewire.remote.resources import Resources
from spikewire.remote.steps import Operation
from spikewire.remote.target import Target
from spikewire.remote.upload import Progress, upload_requests
from spikewire.v1 import server_service_pb2
from spikewire.v1 import sorting_service_pb2 as pb
from spikewire.v1.spike_train_service_pb2 import CountSpikesRequest
from spikewire.wire.dumps import dump_from_proto, dump_to_proto
from spikewire.wire.sortings import SortingInfo, sorting_from_proto


@dataclass(frozen=True)
class ServerInfo:
    """What a server says of itself."""

    address: str
    """Where it is, "host:port"."""
    version: str
    """Its version."""
    features: frozenset[str]
    """What it can do beyond the first release, by name."""
    limits: Mapping[str, int]
    """What it accepts at most, by name; 0 means unlimited."""


def get_server_info(target: Target, timeout: float) -> Operation[ServerInfo]:
    """Return what the server says of itself, within so many seconds."""
    request = server_service_pb2.GetServerInfoRequest(client_version=__version__)
    response = yield from call(GET_SERVER_INFO, request, timeout)
    limits = {field.name: value for field, value in response.limits.ListFields()}
    return ServerInfo(str(target), response.version, frozenset(response.features), limits)


def list_sortings(prefix: str, pattern: str) -> Operation[list[SortingInfo]]:
    """Return the sortings of the server, by name."""
    request = pb.ListSortingsRequest(prefix=prefix, filter=pattern)
    found: list[SortingInfo] = []
    while True:
        response = yield from call(LIST_SORTINGS, request)
        found += map(sorting_from_proto, response.sortings)
        token = response.next_page_token
        if not token:
            return found
        if token == request.page_token:
            raise MalformedMessageError("the server sent the same page of its list again")
        request.page_token = token


def describe(name: str, revision: str | None = None) -> Operation[SortingInfo]:
    """Return what the server tells of a sorting.

    Raises
    ------
    RevisionMismatchError
        It is not of the revision that is wanted.
    """
    response = yield from call(GET_SORTING, pb.GetSortingRequest(name=name))
    info = sorting_from_proto(response.sorting)
    if revision is not None and info.revision != revision:
        raise _other_revision(info, revision)
    return info


def describe_later(name: str, revision: str) -> Operation[SortingInfo]:
    """Return what the server tells now of a sorting that was of a revision before.

    Raises
    ------
    RevisionMismatchError
        It has other spikes now; only an acquisition may have more.
    """
    info = yield from describe(name)
    acquisition, dot, _ = revision.partition(".")
    if info.revision != revision and not (dot and info.revision.startswith(acquisition + dot)):
        raise _other_revision(info, revision)
    return info


def describe_readable(name: str, revision: str | None = None) -> Operation[SortingInfo]:
    """Return what the server tells of a sorting whose spikes can be read.

    Raises
    ------
    NeedsSamplingFrequencyError, FormatError
        They cannot.
    """
    info = yield from describe(name, revision)
    if info.state in ("broken", "needs sampling frequency"):
        # A read fails with the very class that the reader of the files raised.
        yield from call(COUNT_SPIKES, CountSpikesRequest(name=name))
        raise FormatError(f"the server could not read {name!r}: {info.state_detail}")
    if info.unit_ids is None or not info.sampling_frequency:
        raise MalformedMessageError(f"the server did not describe the units of {name!r}")
    return info


def upload(
    sorting: BaseSorting,
    name: str,
    if_revision: str,
    progress: Progress | None,
    resources: Resources,
) -> Operation[SortingInfo]:
    """Copy a sorting to the server; return what became of it."""
    if not isinstance(sorting, BaseSorting):
        raise InvalidTypeError(
            f"a {type(sorting).__module__}.{type(sorting).__name__} cannot be uploaded; "
            "NumpySorting.from_sorting(sorting) makes a sorting of "
            "SpikeInterface's one that can"
        )

    def requests() -> Iterable[pb.UploadSortingRequest]:
        return upload_requests(sorting, name, if_revision, progress, resources.progress)

    return sorting_from_proto((yield from send(UPLOAD_SORTING, requests)).sorting)


def register(
    source: BaseSorting | dict[str, Any], name: str, if_revision: str, target: Target
) -> Operation[SortingInfo]:
    """Make a view on the server; return what became of it."""
    if isinstance(source, BaseSorting):
        source = source.to_dict(include_annotations=True, include_properties=True, recursive=True)
    request = pb.RegisterSortingRequest(
        name=name, dump=dump_to_proto(to_server(source, target)), if_revision=if_revision
    )
    return sorting_from_proto((yield from call(REGISTER_SORTING, request)).sorting)


def aggregation(sources: Iterable[str] | Mapping[str, str]) -> dict[str, Any]:
    """Return the dump of a view that shows sortings side by side, as they are at any time."""
    if not isinstance(sources, Mapping):
        names = list(sources)
        sources = {name: name for name in names}
        if len(sources) < len(names):
            repeated = next(name for name in names if names.count(name) > 1)
            raise InvalidValueError(
                f"{repeated!r} is given more than once; a dict shows a sorting under several keys"
            )
    references = {key: SortingReference(name, "") for key, name in sources.items()}
    return {
        "class": class_path(UnitsAggregationSorting),
        "kwargs": {"sorting_list": references},
        "version": DIALECT,
        "annotations": {},
        "properties": {},
    }


def save(
    source_name: str, source_revision: str, name: str, if_revision: str
) -> Operation[SortingInfo]:
    """Copy a sorting within the server; return what became of it."""
    request = pb.SaveSortingRequest(
        source_name=source_name,
        source_revision=source_revision,
        name=name,
        if_revision=if_revision,
    )
    return sorting_from_proto((yield from call(SAVE_SORTING, request)).sorting)


def dump(name: str, target: Target) -> Operation[dict[str, Any]]:
    """Return the dump dict of a sorting, in a form that loads here."""
    response = yield from call(DUMP_SORTING, pb.DumpSortingRequest(name=name))
    return from_server(dump_from_proto(response.dump), target)


def delete(name: str, if_revision: str) -> Operation[None]:
    """Remove a sorting of the store, or a view."""
    yield from call(DELETE_SORTING, pb.DeleteSortingRequest(name=name, if_revision=if_revision))


def _other_revision(info: SortingInfo, revision: str) -> RevisionMismatchError:
    return RevisionMismatchError(
        f"{info.name!r} has changed on the server: its revision is {info.revision!r}, "
        f"not {revision!r}; without a revision, the present content is opened"
    )
