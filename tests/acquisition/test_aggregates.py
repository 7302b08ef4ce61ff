"""Several logs as one sorting: windows are made of the records that overlap them, no others."""

from __future__ import annotations

import numpy as np
import pytest

import spikewire
from spikewire.core import clocks
from spikewire.core.errors import InvalidValueError, LimitExceededError
from spikewire.core.unit_ids import ids_side_by_side, of_one_dtype
from spikewire_server.acquisition import roster as roster_module
from spikewire_server.acquisition.file_log import FileLog
from spikewire_server.acquisition.files import FileLogs
from spikewire_server.acquisition.follow_messages import Position, pack_cursor, unpack_cursor
from spikewire_server.acquisition.live_sorting import LiveSorting
from spikewire_server.acquisition.recording import Recording
from spikewire_server.acquisition.roster import Roster

IDS = [f"{number:032x}" for number in range(3)]


@pytest.fixture
def read_records(monkeypatch) -> list[int]:
    """The sequences of the records that are read from logs from now on."""
    sequences: list[int] = []
    read = FileLog.read

    def counted(log, first, stop):
        sequences.extend(range(first, stop))
        return read(log, first, stop)

    monkeypatch.setattr(FileLog, "read", counted)
    return sequences


@pytest.fixture
def rigs(new_maker, tmp_path) -> list[LiveSorting]:
    """Two rigs of four units, each with a batch of every 100 samples."""
    logs = FileLogs(tmp_path / "logs")
    sortings = []
    for rig in range(2):
        make = new_maker()
        log = logs.create(IDS[rig], make.first())
        batches = [make.spikes_of([100 * n, 100 * n + 50], [0, 1 + rig]) for n in range(100)]
        logs.commit({log: batches})
        recording = Recording(log)
        sortings.append(LiveSorting(recording, recording.last_sequence))
    yield sortings
    logs.close()


def test_a_window_reads_only_what_overlaps_it(rigs, read_records) -> None:
    together = spikewire.aggregate_units(rigs)
    chosen = together.select_units(together.unit_ids[[1, 4]])
    for view, units in ((together, 4), (chosen, 2)):
        read_records.clear()
        samples, _ = view.segments[0].get_spike_columns(5_000, 5_200)
        assert len(samples) == 4 * units // 2
        assert len(read_records) == 4, "two records of each rig"
        read_records.clear()
        view.segments[0].get_unit_spike_trains(view.unit_ids, 5_000, 5_100)
        assert len(set(read_records)) == 1, "one record of each rig"
    read_records.clear()
    assert together.get_last_spike_frame() == 9_950
    assert read_records == []


def test_a_cursor_of_several_holds_the_place_in_each() -> None:
    positions = dict(zip(IDS, [Position(5), Position(1, 7), Position(2**40)], strict=True))
    cursor = b"".join(pack_cursor(name, position) for name, position in positions.items())
    assert unpack_cursor(cursor) == positions
    for wrong in (cursor[:-1], cursor + b"\x01", b"\x02" + cursor[1:], b""):
        with pytest.raises(InvalidValueError):
            unpack_cursor(wrong)


def test_sync_points_count_up_to_the_record_that_is_pinned(monkeypatch) -> None:
    roster = Roster()
    roster.start_segment(1, 4.0)
    roster.start_segment(2, None)
    roster.add_sync_point(3, 0, 0, 10.0)
    roster.add_sync_point(4, 1, 0, 20.0)
    roster.add_sync_point(5, 0, 100, 12.0)
    assert roster.clocks_at(2, 100.0) == (None, None)
    before, nothing = roster.clocks_at(3, 100.0)
    assert nothing is None
    assert before.first.times_at(100) == 11.0
    after, other = roster.clocks_at(5, 100.0)
    assert (after.first.times_at(100), other.first.times_at(100)) == (12.0, 21.0)
    roster.forget_from(5)
    assert roster.clocks_at(9, 100.0)[0] == before
    monkeypatch.setattr(roster_module, "MAX_SYNC_POINTS", 3)
    roster.add_sync_point(5, 0, 200, 13.0)
    with pytest.raises(LimitExceededError):
        roster.add_sync_point(6, 0, 300, 14.0)
    assert clocks.MAX_SYNC_POINTS > 3


def test_a_sync_point_that_was_lost_is_forgotten() -> None:
    roster = Roster()
    roster.start_segment(1, None)
    roster.add_sync_point(2, 0, 100, 12.0)
    assert roster.clocks_at(2, 100.0)[0].first.times_at(100) == 12.0
    roster.forget_from(2)
    roster.add_sync_point(2, 0, 50, 7.0)
    assert roster.clocks_at(2, 100.0)[0].first.times_at(50) == 7.0


def test_ids_of_one_kind_stay_when_longer_ones_join() -> None:
    ids = [np.array(["a"]), np.array([], np.int64), np.array(["long"])]
    together = ids_side_by_side(of_one_dtype(ids))
    assert together.tolist() == ["a", "long"]


def test_a_source_that_is_named_twice_is_refused(server) -> None:
    with (
        spikewire.connect(server.address) as client,
        pytest.raises(InvalidValueError, match="'rig/a' is given more than once"),
    ):
        client.aggregate("rig/both", iter(["rig/b", "rig/a", "rig/a"]))
