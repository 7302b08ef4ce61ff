"""Logs: what was committed is there after a crash, in order; damage is told from a torn end."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from spikewire.core.errors import FormatError, RevisionExpiredError, StoreUnwritableError
from spikewire_server.acquisition.files import FileLogs
from spikewire_server.acquisition.journal import Entry, Journal, read_entries
from spikewire_server.acquisition.record import (
    HEADER_BYTES,
    Kind,
    Record,
    checksum,
    pack_header,
    unpack_header,
)

ID = "00" * 16


def batches(maker, count, size=20):
    return [
        maker.spikes_of(np.arange(size) + 100 * maker.sequence, np.arange(size) % 4)
        for _ in range(count)
    ]


def payloads(log):
    return [bytes(payload) for payload in log.read(1, log.records.next_sequence)]


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "logs"


@pytest.fixture
def maker(new_maker):
    return new_maker()


def written(folder, maker, groups=3, size=20):
    """A log of some groups of two batches, and its records that are numbered."""
    logs = FileLogs(folder)
    first = maker.first()
    log = logs.create(ID, first)
    records = first[1:]
    for _ in range(groups):
        group = batches(maker, 2, size)
        assert logs.commit({log: group}) == {}
        records += group
    return logs, log, records


def unmarked(logs, folder):
    """Close logs so that the next start has to read them; return the path of the log."""
    logs.close()
    (folder / f"{ID}.rows").unlink()
    return folder / f"{ID}.log"


def test_what_was_committed_is_read_back(folder, maker):
    logs, log, records = written(folder, maker)
    assert payloads(log) == [record.payload for record in records]
    assert log.records.spike_count == 120
    logs.close()

    again = FileLogs(folder).open(ID, to_append=True)
    assert payloads(again) == [record.payload for record in records]
    assert again.records.rows.crc.tolist() == [record.crc for record in records]
    assert again.records.rows.first_spike.tolist() == [r.first_spike_index for r in records]
    assert again.records.rows.min_sample.tolist() == [record.min_sample for record in records]
    assert again.records.rows.max_sample.tolist() == [record.max_sample for record in records]
    assert again.start_time_ns == log.start_time_ns
    assert again.started == log.started


def test_a_log_that_is_not_there_has_expired(folder):
    with pytest.raises(RevisionExpiredError):
        FileLogs(folder).open(ID, to_append=False)


def test_a_clock_that_goes_back_changes_nothing(folder, maker, monkeypatch):
    times = iter(range(2_000_000_000 * 10**9, 0, -(10**15)))
    monkeypatch.setattr("time.time_ns", lambda: next(times))
    logs, log, records = written(folder, maker, groups=5)
    logs.close()
    again = FileLogs(folder).open(ID, to_append=True)
    assert payloads(again) == [record.payload for record in records]
    assert again.time_ns(3) > again.time_ns(9) == log.time_ns(9)


def test_an_epoch_survives(folder, maker):
    logs, log, _ = written(folder, maker)
    payload = (7).to_bytes(8, "little")
    epoch = Record(Kind.EPOCH, maker.sequence, payload, checksum(Kind.EPOCH, payload), maker.spikes)
    before = log.records.next_sequence
    assert logs.commit({log: [epoch]}) == {}
    assert (log.epoch, log.records.next_sequence) == (7, before)
    assert FileLogs(folder).open(ID, to_append=True).epoch == 7


@pytest.mark.parametrize("cut", [1, HEADER_BYTES - 1, HEADER_BYTES, HEADER_BYTES + 5])
def test_a_torn_end_is_cut(folder, maker, cut):
    logs, log, records = written(folder, maker)
    size = log.size
    last = HEADER_BYTES + len(records[-1].payload)
    path = unmarked(logs, folder)
    path.write_bytes(path.read_bytes()[: size - last + cut])
    again = FileLogs(folder).open(ID, to_append=True)
    assert payloads(again) == [record.payload for record in records[:-1]]
    assert path.stat().st_size == again.size == size - last


@pytest.mark.parametrize("garbage", [b"\0" * 5000, b"SWr\x01" * 100, bytes(range(256)) * 9])
def test_garbage_behind_the_end_is_cut(folder, maker, garbage):
    logs, _, records = written(folder, maker)
    logs.close()
    with (folder / f"{ID}.log").open("ab") as file:
        file.write(garbage)
    again = FileLogs(folder).open(ID, to_append=True)
    assert payloads(again) == [record.payload for record in records]


def test_reading_an_ended_log_does_not_touch_it(folder, maker):
    logs, log, _ = written(folder, maker)
    logs.close()
    path = folder / f"{ID}.log"
    path.write_bytes(path.read_bytes() + b"torn")
    FileLogs(folder).open(ID, to_append=False)
    assert path.stat().st_size == log.size + 4


@pytest.mark.parametrize("place", ["header", "payload"])
@pytest.mark.parametrize("record", [0, 2, 4, 5])
def test_damage_to_what_was_acknowledged_is_an_error(folder, maker, record, place):
    logs, log, _ = written(folder, maker)
    offset = int(log.records.rows.offset[record])
    path = unmarked(logs, folder)
    content = bytearray(path.read_bytes())
    content[offset - 20 if place == "header" else offset] ^= 0x40
    path.write_bytes(content)
    with pytest.raises(FormatError, match=f"record {record + 1}, which was acknowledged"):
        FileLogs(folder).open(ID, to_append=True)
    assert path.read_bytes() == content


def test_a_group_of_which_only_the_end_was_written_is_cut(folder, maker):
    logs, log, records = written(folder, maker)
    offset = int(log.records.rows.offset[-2])
    path = unmarked(logs, folder)
    content = bytearray(path.read_bytes())
    content[offset] ^= 0x40
    path.write_bytes(content)
    again = FileLogs(folder).open(ID, to_append=True)
    assert payloads(again) == [record.payload for record in records[:-2]]


def test_a_record_that_is_missing_is_an_error(folder, maker):
    logs, log, _ = written(folder, maker)
    first, behind = (int(log.records.rows.offset[row]) - HEADER_BYTES for row in (3, 4))
    path = unmarked(logs, folder)
    content = path.read_bytes()
    path.write_bytes(content[:first] + content[behind:])
    with pytest.raises(FormatError, match="record 4, which was acknowledged"):
        FileLogs(folder).open(ID, to_append=True)


@pytest.mark.parametrize("step", range(1, 200, 7))
def test_damage_is_told_wherever_the_search_for_what_follows_is_cut(
    folder, maker, monkeypatch, step
):
    monkeypatch.setattr("spikewire_server.acquisition.recovery._SEARCH_BYTES", step)
    logs, log, _ = written(folder, maker, groups=2, size=1)
    offset = int(log.records.rows.offset[2])
    path = unmarked(logs, folder)
    content = bytearray(path.read_bytes())
    content[offset] ^= 0x40
    path.write_bytes(content)
    with pytest.raises(FormatError, match="record 3, which was acknowledged"):
        FileLogs(folder).open(ID, to_append=False)


def test_no_header_announces_more_than_a_payload_may_have(maker, monkeypatch):
    (record,) = batches(maker, 1)
    header = pack_header(record, 1, 0)
    assert unpack_header(header).payload_bytes == len(record.payload)
    monkeypatch.setattr(
        "spikewire_server.acquisition.record.MAX_PAYLOAD_BYTES", len(record.payload) - 1
    )
    assert unpack_header(header) is None


def test_damage_that_comes_while_it_is_open_is_an_error(folder, maker):
    _, log, _ = written(folder, maker)
    with (folder / f"{ID}.log").open("r+b") as file:
        file.seek(int(log.records.rows.offset[3]))
        file.write(b"\xff\xff\xff")
    assert len(log.read(1, 4)) == 3
    with pytest.raises(FormatError, match="damaged"):
        log.read(3, 6)


def test_a_full_disk_loses_the_group_and_nothing_else(folder, maker, disk_in, tmp_path):
    disk = disk_in(tmp_path / "disk")
    logs, log, records = written(disk.folder, maker)
    disk.fails = True
    failed = logs.commit({log: batches(maker, 2)})
    assert failed[log].errno == 28
    assert payloads(log) == [record.payload for record in records]

    disk.fails = False
    maker.sequence, maker.spikes = log.records.next_sequence, log.records.spike_count
    more = batches(maker, 3)
    assert logs.commit({log: more}) == {}
    assert payloads(log) == [record.payload for record in [*records, *more]]
    again = FileLogs(disk.folder).open(ID, to_append=True)
    assert payloads(again) == payloads(log)


def test_a_log_that_fails_does_not_hinder_the_others(folder, new_maker, monkeypatch):
    logs = FileLogs(folder)
    makers = [new_maker(), new_maker()]
    first, second = (logs.create(f"{i:032x}", makers[i].first()) for i in range(2))

    def refuse(records):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(first, "write", refuse)
    failed = logs.commit({log: batches(makers[i], 1) for i, log in enumerate((first, second))})
    assert list(failed) == [first]
    assert (first.records.next_sequence, second.records.next_sequence) == (3, 4)


def test_the_journal_goes_when_the_logs_are_synced(folder, maker):
    logs = FileLogs(folder, journal_bytes=1000)
    log = logs.create(ID, maker.first())
    for _ in range(20):
        logs.commit({log: batches(maker, 1, size=200)})
    logs._syncing.submit(lambda: None).result()
    assert len(list(folder.glob("*.journal"))) <= 2  # the one in use, and perhaps the next
    logs.close()
    assert list(folder.glob("*.journal")) == []
    assert FileLogs(folder).open(ID, to_append=True).records.next_sequence == 23


def test_the_room_of_a_journal_is_overwritten(folder, maker):
    logs = FileLogs(folder, journal_bytes=100_000)
    log = logs.create(ID, maker.first())
    # The next file is never ready before the commit that asks for it is over.
    is_over = threading.Event()
    logs._syncing.submit(is_over.wait)
    for _ in range(2):
        logs.commit({log: batches(maker, 1)})
        is_over.set()
        logs._syncing.submit(lambda: None).result()
    logs.commit({log: batches(maker, 1)})
    (journal,) = folder.glob("*.journal")
    assert journal.stat().st_size == 100_000
    (entry,) = read_entries(journal)
    assert entry.acquisition_id == ID
    logs.close()


@pytest.mark.parametrize("place", [-20, 0, 5])
def test_an_entry_of_the_journal_that_is_damaged_is_left_out(tmp_path, place):
    journal = Journal(tmp_path / "1.journal")
    journal.write([Entry(ID, 0, b"first"), Entry(ID, 5, b"second"), Entry(ID, 11, b"third")])
    journal.close()
    content = bytearray(journal.path.read_bytes())
    content[content.index(b"second") + place] ^= 1
    journal.path.write_bytes(content)
    assert [entry.data for entry in read_entries(journal.path)] == [b"first", b"third"]


def test_a_log_that_cannot_be_made_leaves_nothing(folder, maker, disk_in, tmp_path):
    disk = disk_in(tmp_path / "disk")
    logs = FileLogs(disk.folder)
    disk.fails = True
    with pytest.raises(StoreUnwritableError, match="No space left"):
        logs.create(ID, maker.first())
    assert list((disk.folder).glob("*.log")) == []


def test_old_logs_expire_but_for_some(folder, new_maker):
    logs = FileLogs(folder)
    ids = [f"{number:032x}" for number in range(3)]
    for acquisition_id in ids:
        logs.create(acquisition_id, new_maker().first())
    mtime = (folder / f"{ids[0]}.log").stat().st_mtime
    logs.expire({ids[0]}, mtime - 1)
    assert len(list(folder.glob("*.log"))) == 3
    logs.expire({ids[0]}, mtime + 3600)
    assert [path.stem for path in folder.glob("*.log")] == ids[:1]


@pytest.fixture
def marked(folder, maker):
    """A log whose table was saved in several parts, and that is longer than it."""
    logs = FileLogs(folder, journal_bytes=2_000)
    log = logs.create(ID, maker.first())
    records = []
    for _ in range(12):
        records += batches(maker, 1, size=200)
        logs.commit({log: records[-1:]})
        logs._syncing.submit(lambda: None).result()  # the next file is ready, the table saved
    payload = (3).to_bytes(8, "little")
    epoch = Record(Kind.EPOCH, maker.sequence, payload, checksum(Kind.EPOCH, payload), maker.spikes)
    logs.commit({log: [epoch, *batches(maker, 1)]})
    logs._syncing.shutdown()  # the folder is another's now
    return log


def same(log, other):
    for column, expected in zip(other.records.rows, log.records.rows, strict=True):
        np.testing.assert_array_equal(column, expected)
    assert (other.mark, other.started) == (log.mark, log.started)
    assert payloads(other) == payloads(log)
    return True


def test_a_saved_table_needs_no_reading(folder, marked, monkeypatch):
    assert (folder / f"{ID}.rows").stat().st_size > 12 * 40
    read = []
    monkeypatch.setattr(
        "spikewire_server.acquisition.recovery._is_next",
        lambda header, *_: read.append(header) or True,
    )
    again = FileLogs(folder).open(ID, to_append=False)
    assert len(read) < 6
    assert same(marked, again)


def test_a_log_grows_on_behind_a_saved_table(folder, marked, maker):
    logs = FileLogs(folder)
    log = logs.open(ID, to_append=True)
    for count in (1, 200):
        logs.commit({log: batches(maker, count)})
    logs.close()
    assert same(log, FileLogs(folder).open(ID, to_append=False))


def test_a_table_without_its_beginning_is_made_up_for(folder, marked):
    path = folder / f"{ID}.rows"
    content = path.read_bytes()
    path.write_bytes(content[content.index(b"SWt\x01", 1) :])
    assert same(marked, FileLogs(folder).open(ID, to_append=False))


def test_what_lies_behind_a_table_goes_when_it_grows(folder, marked, maker):
    path = folder / f"{ID}.rows"
    path.write_bytes(path.read_bytes() + b"garbage " * 1000)
    logs = FileLogs(folder)
    logs.commit({logs.open(ID, to_append=True): batches(maker, 1)})
    logs.close()
    assert b"garbage" not in path.read_bytes()


@pytest.mark.parametrize("place", [0, 10, 60, 0.5, -1])
def test_a_damaged_table_is_made_up_for(folder, marked, place):
    path = folder / f"{ID}.rows"
    content = bytearray(path.read_bytes())
    content[int(place * len(content)) if place == 0.5 else place] ^= 1
    path.write_bytes(content)
    logs = FileLogs(folder)
    log = logs.open(ID, to_append=True)
    assert same(marked, log)
    logs.commit({log: []})
    logs.close()
    assert same(marked, FileLogs(folder).open(ID, to_append=False))


def test_a_log_that_is_shorter_than_its_table_says_is_damaged(folder, marked):
    path = folder / f"{ID}.log"
    path.write_bytes(path.read_bytes()[:3_000])
    for journal in folder.glob("*.journal"):
        journal.unlink()
    with pytest.raises(FormatError, match="damaged"):
        FileLogs(folder).open(ID, to_append=True)


def test_the_table_goes_with_the_log(folder, marked):
    FileLogs(folder).remove(ID)
    assert list(folder.glob(f"{ID}*")) == []
