"""Writes an object of the store piece by piece, and makes it visible whole."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from spikewire.core.dtypes import SPIKE_DTYPE
from spikewire.core.errors import InvalidValueError, StoreUnwritableError, UploadIncompleteError
from spikewire.wire.errors import with_metadata
from spikewire_server.library.removal import remove
from spikewire_server.library.revision import ContentDigest


class ObjectWriter:
    """Writes the spikes of a sorting whose number is announced, in bounded memory.

    Parameters
    ----------
    partial : Path
        Where to write; not there yet.
    final : Path
        Where the folder goes when it is whole; on the same file system.
    sampling_frequency : float
        In Hz.
    unit_ids : ndarray, shape (units,)
        The ids.
    spike_counts : sequence of int
        How many spikes each segment will have.
    """

    def __init__(
        self,
        partial: Path,
        final: Path,
        sampling_frequency: float,
        unit_ids: NDArray[Any],
        spike_counts: Sequence[int],
    ) -> None:
        self.object_id = final.name
        self.digest = ContentDigest(len(spike_counts))
        self._partial = partial
        self._final = final
        self._unit_count = len(unit_ids)
        self._counts = list(spike_counts)
        self._written = [0] * len(spike_counts)
        self._segment = 0
        self._last_sample = np.iinfo(np.int64).min
        with writing():
            partial.mkdir()
        try:
            with writing():
                self._write_info(sampling_frequency, unit_ids)
                self._file = _new_npy(partial / "spikes.npy", sum(spike_counts))
        except BaseException:
            remove(partial)
            raise

    def write(
        self, segment_index: int, samples: NDArray[np.int64], unit_indices: NDArray[Any]
    ) -> None:
        """Write the next spikes, in the order of the spike vector.

        Parameters
        ----------
        segment_index : int
            Never lower than before.
        samples : ndarray of int64, shape (spikes,)
            Ascending, from the end of what was written of the segment.
        unit_indices : ndarray of integers, shape (spikes,)
            Positions in the unit ids.

        Raises
        ------
        InvalidValueError
            If the spikes are out of order, of no unit, or more than announced.
        StoreUnwritableError
            If the disk is full or failing.
        """
        self._check(segment_index, samples, unit_indices)
        spikes = np.empty(samples.size, SPIKE_DTYPE)
        spikes["sample_index"] = samples
        spikes["unit_index"] = unit_indices
        spikes["segment_index"] = segment_index
        self.digest.update(segment_index, samples, unit_indices)
        with writing():
            self._file.write(spikes.data)
        self._written[segment_index] += samples.size

    def finish(self) -> None:
        """Sync everything to the disk and give the object its place.

        Raises
        ------
        UploadIncompleteError
            If fewer spikes came than were announced.
        StoreUnwritableError
            If the disk is full or failing.
        """
        if self._written != self._counts:
            expected, actual = sum(self._counts), sum(self._written)
            raise with_metadata(
                UploadIncompleteError(f"{expected} spikes were announced, but {actual} came"),
                expected=expected,
                actual=actual,
            )
        with writing():
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            sync_folder(self._partial)
            os.replace(self._partial, self._final)
            sync_folder(self._final.parent)

    def abort(self) -> None:
        """Remove what was written."""
        with suppress(OSError):  # what is left in its buffer may not fit on the disk
            self._file.close()
        remove(self._partial)
        remove(self._final)

    def _check(
        self, segment_index: int, samples: NDArray[np.int64], unit_indices: NDArray[Any]
    ) -> None:
        if not self._segment <= segment_index < len(self._counts):
            raise InvalidValueError(
                f"spikes of segment {segment_index} after those of segment {self._segment}, "
                f"of {len(self._counts)} segments"
            )
        if segment_index > self._segment:
            self._segment, self._last_sample = segment_index, np.iinfo(np.int64).min
        if samples.size != unit_indices.size:
            raise InvalidValueError(f"{samples.size} samples, but {unit_indices.size} units")
        if self._written[segment_index] + samples.size > self._counts[segment_index]:
            raise InvalidValueError(
                f"more spikes of segment {segment_index} than the "
                f"{self._counts[segment_index]} announced"
            )
        if not samples.size:
            return
        if samples[0] < self._last_sample or (samples[1:] < samples[:-1]).any():
            raise InvalidValueError(f"the spikes of segment {segment_index} are not in time order")
        self._last_sample = int(samples[-1])
        if int(unit_indices.min()) < 0 or int(unit_indices.max()) >= self._unit_count:
            raise InvalidValueError(f"a unit index is not below the {self._unit_count} units")

    def _write_info(self, sampling_frequency: float, unit_ids: NDArray[Any]) -> None:
        ids = unit_ids.tolist()
        if unit_ids.dtype.kind == "S":  # JSON has no bytes; the catalogue keeps the true ids
            ids = [unit_id.decode("latin-1") for unit_id in ids]
        info = {
            "sampling_frequency": sampling_frequency,
            "unit_ids": ids,
            "num_segments": len(self._counts),
        }
        with (self._partial / "numpysorting_info.json").open("w", encoding="utf-8") as file:
            json.dump(info, file)
            file.flush()
            os.fsync(file.fileno())


def _new_npy(path: Path, spike_count: int) -> BinaryIO:
    """Return a new file that says how many spikes it will hold, open behind its header."""
    header = npy_format.header_data_from_array_1_0(np.empty(0, SPIKE_DTYPE))
    file = path.open("wb")
    try:
        npy_format.write_array_header_1_0(file, header | {"shape": (spike_count,)})
    except BaseException:
        file.close()
        raise
    return file


@contextmanager
def writing() -> Iterator[None]:
    """Let what the disk refuses be a StoreUnwritableError."""
    try:
        yield
    except OSError as error:
        raise StoreUnwritableError(f"the store cannot be written: {error.strerror}") from error


def sync_folder(path: Path) -> None:
    """Wait until the names in a folder are on disk."""
    if os.name == "nt":  # folders cannot be opened there, and renames are journaled
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
