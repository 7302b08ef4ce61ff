"""Reads an index: memory-mapped, checked, and only where a question leads."""

from __future__ import annotations

import json
import mmap
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewire.core.errors import SpikewireError
from spikewire.v1 import spike_train_service_pb2 as pb
from spikewire.wire.chunks import decode_spikes
from spikewire_server.library.index.layout import (
    CHUNK_TABLE,
    PACK_TABLE,
    TRAIN_BLOCK_BYTES,
    VERSION,
    checksum,
    description_path,
    segment_path,
)
from spikewire_server.library.index.records import DamagedIndexError, Records

Int64Array = NDArray[np.int64]


class Index:
    """The index of one revision, open for reading.

    Raises
    ------
    DamagedIndexError
        A file is missing, of another length, or its table is not what was
        written.
    """

    def __init__(self, folder: Path, revision: str) -> None:
        try:
            description = json.loads(description_path(folder).read_bytes())
            if (description["version"], description["revision"]) != (VERSION, revision):
                raise DamagedIndexError("the index is of another version or revision")
            self.segments = [
                SegmentIndex(folder, number, description["unit_count"], segment)
                for number, segment in enumerate(description["segments"])
            ]
        except SpikewireError:
            raise
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DamagedIndexError(f"the index cannot be read: {error}") from error


class SegmentIndex:
    """The index of one segment.

    Attributes
    ----------
    spike_count : int
        How many spikes there are.
    chunks : structured array, shape (chunks,)
        The table of chunks, see `layout.CHUNK_TABLE`.
    packs : structured array, shape (packs,)
        The table of packed trains, see `layout.PACK_TABLE`.
    records, packed : Records
        The chunks as they lie in a StreamSpikesResponse, the packs as they lie in a
        GetUnitSpikeTrainsResponse.
    counts : ndarray of int64, shape (units,)
        How many spikes each unit has.
    base : int
        What is taken off the samples of the trains.
    """

    def __init__(self, folder: Path, segment: int, unit_count: int, facts: dict[str, Any]) -> None:
        self.spike_count = int(facts["spike_count"])
        self.base = int(facts["base_sample"])
        self._dtype = np.dtype({4: "<u4", 8: "<i8"}[facts["train_width_bytes"]])
        self._limits = np.iinfo(self._dtype)
        self.chunks = _table(folder, segment, "chunks", CHUNK_TABLE)
        self.packs = _table(folder, segment, "packs", PACK_TABLE)
        self.counts: Int64Array = _table(folder, segment, "counts", np.dtype("<i8"))
        sums = _table(folder, segment, "sums", np.dtype("<u4"))
        if checksum([self.chunks, self.packs, self.counts, sums]) != facts["checksum"]:
            raise DamagedIndexError("a table of the index is damaged")
        self._ends = np.cumsum(self.counts)
        self.records = Records(segment_path(folder, segment, "spikes"), self.chunks)
        self.packed = Records(segment_path(folder, segment, "packed"), self.packs)
        self._trains_bytes = _mapped(
            segment_path(folder, segment, "trains"), self.spike_count * self._dtype.itemsize
        )
        self._trains = np.frombuffer(self._trains_bytes, dtype=self._dtype)
        if len(self.counts) != unit_count or self.counts.sum() != self.spike_count:
            raise DamagedIndexError("the counts of the index do not add up")
        self._sums = sums
        # Checked at first use: checking all when opening would read everything.
        self._block_checked = np.zeros(len(sums), dtype=bool)

    def spikes(self, chunk: int) -> tuple[Int64Array, Int64Array]:
        """Return the samples and the unit indices of one chunk."""
        (message,) = pb.StreamSpikesResponse.FromString(self.records.read(chunk)).chunks
        samples = np.empty(message.spike_count, dtype=np.int64)
        unit_indices = np.empty(message.spike_count, dtype=np.int64)
        decode_spikes(message, samples, unit_indices, len(self.counts))
        return samples, unit_indices

    def position(self, frame: int) -> int:
        """Return how many spikes lie before a frame; reads one chunk at most."""
        chunk = int(np.searchsorted(self.chunks["last_sample"], frame))
        if chunk == len(self.chunks):
            return self.spike_count
        first = int(self.chunks["first_spike"][chunk])
        if frame <= self.chunks["first_sample"][chunk]:
            return first
        return first + int(np.searchsorted(self.spikes(chunk)[0], frame))

    def sample(self, position: int) -> int:
        """Return the sample of the spike at a position; reads one chunk at most."""
        chunk = self.chunk_of(position)
        if position + 1 == self.chunks["first_spike"][chunk] + self.chunk_size(chunk):
            return int(self.chunks["last_sample"][chunk])
        return int(self.spikes(chunk)[0][position - self.chunks["first_spike"][chunk]])

    def chunk_of(self, position: int) -> int:
        """Return the chunk that holds the spike at a position."""
        return int(np.searchsorted(self.chunks["first_spike"], position, side="right")) - 1

    def chunk_size(self, chunk: int) -> int:
        """Return how many spikes a chunk holds."""
        first = self.chunks["first_spike"]
        end = first[chunk + 1] if chunk + 1 < len(first) else self.spike_count
        return int(end - first[chunk])

    def pieces(self, start: int, stop: int) -> Iterator[tuple[int, slice | None]]:
        """Yield the chunks of a range of positions, with the part of each that is within.

        Yields
        ------
        chunk : int
            The number of the chunk.
        part : slice or None
            Which of its spikes; None means all of them.
        """
        if start >= stop:
            return
        for chunk in range(self.chunk_of(start), self.chunk_of(stop - 1) + 1):
            first = int(self.chunks["first_spike"][chunk])
            end = first + self.chunk_size(chunk)
            if start <= first and end <= stop:
                yield chunk, None
            else:
                yield chunk, slice(max(start - first, 0), min(stop, end) - first)

    def train_range(self, unit: int, start: int, stop: int) -> NDArray[np.integer[Any]]:
        """Return what a unit has, less `base`, of a range of the trains' spikes.

        They are counted through all trains, one unit after the other.
        """
        end = int(self._ends[unit])
        start, stop = max(start, end - int(self.counts[unit])), min(stop, end)
        self._check_trains(start, stop)
        return self._trains[start:stop]

    def pack_end(self, pack: int) -> int:
        """Return which of the trains' spikes is the first after a pack."""
        first = self.packs["first_spike"]
        return int(first[pack + 1]) if pack + 1 < len(first) else self.spike_count

    def train(
        self, unit: int, start_frame: int | None = None, end_frame: int | None = None
    ) -> NDArray[np.integer[Any]]:
        """Return the samples of one unit in a half-open window, less `base`.

        Reads O(log n) samples and the answer, which is a view of the file.
        """
        first, last = self._range(unit, start_frame, end_frame)
        self._check_trains(first, last)
        return self._trains[first:last]

    def checked_train(
        self, unit: int, start_frame: int | None, end_frame: int | None
    ) -> NDArray[np.integer[Any]] | None:
        """Return what `train` does if all of it was read, and found whole, before."""
        first, last = self._range(unit, start_frame, end_frame)
        if not self._block_checked[self._blocks(first, last)].all():
            return None
        return self._trains[first:last]

    def train_count(self, unit: int, start_frame: int | None, end_frame: int | None) -> int:
        """Return how many spikes of one unit lie in a half-open window."""
        first, last = self._range(unit, start_frame, end_frame)
        return last - first

    def _range(self, unit: int, start_frame: int | None, end_frame: int | None) -> tuple[int, int]:
        """Return where the window of a unit begins and ends in the trains."""
        end = int(self._ends[unit])
        begin = end - int(self.counts[unit])
        train = self._trains[begin:end]
        first = 0 if start_frame is None else self._search(train, start_frame)
        last = len(train) if end_frame is None else self._search(train, end_frame)
        return begin + first, begin + max(first, last)

    def _search(self, train: NDArray[Any], frame: int) -> int:
        target = frame - self.base
        if target <= self._limits.min:
            return 0
        if target > self._limits.max:
            return len(train)
        return int(train.searchsorted(self._dtype.type(target)))

    def _blocks(self, first: int, last: int) -> slice:
        """Return the blocks that hold a range of the trains."""
        size = self._dtype.itemsize
        return slice(first * size // TRAIN_BLOCK_BYTES, -(-last * size // TRAIN_BLOCK_BYTES))

    def _check_trains(self, first: int, last: int) -> None:
        blocks = self._blocks(first, last)
        for block in range(blocks.start, blocks.stop):
            if self._block_checked[block]:
                continue
            start = block * TRAIN_BLOCK_BYTES
            if (
                zlib.crc32(self._trains_bytes[start : start + TRAIN_BLOCK_BYTES])
                != self._sums[block]
            ):
                raise DamagedIndexError(f"block {block} of the index's trains is damaged")
            self._block_checked[block] = True


def _table(folder: Path, segment: int, part: str, dtype: np.dtype[Any]) -> NDArray[Any]:
    return np.frombuffer(segment_path(folder, segment, part).read_bytes(), dtype=dtype)


def _mapped(path: Path, size: int) -> memoryview:
    """Map a file of ours; never one that somebody else may truncate."""
    with path.open("rb") as file:
        if path.stat().st_size != size:
            raise DamagedIndexError(f"{path.name} of the index has the wrong length")
        if not size:
            return memoryview(b"")
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
