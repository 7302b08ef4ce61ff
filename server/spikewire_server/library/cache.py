"""What was read, kept for the next call within a budget of memory."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, TypeVar

from spikewire_server.workers import NobodyWaitsError

T = TypeVar("T")


class Cache:
    """The values that were asked for last, as many as fit into a number of bytes.

    Threads that ask for a value which is being loaded wait for that one load. A
    value is handed out even if it is too large to be kept.

    Parameters
    ----------
    max_bytes : int
        How much is kept.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._lock = threading.Lock()  # guards all below; never held while loading
        self._kept: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()
        self._loading: dict[Hashable, Future[Any]] = {}
        self._bytes = 0

    @property
    def nbytes(self) -> int:
        """How much is kept now."""
        return self._bytes

    def get(self, key: Hashable, load: Callable[[], T], size: Callable[[T], int]) -> T:
        """Return the value of a key, loaded if it is not here.

        Parameters
        ----------
        key : hashable
            Says what the value is, whole: what can change is part of it.
        load : callable
            Makes the value; what it raises is raised in every waiting thread, unless it
            stopped because its own caller does not wait any more: then another one loads.
        size : callable
            Returns how many bytes a value takes.
        """
        while True:
            with self._lock:
                if key in self._kept:
                    self._kept.move_to_end(key)
                    kept: T = self._kept[key][0]
                    return kept
                running = self._loading.get(key)
                if running is None:
                    mine = self._loading[key] = Future()
                    break
            with suppress(NobodyWaitsError):  # for whoever was loading it; we do
                loaded: T = running.result()
                return loaded
        try:
            value = load()
        except BaseException as error:
            with self._lock:
                del self._loading[key]
            mine.set_exception(error)
            raise
        with self._lock:
            del self._loading[key]
            self._keep(key, value, size(value))
        mine.set_result(value)
        return value

    def _keep(self, key: Hashable, value: object, size: int) -> None:
        if size > self.max_bytes:
            return
        self._kept[key] = value, size
        self._bytes += size
        while self._bytes > self.max_bytes:
            _, (_, freed) = self._kept.popitem(last=False)
            self._bytes -= freed
