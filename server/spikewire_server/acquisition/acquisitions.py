"""All acquisitions of a server by their names: begun, resumed, found, finished, forgotten."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Mapping
from weakref import WeakValueDictionary

import structlog

from spikewire.core.errors import FormatError, NotRecordingError, SpikewireError
from spikewire.wire.errors import with_metadata
from spikewire_server.acquisition.append_messages import BatchChecker
from spikewire_server.acquisition.committer import Committer
from spikewire_server.acquisition.files import FileLogs
from spikewire_server.acquisition.following import EndedFeed, Feed
from spikewire_server.acquisition.live import LiveAcquisition
from spikewire_server.acquisition.live_sorting import DamagedSource, LiveSource
from spikewire_server.acquisition.log import LogStorage, SpikeLog
from spikewire_server.acquisition.recording import Recording, parse_revision
from spikewire_server.library import Entry, Library, Origin
from spikewire_server.library.facts import Facts
from spikewire_server.library.opened import revision_mismatch
from spikewire_server.settings import Settings
from spikewire_server.workers import Workers

log = structlog.get_logger(__name__)

_TICK_SECONDS = 1.0
_EXPIRE_SECONDS = 3600.0


class Acquisitions:
    """The acquisitions of a server, running and ended.

    For the event loop alone, but for `source`, `facts` and `deleted`, which the library calls
    from any thread.

    Parameters
    ----------
    settings : Settings
        How much is accepted, and how long logs are kept.
    library : Library
        Gives names, and takes what is finished into its store.
    workers : Workers
        Do what waits for a disk.
    """

    logs: LogStorage
    _loop: asyncio.AbstractEventLoop
    _committer: Committer

    def __init__(self, settings: Settings, library: Library, workers: Workers) -> None:
        self.library = library
        self.workers = workers
        self.settings = settings
        self._checker = BatchChecker()
        self._live: dict[str, LiveAcquisition] = {}  # by acquisition id
        self._named: dict[str, LiveAcquisition] = {}
        self._lock = threading.Lock()  # guards the one below
        # Ended ones, as long as somebody reads them.
        self._ended: WeakValueDictionary[str, Recording] = WeakValueDictionary()
        self._expired_at = 0.0

    def start(self) -> list[LiveAcquisition]:
        """Open the logs of what was being recorded, and begin to commit.

        Returns
        -------
        list of LiveAcquisition
            What was finished and did not get into the store any more.

        Raises
        ------
        StoreUnwritableError
            If logs cannot be kept.
        """
        self._loop = asyncio.get_running_loop()
        self.logs = FileLogs(self.settings.store / "acquisitions")
        self._committer = Committer(self.logs, self._on_commit, self._loop.call_soon)
        for row in self.library.recorder.running():
            try:
                self.add(Recording(self.logs.open(row.acquisition_id or "", to_append=True)))
            except SpikewireError as error:  # the others go on
                log.error("acquisition not continued", name=row.name, error=str(error))
        self._tick()
        return [live for live in self._live.values() if live.recording.is_finished]

    def stop(self) -> None:
        """End the streams of writers and followers, which go on when there is a server again."""
        for live in self._live.values():
            live.stop()

    def close(self) -> None:
        """Write what was accepted, and nothing more."""
        self._committer.close()
        self.logs.close()

    def add(self, recording: Recording) -> LiveAcquisition:
        """Take the records of an acquisition from now on."""
        live = LiveAcquisition(
            recording, self._committer, self._checker, self.settings.max_unit_count
        )
        self._live[recording.acquisition_id] = live
        self._named[recording.name] = live
        return live

    def forget(self, live: LiveAcquisition) -> None:
        """Take no more records of an acquisition."""
        recording = live.recording
        with self._lock:
            self._ended[recording.acquisition_id] = recording
        self._live.pop(recording.acquisition_id, None)
        if self._named.get(recording.name) is live:
            del self._named[recording.name]
        live.changed.fire()

    def running(self, name: str) -> LiveAcquisition | None:
        """Return the acquisition that is recorded under a name; None if there is none."""
        return self._named.get(name)

    async def get(self, name: str) -> LiveAcquisition:
        """Return the acquisition that is recorded under a name.

        Raises
        ------
        NotRecordingError
            If the sorting is not, or no longer, recorded.
        InvalidNameError, SortingNotFoundError
            If there is no such sorting.
        """
        live = self._named.get(name)
        if live is None:
            await self.workers.run(self.library.describe, name)  # for its errors
            raise not_recording(name)
        return live

    async def feed(self, name: str) -> Feed:
        """Return an acquisition to follow, also one that has ended.

        Raises
        ------
        NotRecordingError
            If the sorting never was an acquisition.
        RevisionExpiredError
            If its log is no longer kept.
        InvalidNameError, SortingNotFoundError
            If there is no such sorting.
        """
        live = self._named.get(name)
        if live is not None:
            return live
        entry = await self.workers.run(self.library.describe, name)
        return EndedFeed(await self.workers.run(self._ended_as, entry))

    async def feeds(self, name: str) -> list[Feed]:
        """Return the acquisitions to follow by a name: one, or those that a view shows.

        Raises
        ------
        SpikewireError
            As `feed`, for the name itself or for one of those.
        """
        if name not in self._named:
            names = await self.workers.run(self.library.side_by_side, name)
            if names is not None:
                return [await self.feed(shown) for shown in dict.fromkeys(names)]
        return [await self.feed(name)]

    def source(self, name: str, acquisition_id: str, revision: str) -> LiveSource:
        """Return an acquisition up to a record; an empty revision means the last one."""
        live = self._live.get(acquisition_id)
        try:
            recording = live.recording if live is not None else self._open_ended(acquisition_id)
        except FormatError as error:
            return DamagedSource(name, error)
        last = recording.last_sequence
        if not revision:
            return LiveSource(recording, last)
        wanted, sequence = parse_revision(revision) or ("", 0)
        if wanted != acquisition_id or not 0 < sequence <= last:
            raise revision_mismatch(name, revision, recording.revision_at(last))
        return LiveSource(recording, sequence)

    def facts(self, acquisition_id: str) -> Facts | None:
        """Return what is known of an acquisition that goes on."""
        live = self._live.get(acquisition_id)
        if live is None:
            return None
        source = LiveSource(live.recording, live.recording.last_sequence)
        return source.facts(source.look())

    def deleted(self, acquisition_id: str) -> None:
        """Take note that the name of an acquisition is gone; its log is kept for a while."""
        self._loop.call_soon_threadsafe(self._delete, acquisition_id)

    def _delete(self, acquisition_id: str) -> None:
        live = self._live.get(acquisition_id)
        if live is not None:
            live.delete()
            self.forget(live)

    def _ended_as(self, entry: Entry) -> Recording:
        acquisition_id, _ = parse_revision(entry.revision) or ("", 0)
        if not acquisition_id or entry.origin is Origin.VIEW:
            raise not_recording(entry.name)
        return self._open_ended(acquisition_id)

    def _open_ended(self, acquisition_id: str) -> Recording:
        with self._lock:
            recording = self._ended.get(acquisition_id)
            if recording is None:
                recording = Recording(self.logs.open(acquisition_id, to_append=False))
                self._ended[acquisition_id] = recording
            return recording

    def _on_commit(self, outcomes: Mapping[SpikeLog, OSError | None]) -> None:
        self._loop.call_soon_threadsafe(self._committed, outcomes)

    def _committed(self, outcomes: Mapping[SpikeLog, OSError | None]) -> None:
        for target, error in outcomes.items():
            live = self._live.get(target.acquisition_id)
            if live is not None:
                live.committed(error)

    def _tick(self) -> None:
        """Wake followers to whom nothing happens, and remove old logs once an hour."""
        for live in self._live.values():
            live.changed.fire()
        now = time.monotonic()
        if not self._expired_at or now - self._expired_at >= _EXPIRE_SECONDS:
            self._expired_at = now
            self._loop.run_in_executor(None, self._expire)
        self._loop.call_later(_TICK_SECONDS, self._tick)

    def _expire(self) -> None:
        keep = {row.acquisition_id or "" for row in self.library.recorder.running()}
        self.logs.expire(keep, time.time() - self.settings.log_retention)


def not_recording(name: str) -> NotRecordingError:
    """Return the error of who wants to record on where nothing is recorded."""
    return with_metadata(NotRecordingError(f"{name!r} is not being recorded"), name=name)
