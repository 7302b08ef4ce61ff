"""Revisions: short texts that differ when the spikes differ.

A revision covers spikes, their order, unit ids, sampling frequency and segments, and
nothing else. Of the store's objects it is a digest of the content; of files that are not
ours a digest of what can be seen without reading them, since reading would cost more than
the answer that it is for.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

# Raise it when a reader comes to read the same files differently.
READERS_VERSION = 1
# A small file is digested whole: an edit that keeps size and time, as some tools and all
# coarse clocks do, is seen there.
SMALL_FILE_BYTES = 64 * 1024


def digest(*parts: bytes | str) -> str:
    """Return a digest of the parts and of where one ends and the next begins."""
    hasher = blake2b(digest_size=16)
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        hasher.update(struct.pack("<Q", len(data)))
        hasher.update(data)
    return hasher.hexdigest()


class ContentDigest:
    """The revision of a sorting whose spikes come in pieces, however they are cut.

    Parameters
    ----------
    segment_count : int
        How many segments there are.
    """

    def __init__(self, segment_count: int) -> None:
        self._samples = [blake2b(digest_size=16) for _ in range(segment_count)]
        self._units = [blake2b(digest_size=16) for _ in range(segment_count)]

    def update(
        self, segment_index: int, samples: NDArray[np.int64], unit_indices: NDArray[Any]
    ) -> None:
        """Add the next spikes of a segment."""
        self._samples[segment_index].update(np.ascontiguousarray(samples, "<i8").data)
        self._units[segment_index].update(np.ascontiguousarray(unit_indices, "<i8").data)

    def revision(
        self,
        sampling_frequency: float,
        unit_ids: NDArray[Any],
        t_starts: Sequence[float | None],
        clocks: bytes | None = None,
    ) -> str:
        """Return the revision of all that was added; `clocks` has the sync points."""
        ids = unit_ids.astype(unit_ids.dtype.newbyteorder("<"))
        starts = [b"" if start is None else struct.pack("<d", start) for start in t_starts]
        spikes = [hasher.digest() for hasher in (*self._samples, *self._units)]
        rate = struct.pack("<d", sampling_frequency)
        others = [] if clocks is None else [clocks]
        return digest("content", rate, ids.dtype.str, ids.tobytes(), *starts, *spikes, *others)


class FilesStamp(NamedTuple):
    """What could be seen of some files."""

    digest: str
    """Differs when a file does."""
    newest_ns: int
    """The latest modification time, in nanoseconds since 1970; 0 without files."""


def stamp_files(base: Path, files: Iterable[Path]) -> FilesStamp:
    """Return what can be seen of the files of a sorting.

    Parameters
    ----------
    base : Path
        The sorting's own file or folder; moving it as a whole changes nothing.
    files : iterable of Path
        The files, in an order that is always the same.

    Raises
    ------
    OSError
        If a file cannot be looked at. One that is missing can: its stamp says so.
    """
    parts: list[bytes | str] = []
    newest = 0
    for path in files:
        parts.append(path.relative_to(base).as_posix())
        try:
            file = path.open("rb", buffering=0)
        except FileNotFoundError:
            parts.append("missing")
            continue
        with file:
            status = os.fstat(file.fileno())
            small = status.st_size <= SMALL_FILE_BYTES
            parts.append(struct.pack("<qq", status.st_size, status.st_mtime_ns))
            parts.append(file.read(SMALL_FILE_BYTES) if small else b"")
        newest = max(newest, status.st_mtime_ns)
    return FilesStamp(digest("files", *parts), newest)


def root_revision(
    reader: str, sampling_frequency: float | None, files: FilesStamp, unit_ids_in_labels: bytes
) -> str:
    """Return the revision of a sorting below a root.

    Parameters
    ----------
    reader : str
        What it is read as, and how.
    sampling_frequency : float or None
        The configured rate in Hz.
    files : FilesStamp
        Of the files that define its spikes.
    unit_ids_in_labels : bytes
        What other files say of its unit ids.
    """
    rate = b"" if sampling_frequency is None else struct.pack("<d", sampling_frequency)
    version = str(READERS_VERSION)
    return digest("root", reader, version, rate, files.digest, unit_ids_in_labels)
