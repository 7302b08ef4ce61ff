"""Mappings whose keys are known and whose values are fetched on first use."""

from __future__ import annotations

import threading
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from operator import attrgetter
from typing import Any

from spikewire.core.errors import AnnotationNotFoundError, PropertyNotFoundError
from spikewire.core.late_values import Later, LendingMapping
from spikewire.remote.metadata import Tagged

_NOT_FETCHED: Any = object()


class LazyMapping(LendingMapping):
    """What a server has under some keys, and what was put beside it here.

    Safe to use from many threads.

    Parameters
    ----------
    etags : mapping
        The keys that the server has, in order, with the etags that they had when
        they were listed.
    """

    def __init__(self, etags: Mapping[str, str]) -> None:
        self._tagged = {key: Tagged(_NOT_FETCHED, etag) for key, etag in etags.items()}
        self._lock = threading.RLock()
        self._lent: set[str] = set()
        self.is_edited = False

    def __getitem__(self, key: str) -> Any:
        value = self._tagged[key].value
        if value is _NOT_FETCHED:
            with self._lock:
                if self._tagged[key].value is _NOT_FETCHED:
                    self._tagged[key] = self._source(key)()
                value = self._tagged[key].value
        return value

    def __setitem__(self, key: str, value: Any) -> None:
        """Put a value here only; the server keeps its own."""
        self.is_edited = True
        self._tagged[key] = Tagged(value, self.etag(key))

    def __delitem__(self, key: str) -> None:
        """Remove a key here only."""
        del self._tagged[key]
        self.is_edited = True

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._tagged))

    def __len__(self) -> int:
        return len(self._tagged)

    def __contains__(self, key: object) -> bool:
        return key in self._tagged  # Mapping's own would fetch the value

    def later(self, key: str) -> Later | None:
        """Return what will fetch the value that a key has now; None if the value is here."""
        with self._lock:
            if self._tagged[key].value is not _NOT_FETCHED:
                return None
            self._lent.add(key)
            return self._source(key).derive(attrgetter("value"))

    def etag_to_replace(self, key: str) -> str:
        """Return the etag that a write to the server has to name; what was lent is fetched."""
        if key in self._lent and key in self._tagged:
            with suppress(PropertyNotFoundError, AnnotationNotFoundError):
                self[key]
        return self.etag(key)

    def etag(self, key: str) -> str:
        """Return the etag of what is known of a key; "" if the server has no such key."""
        tagged = self._tagged.get(key)
        return "" if tagged is None else tagged.etag

    def written(self, key: str, tagged: Tagged) -> None:
        """Note what was written to the server."""
        self._tagged[key] = tagged

    def removed(self, key: str) -> None:
        """Note that a key was removed from the server."""
        del self._tagged[key]

    @abstractmethod
    def _source(self, key: str) -> Later:
        """Return what fetches the value of a key, with its etag; the same every time."""


class LazyProperties(LazyMapping):
    """Fetches each property on its own: they may be large.

    Parameters
    ----------
    etags : mapping
        As for `LazyMapping`.
    fetch : callable
        Returns the values of a property.
    """

    def __init__(self, etags: Mapping[str, str], fetch: Callable[[str], Tagged]) -> None:
        super().__init__(etags)
        self._sources = {key: Later(partial(fetch, key)) for key in etags}

    def _source(self, key: str) -> Later:
        return self._sources[key]


class LazyAnnotations(LazyMapping):
    """Fetches all annotations at once: they are small.

    Parameters
    ----------
    etags : mapping
        As for `LazyMapping`.
    fetch : callable
        Returns all annotations.
    """

    def __init__(self, etags: Mapping[str, str], fetch: Callable[[], Mapping[str, Tagged]]) -> None:
        super().__init__(etags)
        self._all = Later(fetch)

    def _source(self, key: str) -> Later:
        def one(fetched: Mapping[str, Tagged]) -> Tagged:
            if key not in fetched:
                raise AnnotationNotFoundError(
                    f"annotation {key!r} was removed from the server: refresh() shows what is left"
                )
            return fetched[key]

        return self._all.derive(one)
