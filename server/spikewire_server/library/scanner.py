"""Looks through the roots in the background, so that listings need not."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import NamedTuple

import structlog

from spikewire_server.library.describing import describe, for_listing
from spikewire_server.library.entry import Entry, Origin
from spikewire_server.library.opener import Opener
from spikewire_server.library.roots import Found, Roots

log = structlog.get_logger(__name__)


class Scan(NamedTuple):
    """What a scan found."""

    entries: tuple[Entry, ...] = ()
    """Sortings in the order of their names."""
    time: datetime | None = None
    """When the scan ended, in UTC; None before the first one."""


class Scanner:
    """A thread that scans the roots again and again.

    Parameters
    ----------
    roots : Roots
        What to scan.
    interval : float
        Seconds from the end of a scan to the begin of the next one.
    opener : Opener
        Opens what is new or changed, after its name is listed, to describe it.
    """

    def __init__(self, roots: Roots, interval: float, opener: Opener) -> None:
        self._roots = roots
        self._interval = interval
        self._opener = opener
        self._scanning = threading.Lock()  # held by a scan; guards the next
        self._known: dict[str, tuple[str, Entry]] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="scanner", daemon=True)
        self.scan = Scan()

    def start(self) -> None:
        """Begin the first scan; return at once."""
        self._thread.start()

    def close(self) -> None:
        """Stop, and wait for the thread."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self.scan_once()
            except Exception:  # whatever lies on the operator's disk, the thread goes on
                log.exception("scan failed")
            self._stop.wait(self._interval)

    def scan_once(self) -> None:
        """Scan now: first names, which are listed at once, then what they stand for."""
        with self._scanning:
            found = sorted(self._roots.scan(self._stop.is_set), key=lambda item: item.name)
            if self._stop.is_set():  # not all of them were found
                return
            time = datetime.now(UTC)
            names = {item.name for item in found}
            self._known = {name: known for name, known in self._known.items() if name in names}
            self._publish(found, time)
            for item in found:
                if self._stop.is_set():
                    return
                self._learn(item)
            self._publish(found, time)

    def _learn(self, found: Found) -> None:
        try:
            source = self._opener.root_source(found)
            look = source.look()
            stamp = f"{look.spikes} {look.labels}"
            if self._known.get(found.name, ("", None))[0] != stamp:
                self._known[found.name] = stamp, for_listing(describe(self._opener, source))
        except Exception:  # gone since, or a reader's mistake: the others are still to be seen
            log.info("sorting not described", name=found.name, exc_info=True)

    def _publish(self, found: list[Found], time: datetime) -> None:
        entries = [
            self._known[item.name][1] if item.name in self._known else _unknown(item)
            for item in found
        ]
        self.scan = Scan(tuple(entries), time)


def _unknown(found: Found) -> Entry:
    class_name = getattr(found.format.extractor, "__name__", found.format.name)
    return Entry(name=found.name, origin=Origin.ROOT, class_name=class_name)
