"""`SpikeWriter`: what a rig records with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self

from spikewire.core.dtypes import AnyArray, FloatArray, IntArray
from spikewire.remote.channel import Connection
from spikewire.remote.live.recording import Recording
from spikewire.remote.live.stats import WriterStats
from spikewire.remote.remote_sorting import RemoteSorting


class WriterShape:
    """What a writer tells without waiting, in threads and in event loops."""

    _known_as: ClassVar[str]

    def __init__(self, recording: Recording) -> None:
        self._recording = recording

    def __repr__(self) -> str:
        stats = self.stats
        return (
            f"<{self._known_as}: {self.name}, {stats.appended:,} spikes appended, "
            f"{stats.acknowledged:,} acknowledged>"
        )

    @property
    def name(self) -> str:
        """The sorting's name."""
        return self._recording.name

    @property
    def sampling_frequency(self) -> float:
        """Samples per second, in Hz."""
        return self._recording.sampling_frequency

    @property
    def unit_ids(self) -> AnyArray:
        """The units announced so far, read-only."""
        return self._recording.announced.unit_ids

    @property
    def segment_count(self) -> int:
        """How many segments were started so far."""
        return self._recording.announced.segment_count

    @property
    def spool_folder(self) -> Path:
        """Where the spool is."""
        return self._recording.spool.folder

    @property
    def stats(self) -> WriterStats:
        """How far the spikes have come."""
        return self._recording.sender.stats


class SpikeWriter(WriterShape):
    """Records spikes onto a server; made by `Client.acquire`.

    What `append` takes is in the spool, a folder of this machine, before `append`
    returns, and goes to the server from there, however often the connection or the
    server is lost meanwhile. `append` never waits for the network: it takes as long as
    it takes to encode the spikes and to hand them to the file system (some 0.1 ms for
    1,000 spikes), and with ``sync=True`` as long as the disk takes besides.

    Used in a ``with`` block it is finished at the end; if the block is left by an
    exception, it is closed, and the acquisition can be resumed. Safe to use from many
    threads.

    Examples
    --------
    >>> with client.acquire("rat7/probe0", sampling_frequency=30_000.0, unit_ids=[1, 2]) as writer:
    ...     for samples, labels in sorter:
    ...         writer.append(samples, labels)
    """

    _known_as = "spikewire.SpikeWriter"

    def __init__(self, connection: Connection, recording: Recording) -> None:
        super().__init__(recording)
        self._connection = connection

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if kind is None and self._recording.is_open:
                self.finish()
        finally:
            self.close()

    def append(
        self,
        sample_indices: Sequence[int] | IntArray,
        labels: Sequence[Any] | AnyArray,
        segment_index: int | None = None,
    ) -> None:
        """Append a batch of spikes.

        Parameters
        ----------
        sample_indices : array of int, shape (spikes,)
            In any order: they are sorted, those of the same sample stay in order. They
            may be negative, and smaller than those of earlier batches.
        labels : array, shape (spikes,)
            The unit id of each spike.
        segment_index : int, optional
            A segment that was started; by default the last one.

        Raises
        ------
        UnitNotFoundError, SegmentIndexError, InvalidTypeError, InvalidValueError
            Nothing of the batch was taken: it is wrong.
        SpoolFullError
            Nothing of the batch was taken: the spool has no room.
        WriterFencedError, SpikewireError
            Nothing of the batch was taken: another writer took over, or the server
            refused an earlier record. What was not acknowledged stays in the spool.
        """
        self._recording.append(sample_indices, labels, segment_index)

    def start_segment(self, t_start: float | None = None) -> int:
        """Start the next segment, to which batches belong from now on.

        Parameters
        ----------
        t_start : float, optional
            The time of its sample 0, in seconds.

        Returns
        -------
        int
            Its index.

        Raises
        ------
        SpikewireError
            As `append`.
        """
        return self._recording.start_segment(t_start)

    def add_units(self, unit_ids: Iterable[Any] | AnyArray) -> None:
        """Announce units that were not known before.

        Parameters
        ----------
        unit_ids : sequence of int or of str
            Unique, and of the type of those before.

        Raises
        ------
        ContractError
            One is known already, or is of another type.
        LimitExceededError
            There would be more than the server admits.
        SpikewireError
            As `append`.
        """
        self._recording.add_units(unit_ids)

    def add_sync_points(
        self,
        sample_index: int | Sequence[int] | IntArray,
        time_s: float | Sequence[float] | FloatArray,
        segment_index: int | None = None,
    ) -> None:
        """State at which times, on a clock that several rigs share, samples were taken.

        Parameters
        ----------
        sample_index : int, or array of int, shape (points,)
            Ascending, and larger than that of the segment's sync point before.
        time_s : float, or array of float, shape (points,)
            In seconds, ascending as well.
        segment_index : int, optional
            A segment that was started; by default the last one.

        Raises
        ------
        InvalidValueError
            Samples or times do not ascend; no point was taken.
        SpikewireError
            As `append`.
        """
        self._recording.add_sync_points(sample_index, time_s, segment_index)

    def flush(self, timeout: float | None = None) -> None:
        """Wait until everything that was appended is on the server's disk.

        Parameters
        ----------
        timeout : float, optional
            Seconds; by default for ever.

        Raises
        ------
        DeadlineExceededError
            It took longer. Nothing is lost: it is sent as soon as that is possible.
        WriterFencedError, SpikewireError
            It cannot be sent; what was not acknowledged stays in the spool.
        """
        self._connection.run(self._recording.flush(timeout))

    def finish(self, timeout: float | None = None) -> RemoteSorting:
        """Wait until the server has everything, and seal the sorting into its store.

        Parameters
        ----------
        timeout : float, optional
            Seconds; by default for ever.

        Returns
        -------
        RemoteSorting
            The sorting, which has the same name and revision as before.

        Raises
        ------
        DeadlineExceededError
            It took longer. Recording can go on, or be finished again.
        WriterFencedError, SpikewireError
            As `flush`.
        """
        info = self._connection.run(self._recording.finish(timeout))
        self._recording.discard()
        return RemoteSorting._of(self._connection, info)

    def close(self) -> None:
        """Stop, without finishing the acquisition.

        What was not acknowledged stays in the spool: `Client.acquire` with the same name
        and spool goes on with it.
        """
        self._recording.close()
