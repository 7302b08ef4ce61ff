"""Batches, logs on a disk that crashes, and rigs that talk to real servers."""

from __future__ import annotations

import os
import random
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import numpy as np
import pytest

from spikewire.v1 import acquisition_service_pb2 as pb
from spikewire.v1 import acquisition_service_pb2_grpc as rpc
from spikewire.v1 import (
    sorting_pb2,
    sorting_service_pb2_grpc,
    spike_train_pb2,
    spike_train_service_pb2_grpc,
)
from spikewire.wire.chunks import encode_spikes
from spikewire_server.acquisition import file_log, files, journal
from spikewire_server.acquisition.record import Kind, Record, checksum

PAGE = 512


def chunk_of(samples, units, segment=0) -> spike_train_pb2.SpikeChunk:
    samples, units = np.asarray(samples, np.int64), np.asarray(units, np.int64)
    (chunk,) = encode_spikes(samples, units, segment)
    return chunk


def unit_ids(ids) -> sorting_pb2.UnitIds:
    return sorting_pb2.UnitIds(signed_ids=sorting_pb2.SignedIds(values=ids), dtype="<i8")


class RecordMaker:
    """Makes the records of one log, numbered as a rig would."""

    def __init__(self, first_sequence=1, first_spike=0) -> None:
        self.sequence, self.spikes = first_sequence, first_spike

    def started(self) -> Record:
        payload = pb.StartAcquisitionRequest(
            name="x", request_id="r", sampling_frequency_hz=30_000.0
        ).SerializeToString()
        return Record(Kind.STARTED, 1, payload, checksum(Kind.STARTED, payload), 0)

    def units(self, ids) -> Record:
        return self._next(Kind.UNITS, pb.UnitsAdded(unit_ids=unit_ids(ids)).SerializeToString())

    def segment(self) -> Record:
        return self._next(Kind.SEGMENT, pb.SegmentStarted().SerializeToString())

    def finished(self) -> Record:
        return self._next(Kind.FINISHED, b"")

    def spikes_of(self, samples, units, segment=0) -> Record:
        payload = pb.AppendSpikesRequest(chunks=[chunk_of(samples, units, segment)])
        record = self._next(Kind.SPIKES, payload.SerializeToString())
        self.spikes += len(samples)
        return record._replace(
            spike_count=len(samples),
            segment_index=segment,
            min_sample=int(samples[0]),
            max_sample=int(samples[-1]),
        )

    def first(self, ids=range(4)) -> list[Record]:
        return [self.started(), self.units(ids), self.segment()]

    def _next(self, kind, payload) -> Record:
        record = Record(kind, self.sequence, payload, checksum(kind, payload), self.spikes)
        self.sequence += 1
        return record


@pytest.fixture
def new_maker() -> type[RecordMaker]:
    return RecordMaker


class PowerCutError(BaseException):
    """The machine stops here."""


class Disk:
    """A folder whose files are on disk only as far as they were synced.

    `crash` makes another folder of it, as the machine would find it afterwards: of
    what was not synced any page may be there, as it was before, or zero.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.folder.mkdir()
        self.cut_at_sync = False
        self.fails = False
        self._synced: dict[int, bytes] = {}  # by inode

    def sync(self, file: int) -> None:
        if self.cut_at_sync:
            raise PowerCutError
        if self.fails:
            raise OSError(28, "No space left on device")
        status = os.fstat(file)
        self._synced[status.st_ino] = os.pread(file, status.st_size, 0)

    def sync_folder(self, folder: Path) -> None:
        for path in folder.iterdir():
            if not path.stat().st_size:  # it is new, and may have the inode of an old one
                self._synced.pop(path.stat().st_ino, None)

    def crash(self, folder: Path, chance: random.Random) -> Disk:
        after = Disk(folder)
        for path in self.folder.iterdir():
            synced = self._synced.get(path.stat().st_ino, b"")
            mixed = _mixed(synced, path.read_bytes(), chance)
            (folder / path.name).write_bytes(mixed)
            after._synced[(folder / path.name).stat().st_ino] = mixed
        return after


def _mixed(synced: bytes, written: bytes, chance: random.Random) -> bytes:
    length = chance.choice([len(synced), len(written), chance.randint(0, len(written))])
    length = max(length, len(synced))
    content = bytearray(length)
    for start in range(0, length, PAGE):
        stop = min(start + PAGE, length)
        page = written[start:stop].ljust(stop - start, b"\0")
        before = synced[start:stop]
        if page[: len(before)] != before or len(before) < stop - start:
            choice = chance.random()
            if choice < 0.4:
                page = before.ljust(stop - start, b"\0")
            elif choice < 0.5 and not before:
                page = chance.randbytes(stop - start)
        content[start:stop] = page
    return bytes(content)


@pytest.fixture
def disk_in(monkeypatch) -> Callable[[Disk | Path], Disk]:
    """Sync on this disk from now on; of a path, make one."""

    def use(disk: Disk | Path) -> Disk:
        disk = Disk(disk) if isinstance(disk, Path) else disk
        monkeypatch.setattr(journal, "sync_data", disk.sync)
        monkeypatch.setattr(journal, "sync_folder", disk.sync_folder)
        monkeypatch.setattr(file_log, "sync_data", disk.sync)
        monkeypatch.setattr(files, "sync_data", disk.sync)
        return disk

    return use


@pytest.fixture
def power_cut() -> type[BaseException]:
    return PowerCutError


class Rig:
    """A client of a server, as a rig or a reader in any language would be."""

    def __init__(self, address: str) -> None:
        self.channel = grpc.insecure_channel(address)
        self.acquisition = rpc.AcquisitionServiceStub(self.channel)
        self.sortings = sorting_service_pb2_grpc.SortingServiceStub(self.channel)
        self.trains = spike_train_service_pb2_grpc.SpikeTrainServiceStub(self.channel)

    def start(self, name, ids=range(4), **fields) -> pb.StartAcquisitionResponse:
        fields = {"request_id": uuid.uuid4().hex, "sampling_frequency_hz": 30_000.0} | fields
        return self.acquisition.StartAcquisition(
            pb.StartAcquisitionRequest(name=name, unit_ids=unit_ids(ids), **fields), timeout=30
        )

    def append(self, name, epoch, requests) -> list[pb.AppendSpikesResponse]:
        """Send messages, and return the acknowledgements."""
        first = pb.AppendSpikesRequest(name=name, epoch=epoch)
        return list(self.acquisition.AppendSpikes(iter([first, *requests]), timeout=60))

    def follow(self, name, **fields) -> Iterator[pb.FollowSpikesResponse]:
        return self.acquisition.FollowSpikes(pb.FollowSpikesRequest(name=name, **fields))

    def get(self, name) -> pb.Acquisition:
        return self.acquisition.GetAcquisition(pb.GetAcquisitionRequest(name=name)).acquisition

    def finish(self, name, epoch, next_sequence) -> sorting_pb2.Sorting:
        return self.acquisition.FinishAcquisition(
            pb.FinishAcquisitionRequest(name=name, epoch=epoch, next_sequence=next_sequence),
            timeout=60,
        ).sorting


@pytest.fixture
def rig_at() -> Iterator[Callable[[str], Rig]]:
    """Connect to a server: `rig_at(address)`."""
    rigs: list[Rig] = []

    def connect(address: str) -> Rig:
        rigs.append(Rig(address))
        return rigs[-1]

    yield connect
    for rig in rigs:
        rig.channel.close()


@pytest.fixture
def rig(server, rig_at) -> Rig:
    """A rig at the server that tests share."""
    return rig_at(server.address)


@pytest.fixture
def batch() -> Callable[..., spike_train_pb2.SpikeChunk]:
    """`batch(samples, units, segment=0)` as a chunk."""
    return chunk_of
