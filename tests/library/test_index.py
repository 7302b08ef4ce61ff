"""The index: what it answers, what it survives, and that it never serves what is damaged."""

from __future__ import annotations

import itertools
import json
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikewire.core.errors import FormatError
from spikewire.core.trains import SegmentTrains
from spikewire.v1 import spike_train_service_pb2 as pb
from spikewire.wire.chunks import MAX_CHUNK_SPIKES
from spikewire.wire.trains import decode_trains, train_counts
from spikewire_server.library import spikes as spikes_module
from spikewire_server.library.index import (
    DamagedIndexError,
    Index,
    IndexKeeper,
    SegmentIndex,
    build_index,
)
from spikewire_server.library.index.trains import AbandonedError
from spikewire_server.library.indexed_spikes import IndexedSpikes
from spikewire_server.library.spikes import FileSpikes, MemorySpikes

REVISION = "a revision / of any text"
UNITS = np.arange(10)


def columns(spike_count: int, unit_count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    samples = np.sort(generator.integers(-1000, max(spike_count * 5, 1), spike_count))
    return samples, generator.integers(0, unit_count, spike_count)


def built(folder: Path, unit_count: int, *segments) -> Index:
    build_index(folder, REVISION, unit_count, [[segment] for segment in segments])
    return Index(folder, REVISION)


def in_memory(samples, units, unit_count) -> MemorySpikes:
    return MemorySpikes(
        (samples, units), lambda: SegmentTrains.from_columns(samples, units, unit_count)
    )


def damaged(error: DamagedIndexError):
    raise error


def gathered(pieces) -> tuple[np.ndarray, np.ndarray]:
    pieces = list(pieces)
    empty = [np.empty(0, np.int64)]
    return (
        np.concatenate(empty + [samples for samples, _ in pieces]),
        np.concatenate(empty + [units for _, units in pieces]),
    )


@pytest.fixture(scope="module")
def large(tmp_path_factory) -> tuple[SegmentIndex, np.ndarray, np.ndarray]:
    """Three chunks, the last one not full."""
    samples, units = columns(2 * MAX_CHUNK_SPIKES + 1000, 300)
    index = built(tmp_path_factory.mktemp("index") / "large", 300, (samples, units))
    return index.segments[0], samples, units


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_any_window_is_that_of_the_spikes(large, data):
    index, samples, units = large
    far = st.sampled_from([-(2**63), -(2**33), 2**33, 2**63 - 1])
    bound = st.none() | far | st.integers(-2000, int(samples[-1]) + 2000)
    start, end = data.draw(bound), data.draw(bound)
    skip = data.draw(st.integers(0, 3) | st.integers(0, len(samples)))
    chosen = np.array(data.draw(st.lists(st.integers(0, 299), max_size=5)), dtype=np.int64)
    ours, truth = IndexedSpikes(index, damaged), in_memory(samples, units, 300)

    assert ours.count(start, end) == truth.count(start, end)
    assert ours.last_sample(start, end) == truth.last_sample(start, end)
    np.testing.assert_array_equal(ours.counts(chosen, start, end), truth.counts(chosen, start, end))
    skip = min(skip, truth.count(start, end))
    for got, want in zip(
        gathered(ours.blocks(start, end, skip)),
        gathered(truth.blocks(start, end, skip)),
        strict=True,
    ):
        np.testing.assert_array_equal(got, want)
    for got, want in zip(
        ours.trains(chosen, start, end), truth.trains(chosen, start, end), strict=True
    ):
        np.testing.assert_array_equal(got.astype(np.int64) + ours.base, want)


@pytest.mark.parametrize(
    ("samples", "units"),
    [
        ([], []),
        ([5], [2]),
        ([-(2**62), 2**62], [0, 1]),
        ([7, 7, 7, 7], [3, 1, 1, 0]),
        ([0, 2**33], [1, 1]),
        ([0, 2**32 - 1], [1, 1]),
        ([0, 2**32], [1, 1]),
    ],
)
def test_odd_segments_come_back(tmp_path, samples, units):
    samples, units = np.array(samples, np.int64), np.array(units, np.int64)
    (segment,) = built(tmp_path / "index", 4, (samples, units)).segments
    spikes = IndexedSpikes(segment, damaged)
    for got, want in zip(gathered(spikes.blocks(None, None)), (samples, units), strict=True):
        np.testing.assert_array_equal(got, want)
    for unit, train in enumerate(spikes.trains(np.arange(4), None, None)):
        np.testing.assert_array_equal(train.astype(np.int64) + spikes.base, samples[units == unit])


def test_how_the_spikes_were_cut_does_not_matter(tmp_path):
    samples, units = columns(MAX_CHUNK_SPIKES + 5000, 10)
    cuts = [0, 1, 70_000, 70_000, MAX_CHUNK_SPIKES, len(samples)]
    blocks = [(samples[a:b], units[a:b]) for a, b in itertools.pairwise(cuts)]
    build_index(tmp_path / "cut", REVISION, 10, [blocks])
    build_index(tmp_path / "whole", REVISION, 10, [[(samples, units)]])
    for path in (tmp_path / "whole").iterdir():
        assert path.read_bytes() == (tmp_path / "cut" / path.name).read_bytes()


def test_a_run_of_records_is_a_message(large):
    index, samples, _ = large
    message = pb.StreamSpikesResponse.FromString(index.records.read(0) + index.records.read(1))
    assert [chunk.spike_count for chunk in message.chunks] == [MAX_CHUNK_SPIKES] * 2
    assert message.chunks[1].base_sample == samples[MAX_CHUNK_SPIKES]


def flip_a_byte(path: Path, position: int) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= 0x10
    path.write_bytes(data)


@pytest.mark.parametrize("part", ["chunks", "packs", "counts", "sums"])
def test_a_damaged_table_is_found_when_opened(tmp_path, part):
    folder = tmp_path / "index"
    built(folder, 10, columns(5000, 10))
    flip_a_byte(folder / f"segment0.{part}", 1)
    with pytest.raises(DamagedIndexError):
        Index(folder, REVISION)


@pytest.mark.parametrize(
    "part", ["spikes", "trains", "packed", "chunks", "packs", "counts", "sums"]
)
@pytest.mark.parametrize("damage", ["shorter", "longer", "gone"])
def test_a_file_of_another_length_is_found_when_opened(tmp_path, part, damage):
    folder = tmp_path / "index"
    built(folder, 10, columns(5000, 10))
    path = folder / f"segment0.{part}"
    if damage == "gone":
        path.unlink()
    else:
        data = path.read_bytes()
        path.write_bytes(data[:-1] if damage == "shorter" else data + b"\0")
    with pytest.raises(DamagedIndexError):
        Index(folder, REVISION)


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "null", json.dumps({"version": 99, "revision": REVISION})]
)
def test_a_damaged_description_is_found_when_opened(tmp_path, text):
    folder = tmp_path / "index"
    built(folder, 10, columns(5000, 10))
    (folder / "index.json").write_text(text)
    with pytest.raises(DamagedIndexError):
        Index(folder, REVISION)


def test_an_index_of_something_else_is_found_when_opened(tmp_path):
    folder = tmp_path / "index"
    built(folder, 10, columns(5000, 10))
    with pytest.raises(DamagedIndexError, match="revision"):
        Index(folder, "another")
    description = json.loads((folder / "index.json").read_text())
    (folder / "index.json").write_text(json.dumps(description | {"unit_count": 11}))
    with pytest.raises(DamagedIndexError, match="add up"):
        Index(folder, REVISION)


def unpacked(pieces, base: int, unit_count: int) -> list[np.ndarray]:
    """Return the trains of packs and of pieces of trains, in the order of the units."""
    trains: list[list[np.ndarray]] = [[np.empty(0, np.int64)] for _ in range(unit_count)]
    for piece in pieces:
        if isinstance(piece, bytes):
            for chunk in pb.GetUnitSpikeTrainsResponse.FromString(piece).chunks:
                units, counts = train_counts(chunk)
                here = [np.empty(count, np.int64) for count in counts]
                decode_trains(chunk, here)
                for unit, train in zip(units, here, strict=True):
                    trains[unit].append(train)
        else:
            for unit, train in piece:
                trains[unit].append(train.astype(np.int64) + base)
    return [np.concatenate(pieces) for pieces in trains]


@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_packs_hold_the_trains_of_any_units_from_anywhere_on(large, data):
    index, samples, units = large
    some = st.lists(st.integers(0, 299), max_size=20)
    left_out = data.draw(some)
    chosen = np.array(data.draw(some.map(lambda few: sorted(set(few)))) or range(300), np.int64)
    chosen = np.setdiff1d(chosen, left_out)
    spikes = IndexedSpikes(index, damaged)
    count = int(index.counts[chosen].sum())
    skip = data.draw(st.integers(0, count) | st.sampled_from(index.packs["first_spike"].tolist()))
    skip = min(skip, count)
    expected = [samples[units == unit] if unit in chosen else samples[:0] for unit in range(300)]
    left = skip
    for unit in chosen:
        first = min(left, len(expected[unit]))
        expected[unit] = expected[unit][first:]
        left -= first
    for got, want in zip(
        unpacked(spikes.packs(chosen, skip), spikes.base, 300), expected, strict=True
    ):
        np.testing.assert_array_equal(got, want)


def test_all_trains_are_sent_as_they_lie(large):
    index, _, _ = large
    pieces = list(IndexedSpikes(index, damaged).packs(np.arange(300)))
    assert [type(piece) for piece in pieces] == [bytes] * 3


def test_a_damaged_pack_is_made_up_for(tmp_path):
    folder = tmp_path / "index"
    samples, units = columns(3 * MAX_CHUNK_SPIKES, 10)
    built(folder, 10, (samples, units))
    path = folder / "segment0.packed"
    flip_a_byte(path, path.stat().st_size // 2)
    (segment,) = Index(folder, REVISION).segments
    with pytest.raises(DamagedIndexError):
        list(IndexedSpikes(segment, damaged).packs(UNITS))
    truth = in_memory(samples, units, 10)
    for skip in (0, 5, MAX_CHUNK_SPIKES + 7):
        (segment,) = Index(folder, REVISION).segments
        spikes = IndexedSpikes(segment, lambda error: truth)
        trains = unpacked(spikes.packs(UNITS, skip), spikes.base, 10)
        whole = np.concatenate([samples[units == unit] for unit in UNITS])
        np.testing.assert_array_equal(np.concatenate(trains), whole[skip:])


@pytest.mark.parametrize("part", ["spikes", "trains"])
def test_damaged_spikes_are_never_served(tmp_path, part):
    folder = tmp_path / "index"
    samples, units = columns(2 * MAX_CHUNK_SPIKES, 10)
    built(folder, 10, (samples, units))
    path = folder / f"segment0.{part}"
    flip_a_byte(path, path.stat().st_size - 100)
    (segment,) = Index(folder, REVISION).segments
    spikes = IndexedSpikes(segment, damaged)
    with pytest.raises(DamagedIndexError):
        list(spikes.blocks(None, None) if part == "spikes" else spikes.trains(UNITS, None, None))

    # What asks gets the right spikes all the same, from elsewhere, none twice.
    faults = []
    truth = in_memory(samples, units, 10)
    spikes = IndexedSpikes(segment, lambda error: faults.append(error) or truth)
    got_samples, got_units = gathered(spikes.blocks(None, None))
    np.testing.assert_array_equal(got_samples, samples)
    np.testing.assert_array_equal(got_units, units)
    for unit, train in enumerate(spikes.trains(UNITS, None, None)):
        np.testing.assert_array_equal(train.astype(np.int64) + spikes.base, samples[units == unit])
    assert faults


def test_trains_from_files_come_from_the_index_once_there_is_one(large, monkeypatch):
    index, samples, units = large
    monkeypatch.setattr(spikes_module, "_SPIKES_AT_ONCE", 100_000)
    passes = []

    def read(start, end):
        passes.append(len(passes))
        yield samples, units

    def indexed():
        return IndexedSpikes(index, damaged) if len(passes) == 2 else None

    chosen = np.arange(300)[::-1]
    trains = FileSpikes(read, lambda: index.counts, 300, indexed).trains(chosen, None, None)
    for unit, train in zip(chosen, trains, strict=True):
        np.testing.assert_array_equal(train, samples[units == unit])
    assert len(passes) == 2


def test_a_build_that_is_stopped_leaves_nothing(tmp_path):
    asked = iter([False, True])
    with pytest.raises(AbandonedError):
        build_index(
            tmp_path / "index",
            REVISION,
            10,
            [[columns(3 * MAX_CHUNK_SPIKES, 10)]],
            lambda: next(asked),
        )
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def keeper(tmp_path):
    kept = IndexKeeper(tmp_path / "index", max_bytes=1 << 30)
    kept.start()
    yield kept
    kept.close()


def wait_for(keeper: IndexKeeper, revision: str) -> Index:
    for _ in range(600):
        index = keeper.get(revision)
        if index is not None:
            return index
        threading.Event().wait(0.05)
    pytest.fail("the index was not built")


def test_the_keeper_builds_what_is_wanted_and_finds_it_again(tmp_path, keeper):
    spikes = columns(5000, 10)
    assert keeper.get(REVISION) is None
    keeper.want(REVISION, 10, lambda: [[spikes]])
    assert wait_for(keeper, REVISION).segments[0].spike_count == 5000
    keeper.close()
    again = IndexKeeper(tmp_path / "index", max_bytes=1 << 30)
    assert again.get(REVISION) is not None


def test_a_damaged_index_is_built_anew(tmp_path, keeper):
    spikes = columns(5000, 10)
    keeper.want(REVISION, 10, lambda: [[spikes]])
    wait_for(keeper, REVISION)
    keeper.close()
    (folder,) = (tmp_path / "index").iterdir()
    flip_a_byte(folder / "segment0.chunks", 0)
    again = IndexKeeper(tmp_path / "index", max_bytes=1 << 30)
    again.start()
    try:
        assert again.get(REVISION) is None
        again.want(REVISION, 10, lambda: [[spikes]])
        (segment,) = wait_for(again, REVISION).segments
        np.testing.assert_array_equal(
            gathered(IndexedSpikes(segment, damaged).blocks(None, None))[0], spikes[0]
        )
    finally:
        again.close()


def test_a_full_disk_is_told_once_and_the_next_build_works(keeper, monkeypatch, capsys):
    calls = []

    def full():
        calls.append(1)
        raise OSError(28, "No space left on device")

    for number in range(3):
        keeper.want(f"full {number}", 10, full)
    keeper.want(REVISION, 10, lambda: [[columns(100, 10)]])
    wait_for(keeper, REVISION)
    assert len(calls) == 3
    assert capsys.readouterr().out.count("not indexed") == 1


def test_spikes_that_cannot_be_read_are_not_indexed(keeper):
    def broken():
        raise FormatError("torn")

    keeper.want("broken", 10, broken)
    keeper.want(REVISION, 10, lambda: [[columns(100, 10)]])
    wait_for(keeper, REVISION)
    assert keeper.get("broken") is None


def test_the_least_used_go_when_the_disk_budget_is_spent(tmp_path):
    keeper = IndexKeeper(tmp_path / "index", max_bytes=240_000)
    keeper.start()
    try:
        for number in range(4):  # about 71 kB each
            spikes = columns(10_000, 10, number)
            keeper.want(str(number), 10, lambda spikes=spikes: [[spikes]])
            wait_for(keeper, str(number))
    finally:
        keeper.close()
    sizes = [
        sum(file.stat().st_size for file in folder.iterdir())
        for folder in (tmp_path / "index").iterdir()
    ]
    assert sum(sizes) <= 240_000
    assert len(sizes) == 3
