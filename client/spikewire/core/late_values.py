"""Values that are fetched when they are first asked for, and mappings of them."""

from __future__ import annotations

import threading
from abc import abstractmethod
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import suppress
from typing import Any
from weakref import WeakSet


class Later:
    """A value that is fetched when it is first asked for, and then kept.

    Safe to use from many threads.

    Parameters
    ----------
    fetch : callable
        Returns the value; it is called again if it raised.
    """

    def __init__(self, fetch: Callable[[], Any]) -> None:
        # Shared with what is derived, so that nobody waits for each other.
        self._lock = threading.RLock()
        self._fetch: Callable[[], Any] | None = fetch
        self._value: Any = None
        self._derived: WeakSet[Later] = WeakSet()

    @property
    def is_known(self) -> bool:
        """Whether the value was fetched."""
        return self._fetch is None

    def __call__(self) -> Any:
        """Return the value."""
        with self._lock:
            if self._fetch is not None:
                self._value = self._fetch()
                self._fetch = None
                # At once: whoever has the value from now on may write into it.
                for derived in list(self._derived):
                    with suppress(Exception):  # whoever asks for it will hear of it
                        derived()
            return self._value

    def derive(self, function: Callable[[Any], Any]) -> Later:
        """Return what a function makes of the value, which is not fetched for it."""
        derived = Later(lambda: function(self()))
        derived._lock = self._lock
        with self._lock:
            self._derived.add(derived)
            if self._fetch is None:
                derived()
        return derived


class LendingMapping(MutableMapping[str, Any]):
    """A mapping that can say how a value will be fetched."""

    @abstractmethod
    def later(self, key: str) -> Later | None:
        """Return what will fetch the value that a key has now; None if the value is here.

        It stays that value, whatever the key is given afterwards.
        """


class LateMapping(LendingMapping):
    """A mapping that may be given values that are yet to be fetched."""

    def __init__(self) -> None:
        self._values: dict[str, Any] = {}

    def __getitem__(self, key: str) -> Any:
        value = self._values[key]
        return value() if isinstance(value, Later) else value

    def __setitem__(self, key: str, value: Any) -> None:
        self._values[key] = value

    def __delitem__(self, key: str) -> None:
        del self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __contains__(self, key: object) -> bool:
        return key in self._values  # Mapping's own would fetch the value

    def later(self, key: str) -> Later | None:
        """Return what will fetch the value that a key has now; None if the value is here."""
        value = self._values[key]
        return value if isinstance(value, Later) and not value.is_known else None
