"""`connect()` and `Client`: what a server has, and what can be put there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from spikewire._version import __version__
from spikewire.core.errors import InvalidTypeError, MalformedMessageError
from spikewire.core.sorting import BaseSorting
from spikewire.remote.channel import Connection
from spikewire.remote.methods import (
    DELETE_SORTING,
    DUMP_SORTING,
    GET_SERVER_INFO,
    LIST_SORTINGS,
    REGISTER_SORTING,
    SAVE_SORTING,
    UPLOAD_SORTING,
)
from spikewire.remote.references import from_server, to_server
from spikewire.remote.remote_sorting import Mode, RemoteSorting, describe
from spikewire.remote.target import parse_target
from spikewire.remote.upload import Progress, upload_requests
from spikewire.v1 import server_service_pb2, sorting_pb2
from spikewire.v1 import sorting_service_pb2 as pb
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


def connect(target: str, timeout: float = 10.0) -> Client:
    """Connect to a server.

    Parameters
    ----------
    target : str
        "host", or "host:port"; the port is 7745 by default.
    timeout : float, default: 10.0
        Seconds within which the server must answer.

    Returns
    -------
    Client

    Raises
    ------
    ServerUnavailableError, DeadlineExceededError
        No server answers at `target`.
    NotSupportedByServerError
        What answers is no spikewire server.

    Examples
    --------
    >>> with spikewire.connect("rack.lab") as client:
    ...     sorting = client.open("rat7/2026-11-22/probe0")
    """
    connection = Connection(parse_target(target))
    try:
        response = connection.call(
            GET_SERVER_INFO,
            server_service_pb2.GetServerInfoRequest(client_version=__version__),
            timeout,
        )
    except BaseException:
        connection.close()
        raise
    limits = {field.name: value for field, value in response.limits.ListFields()}
    info = ServerInfo(
        str(connection.target), response.version, frozenset(response.features), limits
    )
    return Client(connection, info)


class Client:
    """A server's sortings; made by `connect`. Safe to use from many threads.

    Sortings that it opened read through its connection: close it when they are
    done with, or use it in a ``with`` block.

    Attributes
    ----------
    info : ServerInfo
        What the server said of itself.
    """

    def __init__(self, connection: Connection, info: ServerInfo) -> None:
        self._connection = connection
        self.info = info

    def __repr__(self) -> str:
        return f"<spikewire.Client: {self.info.address}, server {self.info.version}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection, for the sortings that were opened too."""
        self._connection.close()

    def list(self, prefix: str = "", filter: str = "") -> list[SortingInfo]:  # noqa: A002
        """List the sortings of the server, by name.

        Parameters
        ----------
        prefix : str, optional
            Only names that begin with this text.
        filter : str, optional
            Only names that match this shell pattern; "*" also matches "/".

        Returns
        -------
        list of SortingInfo
            Counts are None until the server knows them.
        """
        return list(self._pages(pb.ListSortingsRequest(prefix=prefix, filter=filter)))

    def _pages(self, request: pb.ListSortingsRequest) -> Iterator[SortingInfo]:
        while True:
            response = self._connection.call(LIST_SORTINGS, request)
            yield from map(sorting_from_proto, response.sortings)
            token = response.next_page_token
            if not token:
                return
            if token == request.page_token:
                raise MalformedMessageError("the server sent the same page of its list again")
            request.page_token = token

    def open(self, name: str, mode: Mode = "r") -> RemoteSorting:
        """Open a sorting.

        Parameters
        ----------
        name : str
            Its name on the server.
        mode : {"r", "r+"}, default: "r"
            Whether property and annotation writes stay in the object ("r") or are
            written through to the server ("r+").

        Raises
        ------
        SortingNotFoundError
            The server has no sorting of this name.
        NeedsSamplingFrequencyError, FormatError
            The server cannot read it; the message says why.
        """
        return RemoteSorting.on(self._connection, describe(self._connection, name), mode)

    def upload(
        self,
        sorting: BaseSorting,
        name: str,
        if_revision: str = "",
        progress: Progress | None = None,
    ) -> RemoteSorting:
        """Copy a sorting to the server, with its properties and annotations.

        Parameters
        ----------
        sorting : BaseSorting
            Any sorting, one of another server included.
        name : str
            The name that it shall have.
        if_revision : str, optional
            The revision that may be replaced. Without it a name that is taken is
            refused, unless its content is equal: then nothing is to be done.
        progress : callable, optional
            Called after each chunk with the spikes sent so far and those in all.

        Returns
        -------
        RemoteSorting
            The copy.

        Raises
        ------
        SortingExistsError, InvalidNameError, ReadOnlyError
            The name is taken, is none, or lies below a root of the server.
        LimitExceededError
            It is larger than the server accepts.
        """
        if not isinstance(sorting, BaseSorting):
            raise InvalidTypeError(
                f"a sorting can be uploaded, a {type(sorting).__name__} cannot: load it first"
            )
        response = self._connection.send(
            UPLOAD_SORTING, lambda: upload_requests(sorting, name, if_revision, progress)
        )
        return self._made(response.sorting)

    def register(
        self, source: BaseSorting | dict[str, Any], name: str, if_revision: str = ""
    ) -> RemoteSorting:
        """Make a view on the server, which evaluates it whenever it is read.

        Parameters
        ----------
        source : BaseSorting or dict
            A sorting made from sortings of this server, such as
            ``client.open("a").select_units([1, 4])``, or its dump dict.
        name : str
            The name that the view shall have.
        if_revision : str, optional
            As for `upload`.

        Returns
        -------
        RemoteSorting
            The view.

        Raises
        ------
        DumpError, UnknownClassError
            The server cannot make the view; what lies elsewhere must be uploaded.
        """
        if isinstance(source, BaseSorting):
            source = source.to_dict(
                include_annotations=True, include_properties=True, recursive=True
            )
        request = pb.RegisterSortingRequest(
            name=name,
            dump=dump_to_proto(to_server(source, self._connection.target)),
            if_revision=if_revision,
        )
        return self._made(self._connection.call(REGISTER_SORTING, request).sorting)

    def save(self, source: str | RemoteSorting, name: str, if_revision: str = "") -> RemoteSorting:
        """Copy a sorting of the server, views evaluated, into its store.

        Parameters
        ----------
        source : str or RemoteSorting
            The sorting to copy; by name, its present content.
        name : str
            The name that the copy shall have.
        if_revision : str, optional
            As for `upload`.

        Returns
        -------
        RemoteSorting
            The copy.
        """
        request = pb.SaveSortingRequest(name=name, if_revision=if_revision)
        if isinstance(source, RemoteSorting):
            request.source_name, request.source_revision = source.remote_name, source.revision
        else:
            request.source_name = source
        return self._made(self._connection.call(SAVE_SORTING, request).sorting)

    def dump(self, name: str) -> dict[str, Any]:
        """Return the dump dict of a sorting, pinned at its present revision.

        Sortings of the server stand in it as `RemoteSorting`, so that a view can be
        loaded here; the paths of files are names below the server's roots.
        """
        response = self._connection.call(DUMP_SORTING, pb.DumpSortingRequest(name=name))
        return from_server(dump_from_proto(response.dump), self._connection.target)

    def delete(self, name: str, if_revision: str = "") -> None:
        """Remove a sorting of the store, or a view.

        Parameters
        ----------
        name : str
            Its name. Readers that are under way finish.
        if_revision : str, optional
            Remove only content of this revision.

        Raises
        ------
        SortingNotFoundError, RevisionMismatchError, ReadOnlyError
            There is no such sorting, it is of another revision, or below a root.
        """
        request = pb.DeleteSortingRequest(name=name, if_revision=if_revision)
        self._connection.call(DELETE_SORTING, request)

    def _made(self, sorting: sorting_pb2.Sorting) -> RemoteSorting:
        return RemoteSorting.on(self._connection, sorting_from_proto(sorting))
