"""`connect()` and `Client`: what a server has, and what can be put there."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from spikewire.core.dtypes import AnyArray
from spikewire.core.sorting import BaseSorting
from spikewire.remote import library
from spikewire.remote.channel import Connection
from spikewire.remote.codecs import CodecName
from spikewire.remote.library import ServerInfo
from spikewire.remote.live.acquiring import MAX_SPOOL_BYTES, Rig
from spikewire.remote.live.follower import Follower, begin_following
from spikewire.remote.live.following import Start
from spikewire.remote.live.spool_folder import default_spool_folder
from spikewire.remote.live.stats import WriterStats
from spikewire.remote.live.writer import SpikeWriter
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

    def aggregate(
        self, name: str, sources: Iterable[str] | Mapping[str, str], if_revision: str = ""
    ) -> RemoteSorting:
        """Show the units of several sortings as one, also while rigs record them.

        The view is as its sources are whenever it is opened or refreshed, and can be
        followed. Unit ids are kept if they are of one type and unique; else units are
        numbered in the order of the sources, so that numbers move when a rig announces
        more units: let rigs that may do so use ids of their own. Frames are those of each
        rig's own clock; times in seconds are by the sync points of the rig that a unit
        is of. A segment that some rigs have not started yet is empty for these.

        Parameters
        ----------
        name : str
            The name that the view shall have.
        sources : iterable of str, or dict of str
            Names of sortings of this server. The property ``aggregation_key`` of each unit
            is the name of its source, or its key in the dict.
        if_revision : str, optional
            As for `upload`.

        Raises
        ------
        DumpError
            A source is not here.
        InvalidValueError
            There is none, or their sampling frequencies differ.
        """
        dump = library.aggregation(sources)
        operation = library.register(dump, name, if_revision, self._connection.target)
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

    def acquire(
        self,
        name: str,
        sampling_frequency: float | None = None,
        unit_ids: Iterable[Any] | AnyArray = (),
        annotations: Mapping[str, Any] | None = None,
        t_start: float | None = None,
        *,
        spool: str | os.PathLike[str] | None = None,
        max_spool_bytes: int = MAX_SPOOL_BYTES,
        resume: bool = False,
        sync: bool = False,
        on_progress: Callable[[WriterStats], object] | None = None,
    ) -> SpikeWriter:
        """Record a sorting live, as an acquisition rig.

        The sorting can be opened and followed from the first batch on. If a writer's
        process was killed, the same call goes on with what it had appended, provided
        that the spool is the same.

        Parameters
        ----------
        name : str
            The name that the sorting shall have.
        sampling_frequency : float, optional
            Samples per second, in Hz; not needed to resume.
        unit_ids : sequence of int or of str, optional
            The units known so far. To an acquisition that goes on those are added that
            it does not have.
        annotations : mapping, optional
            What is noted about the sorting when it begins.
        t_start : float, optional
            The time of sample 0 of the first segment, in seconds.
        spool : path, optional
            The folder in which the records are kept that the server does not have yet;
            by default one of the user's. What was left there of acquisitions that this
            server no longer records is removed after 30 days.
        max_spool_bytes : int, default: 16 GiB
            How large the spool may become.
        resume : bool, default: False
            Take over the acquisition of this name that is open, wherever its writer is:
            that one gets `WriterFencedError`.
        sync : bool, default: False
            Whether `append` waits until the disk has the spool: then what it took also
            survives a power cut of this machine, and not only the end of the process.
        on_progress : callable, optional
            Called with `WriterStats` after acknowledgements and when the connection is
            lost, in a thread of the writer's; it should return soon.

        Returns
        -------
        SpikeWriter

        Raises
        ------
        SortingExistsError
            The name is taken, and the spool has nothing of it.
        NotRecordingError, SortingNotFoundError
            There is nothing to resume.
        InvalidValueError, ContractError
            The sampling frequency or the units are not legal, or not those of the
            acquisition that goes on.
        StoreUnwritableError
            A process of this machine is recording it with the same spool.
        RecordConflictError
            The spool has records that another writer came before; the message says what
            to do.
        """
        rig = Rig(
            self._connection,
            default_spool_folder() if spool is None else Path(spool),
            max_spool_bytes,
            sync,
            self.info.limits.get("unit_count", 0),
            on_progress,
        )
        recording = rig.acquire(name, sampling_frequency, unit_ids, annotations, t_start, resume)
        return SpikeWriter(self._connection, recording)

    def follow(
        self, name: str, start: Start = "begin", unit_ids: Iterable[Any] | None = None
    ) -> Follower:
        """Get the spikes of an acquisition, those of the past and those to come.

        Parameters
        ----------
        name : str
            The sorting's name; it may be finished. Or that of a view of several, made by
            `aggregate`: their spikes come in one stream, each block from one of them.
        start : {"begin", "now"} or bytes, default: "begin"
            Where to begin: with the first spikes, with those that come from now on, or
            behind a block, given its `cursor`.
        unit_ids : iterable, optional
            The units that are wanted; by default all, also those that are announced
            later.

        Returns
        -------
        Follower
            An iterator of `SpikeBlock`.

        Raises
        ------
        NotRecordingError, SortingNotFoundError
            The sorting never was an acquisition, or there is none of this name.
        RevisionExpiredError
            It ended, and its records are no longer kept, or the cursor is of an earlier
            one.
        UnitNotFoundError, InvalidValueError
            A unit was not announced, or there is no such start.

        Examples
        --------
        >>> for block in client.follow("rat7/probe0", start="now"):
        ...     print(block.sample_index, block.unit_ids)
        """
        following = self._connection.run(begin_following(name, start, unit_ids))
        return Follower(self._connection, following)

    def _made(self, info: SortingInfo) -> RemoteSorting:
        return RemoteSorting._of(self._connection, info)
