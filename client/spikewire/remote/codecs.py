"""How spikes are packed on their way: as they are, or smaller on slow links."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Literal, get_args

from spikewire.core.errors import InvalidValueError
from spikewire.wire.gaps import ZSTD

if TYPE_CHECKING:
    from spikewire.wire.gaps import Codec

CodecName = Literal["auto", "plain", "zstd"]

FAST_BYTES_PER_SECOND = 2.5e9 / 8
"""From 2.5 Gbit/s on, packing costs more time than it saves."""
FASTER_BYTES_PER_SECOND = 1.5e9 / 8
"""What a common network, of 1 Gbit/s, never brings: the line is a faster one."""
_MEASURED_BYTES = (
    4 << 20
)  # fewer tell more of the call, and of buffers on the way, than of the link


class CodecChoice:
    """Says which codecs a client accepts; learns from what it receives.

    Automatically: plain on this machine; elsewhere zstd at first. When that comes faster
    than a gigabit line can bring it, plain is tried, and kept if it comes at 2.5 Gbit/s or more.
    Else what brings more spikes a second is taken, as far as both have been measured: it
    may be the server, not the link, that is slow.

    Parameters
    ----------
    codec : {"auto", "plain", "zstd"}
    is_loopback : bool
        Whether the server is on this machine.

    Raises
    ------
    InvalidValueError
        There is no such codec.
    """

    def __init__(self, codec: CodecName, is_loopback: bool) -> None:
        if codec not in get_args(CodecName):
            raise InvalidValueError(f"codec must be 'auto', 'plain' or 'zstd', not {codec!r}")
        self._is_fixed = codec != "auto" or is_loopback
        self._packs = codec == "zstd" or not self._is_fixed
        self._spikes_per_second: dict[bool, float] = {}  # by whether they were packed

    def accepted(self) -> list[Codec]:
        """Return the codecs that the next request accepts besides the plain one."""
        return [ZSTD] if self._packs else []

    def measured(self, packed: bool, spikes: int, size: int, seconds: float) -> None:
        """Note how long a part of a stream took.

        Parameters
        ----------
        packed : bool
            Whether the request accepted zstd.
        spikes, size : int
            How many spikes and bytes came.
        seconds : float
            In which time.
        """
        if self._is_fixed or size < _MEASURED_BYTES or seconds <= 0:
            return
        rates = self._spikes_per_second
        rates[packed] = spikes / seconds
        if not packed and size / seconds >= FAST_BYTES_PER_SECOND:
            self._packs = False
        elif packed and False not in rates:
            self._packs = size / seconds < FASTER_BYTES_PER_SECOND
        else:
            self._packs = rates.get(True, rates[packed]) >= rates.get(False, rates[packed])


class Meter:
    """Measures one stream, from its first chunk on: what comes before is no matter of the link.

    Parameters
    ----------
    choice : CodecChoice
        Is told what was measured.
    packed : bool
        Whether the request accepted zstd.
    """

    def __init__(self, choice: CodecChoice, packed: bool) -> None:
        self._choice = choice
        self._packed = packed
        self._since: float | None = None
        self._spikes = 0
        self._size = 0

    def received(self, spikes: int, size: int) -> None:
        """Note that a message with so many spikes and bytes has come."""
        now = time.perf_counter()
        if self._since is None:
            self._since = now
            return
        self._spikes += spikes
        self._size += size
        self._choice.measured(self._packed, self._spikes, self._size, now - self._since)
