"""Values of settings: what they are, and how they are read from text or a file."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, Self

from spikewire.core.errors import InvalidNameError, InvalidValueError
from spikewire_server.library.names import check_name


class Root(NamedTuple):
    """A folder of the operator's that is served read-only, and the label it has in names."""

    label: str
    path: Path

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the root that ``LABEL=PATH`` means, or ``PATH`` with the folder's name as label.

        Raises
        ------
        InvalidValueError
            If there is no such folder, or the label cannot be part of a name.
        """
        label, equals, rest = text.partition("=")
        if not equals or "/" in label or "\\" in label:  # PATH may have a "=" further on
            label, rest = "", text
        path = Path(rest).expanduser()
        if not path.is_dir():
            raise InvalidValueError(f"the root {text!r} is not an existing folder")
        path = path.resolve()
        label = label or path.name
        try:
            check_name(label)
        except InvalidNameError as error:
            raise InvalidValueError(
                f"the root {text!r} needs another label, LABEL=PATH: {error}"
            ) from error
        return cls(label, path)


class SamplingRule(NamedTuple):
    """The sampling frequency of the sortings whose files hold none."""

    pattern: str
    hz: float

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the rule that ``GLOB=HZ`` means.

        Raises
        ------
        InvalidValueError
            If it is not of this form, or HZ is not a positive number.
        """
        pattern, _, number = text.rpartition("=")
        return cls.of(pattern, number, text)

    @classmethod
    def of(cls, pattern: str, number: object, shown: str) -> Self:
        """Return a checked rule."""
        try:
            hz = float(number)  # type: ignore[arg-type]
        except (TypeError, ValueError):
            hz = math.nan
        if not pattern or not math.isfinite(hz) or hz <= 0:
            raise InvalidValueError(
                f"the sampling frequency rule {shown!r} is not GLOB=HZ with a positive number of Hz"
            )
        return cls(pattern, hz)


def parse(annotation: str, value: object, source: str) -> Any:
    """Return a value of the type that a field's annotation names.

    Parameters
    ----------
    annotation : str
        One of those that settings have.
    value : object
        Text, a value from a TOML file, or one of the type already.
    source : str
        Where the value is from, for errors.

    Raises
    ------
    InvalidValueError
        If the value is not, and does not read as, one of the type.
    """
    try:
        return _PARSERS[annotation](value)
    except InvalidValueError as error:
        raise InvalidValueError(f"{source}: {error}") from error


def _roots(value: object) -> tuple[Root, ...]:
    if isinstance(value, dict):
        value = [f"{label}={path}" for label, path in value.items()]
    return tuple(item if isinstance(item, Root) else Root.parse(item) for item in _items(value))


def _rules(value: object) -> tuple[SamplingRule, ...]:
    if isinstance(value, dict):
        return tuple(SamplingRule.of(glob, hz, f"{glob}={hz}") for glob, hz in value.items())
    return tuple(
        item if isinstance(item, SamplingRule) else SamplingRule.parse(item)
        for item in _items(value)
    )


def _items(value: object) -> list[Any]:
    if not isinstance(value, (list, tuple)) or not all(isinstance(i, (str, tuple)) for i in value):
        raise InvalidValueError(f"{value!r} is not a list of texts")
    return list(value)


def _path(value: object) -> Path:
    if not isinstance(value, (str, Path)) or not str(value):
        raise InvalidValueError(f"{value!r} is not a path")
    return Path(value).expanduser()


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise InvalidValueError(f"{value!r} is not a text")
    return value


def _integer(value: object) -> int:
    if isinstance(value, str) and value.strip().isdecimal():
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidValueError(f"{value!r} is not a whole number")
    return value


def _number(value: object) -> float:
    if isinstance(value, (str, int, float)):
        with suppress(ValueError):
            return float(value)
    raise InvalidValueError(f"{value!r} is not a number")


def _truth(value: object) -> bool:
    if isinstance(value, bool):
        return value
    word = value.lower() if isinstance(value, str) else None
    if word in ("1", "true", "yes"):
        return True
    if word in ("", "0", "false", "no"):
        return False
    raise InvalidValueError(f"{value!r} is neither true nor false")


_PARSERS: Mapping[str, Callable[[Any], Any]] = {
    "tuple[Root, ...]": _roots,
    "tuple[SamplingRule, ...]": _rules,
    "Path": _path,
    "str": _text,
    "int": _integer,
    "float": _number,
    "bool": _truth,
}
"""How a value is read, by the annotation of its field."""
