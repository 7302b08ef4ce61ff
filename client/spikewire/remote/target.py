"""Where a server is: "host", "host:port", "[ipv6]:port" and spikewire:// addresses."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import quote, unquote, urlsplit

from spikewire.core.errors import InvalidTypeError, InvalidValueError

DEFAULT_PORT = 7745
SCHEME = "spikewire"

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class Target(NamedTuple):
    """The address of a server."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether the server runs on this machine."""
        return self.host in _LOOPBACK

    def is_same_server(self, other: Target) -> bool:
        """Whether both addresses plainly mean one server."""
        same_host = self.host == other.host or (self.is_loopback and other.is_loopback)
        return same_host and self.port == other.port

    def url(self, name: str) -> str:
        """Return the address of a sorting on the server, for `spikewire.load`."""
        return f"{SCHEME}://{self}/{quote(name)}"


def parse_target(text: str) -> Target:
    """Return the address that a text means.

    Parameters
    ----------
    text : str
        "host", "host:port" or an IPv6 address, in brackets if a port follows.
        The port is 7745 if none is given.

    Raises
    ------
    InvalidTypeError
        It is no text.
    InvalidValueError
        It is not an address.
    """
    if not isinstance(text, str):
        raise InvalidTypeError(
            f"the address of a server must be text, not {type(text).__name__}: try 'host:7745'"
        )
    if "://" in text:
        raise InvalidValueError(f"{text!r} is not the address of a server: give 'host:port' alone")
    bare_ipv6 = text.count(":") > 1 and not text.startswith("[")
    try:
        parts = urlsplit(f"//[{text}]" if bare_ipv6 else f"//{text}")
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise InvalidValueError(f"{text!r} is not the address of a server: {error}") from error
    if not host or parts.netloc != (f"[{text}]" if bare_ipv6 else text) or "@" in text:
        raise InvalidValueError(f"{text!r} is not the address of a server: try 'host:7745'")
    return Target(host, DEFAULT_PORT if port is None else port)


def parse_url(url: str) -> tuple[Target, str]:
    """Return the server and the name that ``spikewire://host:port/name`` means.

    Raises
    ------
    InvalidValueError
        It is not such an address.
    """
    parts = urlsplit(url)
    name = unquote(parts.path).removeprefix("/")
    if parts.scheme != SCHEME or not name or parts.query or parts.fragment:
        raise InvalidValueError(
            f"{url!r} is not the address of a sorting: try 'spikewire://host:port/name'"
        )
    return parse_target(parts.netloc), name
