"""Group commit: one thread makes durable whatever came while it was busy."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence

import structlog

from spikewire_server.acquisition.log import LogStorage, SpikeLog
from spikewire_server.acquisition.record import Record

log = structlog.get_logger(__name__)


class Committer:
    """Writes the records of all logs, in as few waits for the disk as it can.

    A group is everything that was submitted while the one before it was written:
    the slower the disk, the larger the groups.

    Parameters
    ----------
    storage : LogStorage
        Where the logs are.
    on_commit : callable
        Told after each group, in the committer's thread, which logs are longer now,
        and of those that could not be written the error. What is submitted to a log
        that failed is dropped until it is `reset`.
    soon : callable
        Calls a function when what goes on just now is done; an event loop's `call_soon`.
        Records of several rigs that came together then make one group: to wake the
        thread for the first of them would hold up the others.
    """

    def __init__(
        self,
        storage: LogStorage,
        on_commit: Callable[[Mapping[SpikeLog, OSError | None]], None],
        soon: Callable[[Callable[[], None]], object] = lambda wake: wake(),
    ) -> None:
        self._storage = storage
        self._on_commit = on_commit
        self._soon = soon
        self._condition = threading.Condition()  # guards the three below
        self._pending: dict[SpikeLog, list[Record]] = {}
        self._failed: set[SpikeLog] = set()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="committer", daemon=True)
        self._thread.start()

    def submit(self, log: SpikeLog, records: Sequence[Record]) -> None:
        """Have records written behind those that were submitted before."""
        with self._condition:
            if log in self._failed:
                return
            is_first = not self._pending
            self._pending.setdefault(log, []).extend(records)
        if is_first:
            self._soon(self._wake)

    def _wake(self) -> None:
        with self._condition:
            self._condition.notify()

    def reset(self, log: SpikeLog) -> None:
        """Accept records of a log again that failed."""
        with self._condition:
            self._failed.discard(log)

    def close(self) -> None:
        """Write what was submitted, and end the thread."""
        with self._condition:
            self._closing = True
            self._condition.notify()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._condition:
                while not self._pending and not self._closing:
                    self._condition.wait()
                if not self._pending:
                    return
                groups, self._pending = self._pending, {}
            failed = self._commit(groups)
            if failed:
                with self._condition:
                    self._failed.update(failed)
                    for target in failed:
                        self._pending.pop(target, None)
            self._on_commit({target: failed.get(target) for target in groups})

    def _commit(self, groups: Mapping[SpikeLog, Sequence[Record]]) -> Mapping[SpikeLog, OSError]:
        try:
            failed = self._storage.commit(groups)
        except Exception as error:  # acknowledging nothing is safe, ending the thread is not
            log.exception("commit failed")
            return dict.fromkeys(groups, OSError(f"the log cannot be written: {error}"))
        for target, cause in failed.items():
            log.error("log not written", acquisition=target.acquisition_id, error=cause.strerror)
        return failed
