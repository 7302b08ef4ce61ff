"""What all reads of one client share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from spikewire.core.errors import InvalidValueError
from spikewire.remote.cache import TrainCache
from spikewire.remote.codecs import CodecChoice, CodecName
from spikewire.remote.target import Target

DEFAULT_CACHE_BYTES = 1 << 30


@dataclass(frozen=True)
class Resources:
    """What all reads of one client share."""

    cache: TrainCache
    """The trains that were fetched."""
    codecs: CodecChoice
    """How spikes are packed on their way."""
    progress: bool
    """Whether long transfers may draw a bar."""

    @classmethod
    def of(
        cls,
        target: Target,
        cache_bytes: int = DEFAULT_CACHE_BYTES,
        codec: CodecName = "auto",
        progress: bool = True,
    ) -> Self:
        """Make what the settings of `connect` say.

        Raises
        ------
        InvalidValueError
            The cache is of less than 0 bytes, or there is no such codec.
        """
        if cache_bytes < 0:
            raise InvalidValueError(f"cache_bytes must be 0 or more, not {cache_bytes}")
        return cls(TrainCache(cache_bytes), CodecChoice(codec, target.is_loopback), progress)
