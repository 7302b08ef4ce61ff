"""What an operator can set, and where from: flags, environment, file, defaults."""

from __future__ import annotations

import fnmatch
import ipaddress
import math
import tomllib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, NamedTuple, Self

import platformdirs

from spikewire.core.errors import InvalidNameError, InvalidValueError
from spikewire_server.library.names import check_name

ENV_PREFIX = "SPIKEWIRE_"
# Between several roots or rules in one environment variable. Not the separator of PATH,
# which is ":" on some systems and part of every path on others.
_ENV_SEPARATOR = ";"

_MIB = 1024 * 1024


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


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How a server is to run.

    Raises
    ------
    InvalidValueError
        If a value cannot be, or two do not fit together.
    """

    roots: tuple[Root, ...] = ()
    """Folders that are served read-only: LABEL=PATH, or PATH for the folder's name as label."""

    store: Path = field(default_factory=lambda: Path(platformdirs.user_data_dir("spikewire")))
    """Folder of what the server itself keeps: uploads, saves, the catalogue."""

    catalogue_url: str = ""
    """SQLAlchemy URL of the catalogue; by default a SQLite file in the store."""

    host: str = "127.0.0.1"
    """Address to listen on."""

    port: int = 7745
    """Port to listen on; 0 chooses a free one."""

    insecure: bool = False
    """Listen beyond this machine although nothing is encrypted and nobody is asked who he is."""

    sampling_frequency: tuple[SamplingRule, ...] = ()
    """GLOB=HZ for sortings below roots whose files hold no sampling frequency; GLOB is held
    against the whole name and the first match wins."""

    scan_interval: float = 60.0
    """Seconds between two scans of the roots; listings are at most this old."""

    workers: int = 8
    """Threads that read and decode; further calls wait for one."""

    memory_bytes: int = 1024 * _MIB
    """Bytes of spikes that are kept in memory to answer the next call."""

    index_bytes: int = 256 * 1024 * _MIB
    """Bytes of disk, in the store, for indexes; those that were not used for longest go first."""

    max_message_bytes: int = 4 * _MIB
    """Bytes of the largest message that is accepted."""

    max_upload_bytes: int = 64 * 1024 * _MIB
    """Bytes of the largest upload that is accepted, as it lies in the store."""

    max_unit_count: int = 100_000
    """Units of the largest sorting that is accepted."""

    max_property_bytes: int = 256 * _MIB
    """Bytes of the largest property or annotation that is accepted."""

    max_followers: int = 4096
    """Streams that follow acquisitions at a time."""

    log_retention: float = 7 * 24 * 3600.0
    """Seconds for which the log of a finished acquisition is kept, to answer who holds an earlier
    revision of it."""

    log_level: str = "info"
    """What is logged, and everything worse: debug, info, warning or error."""

    def __post_init__(self) -> None:
        labels = [root.label for root in self.roots]
        for label in labels:
            if "/" in label:
                raise InvalidValueError(f"the label {label!r} has a slash")
            if labels.count(label) > 1:
                paths = " and ".join(str(root.path) for root in self.roots if root.label == label)
                raise InvalidValueError(
                    f"two roots have the label {label!r}: {paths}; give one another, LABEL=PATH"
                )
        if not 0 <= self.port <= 65535:
            raise InvalidValueError(f"the port {self.port} is not between 0 and 65535")
        for name in _POSITIVE:
            if not getattr(self, name) > 0:
                raise InvalidValueError(f"{name} is {getattr(self, name)}, but must be positive")
        if self.log_level not in _LOG_LEVELS:
            raise InvalidValueError(
                f"the log level {self.log_level!r} is none of {', '.join(_LOG_LEVELS)}"
            )
        if not self.insecure and not _is_loopback(self.host):
            raise InvalidValueError(
                f"listening on {self.host!r} would let anybody on the network read and write "
                f"without a password; --insecure allows it"
            )

    @classmethod
    def load(
        cls,
        flags: Mapping[str, Any],
        env: Mapping[str, str],
        toml_path: Path | None = None,
    ) -> Self:
        """Return the settings of a server: flags over environment over file over defaults.

        Parameters
        ----------
        flags : mapping
            Values by field name, as text or of the field's type; None and empty
            lists are not set.
        env : mapping
            The environment; ``SPIKEWIRE_PORT`` and so on, several values of one
            field separated by ";".
        toml_path : Path, optional
            A TOML file with the fields as keys. ``roots`` is a list of
            LABEL=PATH or a table, ``sampling_frequency`` a list of GLOB=HZ or a table.

        Raises
        ------
        InvalidValueError
            If the file or a value is malformed; the message names the source.
        """
        values: dict[str, Any] = {}
        file_values = {} if toml_path is None else _read_toml(toml_path)
        unknown = sorted(set(file_values) - {item.name for item in fields(cls)})
        if unknown:
            raise InvalidValueError(f"{toml_path}: there is no setting {unknown[0]!r}")
        for item in fields(cls):
            variable = ENV_PREFIX + item.name.upper()
            parse = _PARSERS[str(item.type)]
            if flags.get(item.name) not in (None, (), []):
                values[item.name] = _parse(parse, flags[item.name], f"--{item.name}")
            elif variable in env:
                text: object = env[variable]
                if item.name in _PLURAL:
                    text = [part for part in env[variable].split(_ENV_SEPARATOR) if part]
                values[item.name] = _parse(parse, text, variable)
            elif item.name in file_values:
                source = f"{item.name} in {toml_path}"
                values[item.name] = _parse(parse, file_values[item.name], source)
        return cls(**values)

    def sampling_frequency_of(self, name: str) -> float | None:
        """Return the configured rate in Hz for a sorting below a root, None if there is none."""
        for rule in self.sampling_frequency:
            if fnmatch.fnmatchcase(name, rule.pattern):
                return rule.hz
        return None


_POSITIVE = (
    "scan_interval",
    "workers",
    "memory_bytes",
    "index_bytes",
    "max_followers",
    "log_retention",
    "max_message_bytes",
    "max_upload_bytes",
    "max_unit_count",
    "max_property_bytes",
)
_LOG_LEVELS = ("debug", "info", "warning", "error")
_PLURAL = ("roots", "sampling_frequency")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:  # a host name may mean any address, tomorrow another one
        return False


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise InvalidValueError(f"{path}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidValueError(f"{path}: is not TOML: {error}") from error


def _parse(parse: Callable[[Any], Any], value: object, source: str) -> Any:
    try:
        return parse(value)
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
