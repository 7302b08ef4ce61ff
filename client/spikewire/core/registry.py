"""Where core finds what other rooms contribute, without importing them.

Classes by the path that dumps write, savers by format, loaders of folders, and
openers of URLs. A class path found in data is only ever a key in this table:
nothing is imported by a name that came from outside.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from spikewire.core.errors import InvalidValueError, UnknownClassError

if TYPE_CHECKING:
    from spikewire.core.sorting import BaseSorting


class Saver(Protocol):
    """Writes a sorting and returns the one that reads what was written."""

    def __call__(self, sorting: BaseSorting, *args: Any, **options: Any) -> BaseSorting:
        """Save `sorting`."""


_classes: dict[str, type[BaseSorting] | Callable[[], type[BaseSorting]]] = {}
_aliases: dict[str, str] = {}
_savers: dict[str, Saver] = {}
_folder_loaders: list[tuple[Callable[[Path], bool], Callable[[Path], BaseSorting]]] = []
_url_openers: dict[str, Callable[[str], BaseSorting]] = {}


def register_class(
    dump_class: str, target: type[BaseSorting] | Callable[[], type[BaseSorting]], *aliases: str
) -> None:
    """Let dumps that name `dump_class` be loaded as `target`.

    Parameters
    ----------
    dump_class : str
        The path that dumps of the class are written with.
    target : type or function
        The class, or a function that imports and returns it.
    *aliases : str
        Paths that other releases wrote for the same class.
    """
    _classes[dump_class] = target
    for alias in aliases:
        _aliases[alias] = dump_class


def resolve_class(path: str) -> type[BaseSorting]:
    """The class that dumps call `path`.

    Raises
    ------
    UnknownClassError
        If no class was registered under the path.
    """
    target = _classes.get(_aliases.get(path, path)) if isinstance(path, str) else None
    if target is None:
        known = "\n  ".join(sorted(_classes))
        raise UnknownClassError(f"{path!r} is not a known class of sortings; known are:\n  {known}")
    if isinstance(target, type):
        return cast("type[BaseSorting]", target)
    return target()


def register_saver(format_name: str, function: Saver) -> None:
    """Let `sorting.save(format=format_name, ...)` call `function`."""
    _savers[format_name] = function


def saver(format_name: str) -> Saver:
    """The function that saves in a format.

    Raises
    ------
    InvalidValueError
        If there is no such format.
    """
    try:
        return _savers[format_name]
    except (KeyError, TypeError):
        known = ", ".join(sorted(_savers))
        raise InvalidValueError(
            f"{format_name!r} is not a format to save in; there are: {known}"
        ) from None


def register_folder_loader(
    recognise: Callable[[Path], bool], loader: Callable[[Path], BaseSorting]
) -> None:
    """Let `load(folder)` read the folders that `recognise` accepts with `loader`.

    Loaders are asked in the order of registration, before the dumps that a folder
    may hold (`si_folder.json`, `cached.json`) are looked at.
    """
    _folder_loaders.append((recognise, loader))


def folder_loaders() -> Iterator[tuple[Callable[[Path], bool], Callable[[Path], BaseSorting]]]:
    """Every pair of recogniser and loader."""
    return iter(_folder_loaders)


def register_url_scheme(scheme: str, opener: Callable[[str], BaseSorting]) -> None:
    """Let `load("scheme://...")` call `opener` with the URL."""
    _url_openers[scheme] = opener


def url_opener(scheme: str) -> Callable[[str], BaseSorting]:
    """The function that opens URLs of a scheme.

    Raises
    ------
    InvalidValueError
        If nothing opens such URLs.
    """
    try:
        return _url_openers[scheme]
    except KeyError:
        known = ", ".join(f"{name}://" for name in sorted(_url_openers)) or "none"
        raise InvalidValueError(
            f"nothing opens {scheme}:// addresses; known are: {known}"
        ) from None
