"""What an operator can set, and where from: flags, environment, file, defaults."""

from __future__ import annotations

import fnmatch
import ipaddress
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Self

import platformdirs

from spikewire.core.errors import InvalidValueError
from spikewire_server.setting_values import Root, SamplingRule, parse

__all__ = ["Root", "SamplingRule", "Settings"]

ENV_PREFIX = "SPIKEWIRE_"
# Between several roots or rules in one environment variable. Not the separator of PATH,
# which is ":" on some systems and part of every path on others.
_ENV_SEPARATOR = ";"

_MIB = 1024 * 1024


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

    stall_seconds: float = 30.0
    """Seconds for which a client may leave a message of a stream unread; then the stream ends."""

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
            value: object
            if flags.get(item.name) not in (None, (), []):
                value, source = flags[item.name], f"--{item.name}"
            elif variable in env:
                value, source = env[variable], variable
                if item.name in _PLURAL:
                    value = [part for part in env[variable].split(_ENV_SEPARATOR) if part]
            elif item.name in file_values:
                value, source = file_values[item.name], f"{item.name} in {toml_path}"
            else:
                continue
            values[item.name] = parse(str(item.type), value, source)
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
    "stall_seconds",
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
