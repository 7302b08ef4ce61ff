"""`connect()` and `Client`: what a server has, and what can be put there."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

from spikewire.core.sorting import BaseSorting
from spikewire.remote import library
from spikewire.remote.channel import Connection
from spikewire.remote.codecs import CodecName
from spikewire.remote.library import ServerInfo
from spikewire.remote.remote_sorting import Mode, RemoteSorting
from spikewire.remote.resources import DEFAULT_CACHE_BYTES, Resources
from spikewire.remote.target import parse_target
from spikewire.remote.upload import Progress
from spikewire.wire.sortings import SortingInfo


def connect(
    target: str,
    timeout: float = 10.0,
    *,
    cache_bytes: int = DEFAULT_CACHE_BYTES,
    codec: CodecName = "auto",
    progress: bool = True,
) -> Client:
    """Connect to a server.

    Parameters
    ----------
    target : str
        "host", or "host:port"; the port is 7745 by default.
    timeout : float, default: 10.0
        Seconds within which the server must answer.
    cache_bytes : int, default: 1 GiB
        How much memory the spike trains may take that were fetched, of all sortings
        that the client opens: those used least recently make room for new ones.
    codec : {"auto", "plain", "zstd"}
        How spikes are packed on their way: "plain" is best on fast links, "zstd" on
        slow ones; "auto" measures, and takes zstd below some 2.5 Gbit/s.
    progress : bool, default: True
        Whether transfers that take longer than a second draw a bar, if tqdm is
        installed and stderr is a terminal or a notebook.

    Returns
    -------
    Client

    Raises
    ------
    ServerUnavailableError, DeadlineExceededError
        No server answers at `target`.
    NotSupportedByServerError
        What answers is no spikewire server.
    InvalidValueError
        An argument has a value that it cannot have.

    Examples
    --------
    >>> with spikewire.connect("rack.lab") as client:
    ...     sorting = client.open("rat7/2026-11-22/probe0")
    """
    address = parse_target(target)
    connection = Connection(address, Resources.of(address, cache_bytes, codec, progress))
    try:
        info = connection.run(library.get_server_info(address, timeout))
    except BaseException:
        connection.close()
        raise
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
        return self._connection.run(library.list_sortings(prefix, filter))

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
        return RemoteSorting.on(self._connection, name, mode)

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
        operation = library.upload(sorting, name, if_revision, progress, self._connection.resources)
        return self._made(self._connection.run(operation))

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
        operation = library.register(source, name, if_revision, self._connection.target)
        return self._made(self._connection.run(operation))

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
        if isinstance(source, RemoteSorting):
            operation = library.save(source.remote_name, source.revision, name, if_revision)
        else:
            operation = library.save(source, "", name, if_revision)
        return self._made(self._connection.run(operation))

    def dump(self, name: str) -> dict[str, Any]:
        """Return the dump dict of a sorting, pinned at its present revision.

        Sortings of the server stand in it as `RemoteSorting`, so that a view can be
        loaded here; the paths of files are names below the server's roots.
        """
        return self._connection.run(library.dump(name, self._connection.target))

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
        self._connection.run(library.delete(name, if_revision))

    def _made(self, info: SortingInfo) -> RemoteSorting:
        return RemoteSorting._of(self._connection, info)
