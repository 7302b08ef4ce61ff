"""`spikewire.aio.connect` and its client."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from spikewire.aio.channel import Connection
from spikewire.aio.follower import Follower
from spikewire.aio.sorting import RemoteSorting
from spikewire.aio.writer import SpikeWriter, acquire_in_thread, in_loop
from spikewire.core.dtypes import AnyArray
from spikewire.core.sorting import BaseSorting
from spikewire.remote import library
from spikewire.remote.channel import Connection as ThreadConnection
from spikewire.remote.codecs import CodecName
from spikewire.remote.library import ServerInfo
from spikewire.remote.live.acquiring import MAX_SPOOL_BYTES, Rig
from spikewire.remote.live.follower import begin_following
from spikewire.remote.live.following import Start
from spikewire.remote.live.spool_folder import default_spool_folder
from spikewire.remote.live.stats import WriterStats
from spikewire.remote.resources import DEFAULT_CACHE_BYTES, Resources
from spikewire.remote.target import parse_target
from spikewire.remote.upload import Progress
from spikewire.wire.sortings import SortingInfo


async def connect(
    target: str,
    timeout: float = 10.0,
    *,
    cache_bytes: int = DEFAULT_CACHE_BYTES,
    codec: CodecName = "auto",
    progress: bool = False,
) -> Client:
    """Connect to a server.

    Parameters and errors are those of `spikewire.connect`; bars are off by default.

    Returns
    -------
    Client
        To be used in the event loop that runs now.

    Examples
    --------
    >>> async with await spikewire.aio.connect("rack.lab") as client:
    ...     sorting = await client.open("rat7/2026-11-22/probe0")
    ...     train = await sorting.get_unit_spike_train(4)
    """
    address = parse_target(target)
    connection = Connection(address, Resources.of(address, cache_bytes, codec, progress))
    try:
        info = await connection.run(library.get_server_info(address, timeout))
    except BaseException:
        await connection.close()
        raise
    return Client(connection, info)


class Client:
    """A server's sortings; made by `connect`. Its methods are those of `spikewire.Client`.

    Attributes
    ----------
    info : ServerInfo
        What the server said of itself.
    """

    def __init__(self, connection: Connection, info: ServerInfo) -> None:
        self._connection = connection
        # Writers send from threads, over a channel that is made with the first of them.
        self._of_writers = ThreadConnection(connection.target, connection.resources)
        self.info = info

    def __repr__(self) -> str:
        return f"<spikewire.aio.Client: {self.info.address}, server {self.info.version}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connection, for the sortings that were opened too."""
        await self._connection.close()
        self._of_writers.close()

    async def list(self, prefix: str = "", filter: str = "") -> list[SortingInfo]:  # noqa: A002
        """List the sortings of the server, by name."""
        return await self._connection.run(library.list_sortings(prefix, filter))

    async def open(self, name: str) -> RemoteSorting:
        """Open a sorting."""
        info = await self._connection.run(library.describe_readable(name))
        return RemoteSorting(self._connection, info)

    async def upload(
        self,
        sorting: BaseSorting,
        name: str,
        if_revision: str = "",
        progress: Progress | None = None,
    ) -> RemoteSorting:
        """Copy a local sorting to the server, with its properties and annotations.

        It is read in threads, so that the event loop goes on.
        """
        resources = self._connection.resources
        operation = library.upload(sorting, name, if_revision, progress, resources)
        return RemoteSorting(self._connection, await self._connection.run(operation))

    async def register(
        self, source: BaseSorting | dict[str, Any], name: str, if_revision: str = ""
    ) -> RemoteSorting:
        """Make a view on the server, which evaluates it whenever it is read."""
        operation = library.register(source, name, if_revision, self._connection.target)
        return RemoteSorting(self._connection, await self._connection.run(operation))

    async def aggregate(
        self, name: str, sources: Iterable[str] | Mapping[str, str], if_revision: str = ""
    ) -> RemoteSorting:
        """Show the units of several sortings as one, also while rigs record them."""
        dump = library.aggregation(sources)
        operation = library.register(dump, name, if_revision, self._connection.target)
        return RemoteSorting(self._connection, await self._connection.run(operation))

    async def save(
        self, source: str | RemoteSorting, name: str, if_revision: str = ""
    ) -> RemoteSorting:
        """Copy a sorting of the server, views evaluated, into its store."""
        if isinstance(source, RemoteSorting):
            operation = library.save(source.remote_name, source.revision, name, if_revision)
        else:
            operation = library.save(source, "", name, if_revision)
        return RemoteSorting(self._connection, await self._connection.run(operation))

    async def dump(self, name: str) -> dict[str, Any]:
        """Return the dump dict of a sorting, pinned at its present revision."""
        return await self._connection.run(library.dump(name, self._connection.target))

    async def delete(self, name: str, if_revision: str = "") -> None:
        """Remove a sorting of the store, or a view."""
        await self._connection.run(library.delete(name, if_revision))

    async def acquire(
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

        Parameters and errors are those of `spikewire.Client.acquire`; `on_progress` is
        called in the event loop. If it is cancelled, the acquisition may have begun:
        ``resume=True`` goes on with it.

        Examples
        --------
        >>> async with await client.acquire("rat7/probe0", 30_000.0, unit_ids=[1, 2]) as writer:
        ...     await writer.append([120, 450], [1, 2])
        """
        rig = Rig(
            self._of_writers,
            default_spool_folder() if spool is None else Path(spool),
            max_spool_bytes,
            sync,
            self.info.limits.get("unit_count", 0),
            None if on_progress is None else in_loop(on_progress),
        )
        arguments = name, sampling_frequency, unit_ids, annotations, t_start, resume
        return await acquire_in_thread(self._connection, partial(rig.acquire, *arguments))

    async def follow(
        self, name: str, start: Start = "begin", unit_ids: Iterable[Any] | None = None
    ) -> Follower:
        """Get the spikes of an acquisition, those of the past and those to come.

        Parameters and errors are those of `spikewire.Client.follow`.

        Examples
        --------
        >>> async for block in await client.follow("rat7/probe0", start="now"):
        ...     print(block.sample_index, block.unit_ids)
        """
        following = await self._connection.run(begin_following(name, start, unit_ids))
        return Follower(self._connection, following)
