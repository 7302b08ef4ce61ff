"""What a rig appends arrives, once, in order; what is wrong is refused before it is taken."""

from __future__ import annotations

import errno
import threading
import time

import numpy as np
import pytest

from spikewire.core.errors import (
    ContractError,
    DeadlineExceededError,
    InvalidTypeError,
    InvalidValueError,
    NotRecordingError,
    SegmentIndexError,
    SortingExistsError,
    SortingNotFoundError,
    SpoolFullError,
    StoreUnwritableError,
    UnitNotFoundError,
    WriterFencedError,
)
from spikewire.remote.live import spool_file

RATE = 30_000.0


@pytest.fixture
def acquire(client, name, spool):
    """Begin to record: `acquire(**options)`."""
    writers = []

    def begin(**options):
        options = {"sampling_frequency": RATE, "unit_ids": [3, 5], "spool": spool} | options
        writers.append(client.acquire(name, **options))
        return writers[-1]

    yield begin
    for writer in writers:
        writer.close()


def append_and_flush(writer) -> None:
    writer.append([3], [3])
    writer.flush(30)


def test_what_is_appended_is_the_sorting(acquire, client, name) -> None:
    with acquire(t_start=2.0, annotations={"rat": 7}) as writer:
        writer.append([10, 20, 30], [3, 5, 3])
        writer.append([15, 5], [5, 3])  # late, and unsorted
        writer.append([-4], [5])
        assert writer.start_segment(t_start=9.5) == 1
        writer.append(np.array([7], np.uint16), np.array([3]))
        writer.append([12], [3], segment_index=0)
        writer.add_units([8])
        writer.append([8], [8])
        writer.flush(timeout=30)
        assert client.open(name).count_total_num_spikes() == 9
    sorting = client.open(name)
    assert sorting.unit_ids.tolist() == [3, 5, 8]
    assert sorting.get_annotation("rat") == 7
    assert sorting.get_unit_spike_train(3, segment_index=0).tolist() == [5, 10, 12, 30]
    assert sorting.get_unit_spike_train(5, segment_index=0).tolist() == [-4, 15, 20]
    assert sorting.get_unit_spike_train(8, segment_index=1).tolist() == [8]
    assert [sorting.get_start_time(index) for index in (0, 1)] == [2.0, 9.5]


def test_spikes_of_one_sample_stay_in_order(acquire, client, name) -> None:
    with acquire() as writer:
        writer.append([9, 1, 9, 1], [3, 5, 5, 3])
    spikes = client.open(name).to_spike_vector()
    assert spikes["unit_index"].tolist() == [1, 0, 0, 1]


def test_a_batch_larger_than_a_chunk_arrives_whole(acquire, client, name) -> None:
    samples = np.arange(600_000)
    with acquire() as writer:
        writer.append(samples, np.full(samples.size, 5))
    np.testing.assert_array_equal(client.open(name).get_unit_spike_train(5), samples)


@pytest.mark.parametrize(
    ("samples", "labels", "options", "error"),
    [
        ([1, 2], [3, 4], {}, UnitNotFoundError),
        ([1], ["3"], {}, InvalidTypeError),
        ([1.5], [3], {}, InvalidTypeError),
        ([1, 2], [3], {}, InvalidValueError),
        ([[1]], [[3]], {}, InvalidValueError),
        (np.array([1 << 63], np.uint64), [3], {}, InvalidValueError),
        ([1], [3], {"segment_index": 1}, SegmentIndexError),
        ([1], [3], {"segment_index": -1}, SegmentIndexError),
    ],
)
def test_what_is_wrong_is_not_taken(acquire, client, name, samples, labels, options, error) -> None:
    with acquire() as writer:
        with pytest.raises(error):
            writer.append(samples, labels, **options)
        writer.append([1], [3])
    assert client.open(name).count_total_num_spikes() == 1


@pytest.mark.parametrize("added", [[3], [7, 7], ["seven"], [7.5]])
def test_units_that_cannot_be_announced_are_refused(acquire, added) -> None:
    with acquire() as writer:
        with pytest.raises(ContractError):
            writer.add_units(added)
        assert writer.unit_ids.tolist() == [3, 5]


def test_sync_points_ascend(acquire) -> None:
    with acquire() as writer:
        writer.add_sync_points([0, 100], [5.0, 6.0])
        writer.add_sync_points(200, 7.0)
        for sample, time_s in ((200, 8.0), (300, 7.0), (300, float("nan"))):
            with pytest.raises(InvalidValueError):
                writer.add_sync_points(sample, time_s)
        writer.flush(30)


def test_empty_batches_are_nothing(acquire, client, name) -> None:
    with acquire() as writer:
        before = client.open(name).revision
        for _ in range(10_000):
            writer.append([], [])
        writer.flush(30)
        assert client.open(name).revision == before
        assert writer.stats.spool_bytes == 0


def test_one_name_has_one_writer(acquire, client, name, spool) -> None:
    first = acquire()
    first.append([1], [3])
    first.flush(30)
    with pytest.raises(SortingExistsError):
        acquire(spool=spool.with_name("elsewhere"))
    with pytest.raises(StoreUnwritableError, match="in use by process"):
        acquire()
    second = acquire(spool=spool.with_name("elsewhere"), resume=True)
    second.append([2], [5])
    second.flush(30)
    with pytest.raises(WriterFencedError):
        append_and_flush(first)
    second.finish()
    assert client.open(name).to_spike_vector()["sample_index"].tolist() == [1, 2]


def test_resuming_needs_something_to_resume(acquire) -> None:
    with pytest.raises((SortingNotFoundError, NotRecordingError)):
        acquire(resume=True)
    with pytest.raises(InvalidValueError, match="sampling_frequency"):
        acquire(sampling_frequency=None)


def test_a_writer_goes_on_with_its_spool(acquire, client, name) -> None:
    with acquire() as writer:
        writer.append([1], [3])
        writer.close()
        with pytest.raises(NotRecordingError, match="was closed"):
            writer.append([2], [3])
    with pytest.raises(InvalidValueError, match="20000"):
        acquire(sampling_frequency=20_000.0)
    with acquire(unit_ids=[3, 9]) as writer:
        assert writer.unit_ids.tolist() == [3, 5, 9]
        writer.append([2], [9])
    assert client.open(name).to_spike_vector()["sample_index"].tolist() == [1, 2]


def test_an_exception_leaves_the_acquisition_open(acquire, client, name) -> None:
    def fail() -> None:
        with acquire() as writer:
            writer.append([1], [3])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    (listed,) = client.list(name)
    assert listed.state == "recording"
    acquire().finish()
    assert client.open(name).count_total_num_spikes() == 1


def test_a_block_that_cannot_finish_lets_go_of_its_spool(acquire, client, name, spool) -> None:
    first = acquire()
    append_and_flush(first)
    acquire(spool=spool.with_name("elsewhere"), resume=True)
    with pytest.raises(WriterFencedError), first:
        pass
    with acquire(resume=True) as third:
        append_and_flush(third)
    assert client.open(name).count_total_num_spikes() == 2


def test_units_that_cannot_be_added_do_not_hold_the_spool(acquire) -> None:
    acquire().close()
    with pytest.raises(ContractError):
        acquire(unit_ids=["three"])
    assert acquire().unit_ids.tolist() == [3, 5]


def test_finishing_during_appends_keeps_what_was_taken(acquire, client, name) -> None:
    writer, taken = acquire(), []

    def record(first: int) -> None:
        for sample in range(first, first + 100_000):
            try:
                writer.append([sample], [3])
            except NotRecordingError:
                return
            taken.append(sample)

    threads = [threading.Thread(target=record, args=(first,)) for first in (0, 1_000_000)]
    for thread in threads:
        thread.start()
    while len(taken) < 200:
        time.sleep(0)
    sealed = writer.finish(timeout=60)
    for thread in threads:
        thread.join()
    assert sealed.to_spike_vector()["sample_index"].tolist() == sorted(taken)


def test_a_full_spool_disk_is_told_and_recording_goes_on(
    acquire, client, name, monkeypatch
) -> None:
    write_all = spool_file._write_all

    def full(stream, data) -> None:
        stream.write(data[: len(data) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    with acquire() as writer:
        writer.append([1], [3])
        monkeypatch.setattr(spool_file, "_write_all", full)
        with pytest.raises(SpoolFullError, match="No space left"):
            writer.append([2], [3])
        with pytest.raises(SpoolFullError):
            writer.add_units([9])
        assert writer.unit_ids.tolist() == [3, 5]
        monkeypatch.setattr(spool_file, "_write_all", write_all)
        writer.append([3], [3])
    assert client.open(name).to_spike_vector()["sample_index"].tolist() == [1, 3]


def test_a_clock_that_is_set_back_does_no_harm(acquire, client, name, monkeypatch) -> None:
    now = time.time_ns()
    with acquire() as writer:
        for step in range(5):
            monkeypatch.setattr(time, "time_ns", lambda step=step: now - step * 10**12)
            writer.append([step], [3])
            assert writer.stats.lag_seconds >= 0
        writer.flush(30)
    assert client.open(name).to_spike_vector()["sample_index"].tolist() == [0, 1, 2, 3, 4]


def test_progress_and_stats_tell_how_far_it_is(acquire) -> None:
    reports = []

    def report(stats) -> None:
        reports.append(stats)
        raise ZeroDivisionError  # of the user's code: recording goes on

    with acquire(on_progress=report) as writer:
        writer.append([1, 2, 3], [3, 3, 5])
        writer.flush(30)
        stats = writer.stats
        assert (stats.appended, stats.acknowledged, stats.lag_spikes) == (3, 3, 0)
        assert stats.lag_seconds == 0.0
        assert (stats.is_connected, stats.reconnects) == (True, 0)
    assert reports[-1].acknowledged == 3


def test_a_flush_ends_in_time(name, spool, new_server, connect_to) -> None:
    server = new_server()
    writer = connect_to(server.address).acquire(name, RATE, [3], spool=spool)
    server.kill()
    writer.append([1], [3])
    with pytest.raises(DeadlineExceededError, match="stay in the spool"):
        writer.flush(0.2)
    with pytest.raises(DeadlineExceededError):
        writer.finish(0.2)
    writer.append([2], [3])
    server.start()
    assert writer.finish(60).to_spike_vector()["sample_index"].tolist() == [1, 2]
