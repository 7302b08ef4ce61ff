"""What is cached, what is fetched, and what is fetched once for all who wait for it."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import spikewire
from spikewire.core.errors import InvalidValueError, RevisionMismatchError
from spikewire.remote import cache as cache_module
from spikewire.remote import cached_trains
from spikewire.remote.cache import TrainCache
from spikewire.remote.steps import Wait

UNITS = range(5)


@pytest.fixture
def truth(fake):
    return fake.script.sorting


@pytest.fixture
def client(fake):
    with spikewire.connect(fake.address) as connected:
        yield connected


@pytest.fixture
def sorting(client):
    return client.open("a")


@pytest.fixture
def uncached(fake):
    """A sorting whose units are larger than the cache."""
    with spikewire.connect(fake.address, cache_bytes=0) as connected:
        yield connected.open("a")


def calls(fake):
    """The reads that were asked for so far."""
    return [name for name, _ in fake.script.requests if name not in ("GetServerInfo", "GetSorting")]


def same(trains, truth, segment, *window):
    for unit, train in trains.items():
        np.testing.assert_array_equal(train, truth.get_unit_spike_train(unit, segment, *window))
        assert not train.flags.writeable


# -- the cache itself ----------------------------------------------------------------------


class Model:
    """A cache that keeps a list in place of everything clever."""

    def __init__(self, budget):
        self.budget = budget
        self.blocks: list[tuple[int, dict]] = []  # the least recently used first

    def size(self):
        return sum(size for size, _ in self.blocks)

    def get(self, key):
        for place, (_, trains) in enumerate(self.blocks):
            if key in trains:
                self.blocks.append(self.blocks.pop(place))
                return trains[key]
        return None

    def put(self, trains):
        size = sum(train.nbytes + cache_module._BYTES_OF_A_TRAIN for train in trains.values())
        if size <= self.budget:
            self.blocks.append((size, trains))
            while self.size() > self.budget:
                self.blocks.pop(0)


keys = st.tuples(st.integers(0, 1), st.integers(0, 5))  # segment, unit
actions = st.lists(
    st.one_of(
        st.tuples(st.just("get"), keys),
        st.tuples(
            st.just("fetch"), st.integers(0, 1), st.sets(st.integers(0, 5), min_size=1), keys
        ),
    ),
    max_size=40,
)


@given(budget=st.integers(0, 6000), actions=actions, sizes=st.integers(0, 2**30))
def test_the_cache_keeps_what_was_used_last_and_no_more_than_its_budget(budget, actions, sizes):
    cache, model = TrainCache(budget), Model(budget)
    segments = [cache.segment("s", "r", index) for index in range(2)]
    lengths = np.random.default_rng(sizes)
    for action in actions:
        if action[0] == "get":
            segment, unit = action[1]
            assert segments[segment].get(unit) is model.get((segment, unit))
        else:
            _, segment, units, (_, cut) = action
            claim = segments[segment].claim(sorted(units))
            assert not claim.awaited
            for unit in claim.found:
                assert model.get((segment, unit)) is claim.found[unit]
                segments[segment].get(unit)
            trains = [np.arange(lengths.integers(0, 200)) for _ in claim.mine]
            blocks = [trains[:cut], trains[cut:]]
            assert segments[segment].deliver(claim, blocks).keys() == set(claim.mine)
            for block, mine in zip(blocks, [claim.mine[:cut], claim.mine[cut:]], strict=True):
                if block:
                    model.put(
                        {(segment, unit): train for unit, train in zip(mine, block, strict=True)}
                    )
        assert cache.size == model.size() <= budget


def test_sortings_share_what_is_of_one_revision():
    cache = TrainCache(1000)
    segment = cache.segment("a", "r", 0)
    segment.deliver(segment.claim([3]), [[np.arange(4)]])
    assert cache.segment("a", "r", 0).get(3) is not None
    for other in (("b", "r", 0), ("a", "q", 0), ("a", "r", 1)):
        assert cache.segment(*other).get(3) is None
    del segment
    assert cache.segment("a", "r", 0).get(3) is not None  # as long as something is cached


# -- what is asked of the server -------------------------------------------------------------


def test_one_question_is_one_call(fake, sorting, truth):
    same({1: sorting.get_unit_spike_train(1, 0, 100, 900)}, truth, 0, 100, 900)
    assert calls(fake) == ["GetUnitSpikeTrain"]


def test_a_whole_train_is_fetched_once(fake, sorting, truth):
    for _ in range(3):
        same({1: sorting.get_unit_spike_train(1, 0)}, truth, 0)
        same({1: sorting.get_unit_spike_train(1, 0, 5, 5000)}, truth, 0, 5, 5000)
    assert calls(fake).count("GetUnitSpikeTrain") == 1


def test_the_second_window_brings_the_whole_unit(fake, sorting, truth):
    for start in range(0, 9000, 1000):
        window = start, start + 500
        same({2: sorting.get_unit_spike_train(2, 1, *window)}, truth, 1, *window)
    assert calls(fake) == [
        "GetUnitSpikeTrain",
        "CountSpikes",
        "GetUnitSpikeTrain",
        "GetUnitSpikeTrains",  # the fake server cuts long trains
    ]


def test_the_fourth_miss_brings_all_units(fake, sorting, truth):
    for unit in UNITS:
        same({unit: sorting.get_unit_spike_train(unit, 0, 0, 10)}, truth, 0, 0, 10)
    before = len(fake.script.requests)
    for unit in UNITS:
        same({unit: sorting.get_unit_spike_train(unit, 0)}, truth, 0)
    same(sorting.get_unit_spike_trains(None, 0, 7, 700), truth, 0, 7, 700)
    assert len(fake.script.requests) == before
    (whole,) = [
        request
        for request in fake.script.asked("GetUnitSpikeTrains")
        if len(request.units.unit_indices.values) > 1
    ]
    # What came before is not fetched again: units 1 and 2, for their windows.
    assert list(whole.units.unit_indices.values) == [0, 3, 4]


def test_a_batch_asks_for_what_is_missing(fake, sorting, truth):
    sorting.get_unit_spike_train(3, 0)
    same(sorting.get_unit_spike_trains([4, 3, 0], 0), truth, 0)
    assert list(sorting.get_unit_spike_trains([4, 3, 0], 0)) == [4, 3, 0]
    *_, request = fake.script.asked("GetUnitSpikeTrains")
    assert list(request.units.unit_indices.values) == [4, 0]


def test_without_the_cache_every_read_asks_the_server(fake, sorting, truth):
    sorting.precompute_spike_trains()
    before = len(fake.script.requests)
    for _ in range(2):
        same({1: sorting.get_unit_spike_train(1, 0, 5, 99, use_cache=False)}, truth, 0, 5, 99)
    assert calls(fake)[-2:] == ["GetUnitSpikeTrain", "Query"]
    assert len(fake.script.requests) == before + 2


def test_precomputing_fetches_everything(fake, sorting, truth):
    sorting.precompute_spike_trains()
    before = len(fake.script.requests)
    for segment in (0, 1):
        same(sorting.get_unit_spike_trains(None, segment), truth, segment)
    assert len(fake.script.requests) == before


def test_views_and_other_objects_read_from_the_same_cache(fake, client, truth):
    client.open("a").precompute_spike_trains()
    before = len(fake.script.requests)
    again = client.open("a")
    view = again.select_units([4, 2], renamed_unit_ids=["x", "y"])
    np.testing.assert_array_equal(
        view.get_unit_spike_train("y", 1, 5, 5000), truth.get_unit_spike_train(2, 1, 5, 5000)
    )
    assert [name for name, _ in fake.script.requests[before:]] == ["GetSorting"]


def test_the_cache_cannot_be_of_less_than_nothing(fake):
    with pytest.raises(InvalidValueError, match="cache_bytes"):
        spikewire.connect(fake.address, cache_bytes=-1)


@pytest.mark.parametrize("budget", [0, 500, 3000, 1 << 30])
def test_reads_are_right_whatever_fits(fake, truth, budget):
    rng = np.random.default_rng(1)
    with spikewire.connect(fake.address, cache_bytes=budget) as client:
        sorting = client.open("a")
        for _ in range(60):
            units = rng.permutation(5)[: rng.integers(1, 6)].tolist()
            segment = int(rng.integers(2))
            window = [None, None] if rng.random() < 0.3 else rng.integers(0, 10_000, 2).tolist()
            same(sorting.get_unit_spike_trains(units, segment, *window), truth, segment, *window)
        assert client._connection.resources.cache.size <= budget


# -- sessions ----------------------------------------------------------------------------------


def windows(sorting, truth, count=6, unit=1):
    for start in range(0, 1000 * count, 1000):
        same(
            {unit: sorting.get_unit_spike_train(unit, 0, start, start + 900)},
            truth,
            0,
            start,
            start + 900,
        )


def test_windows_of_units_that_cannot_be_cached_go_over_one_session(fake, uncached, truth):
    windows(uncached, truth)
    assert calls(fake) == ["GetUnitSpikeTrain", "CountSpikes", *["Query"] * 5]
    same(uncached.get_unit_spike_trains([3, 0], 0, 50, 5000), truth, 0, 50, 5000)
    assert calls(fake)[-1] == "Query"
    assert fake.script.asked("Query")[-1].name == "a"


def test_every_thread_has_a_session_of_its_own(fake, uncached, truth):
    barrier = threading.Barrier(4)
    windows(uncached, truth, 2)
    fake.script.before = lambda method: method == "Query" and barrier.wait(10)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda unit: windows(uncached, truth, 3, unit), range(4)))
    fake.script.before = lambda method: None
    assert len(uncached._connection._live.sessions._idle) == 4


def test_an_answer_that_is_too_large_for_a_session_is_completed(fake, uncached, truth):
    fake.script.most = 7
    same({1: uncached.get_unit_spike_train(1, 0, 0, 1)}, truth, 0, 0, 1)
    same({1: uncached.get_unit_spike_train(1, 0, 100, 9000)}, truth, 0, 100, 9000)
    (request,) = fake.script.asked("GetUnitSpikeTrains")
    assert (request.offset, request.start_frame, request.end_frame) == (7, 100, 9000)


def test_a_broken_session_is_followed_by_a_call_and_then_by_another_session(fake, uncached, truth):
    windows(uncached, truth, 3)
    fake.script.failures = [grpc.StatusCode.UNAVAILABLE]
    windows(uncached, truth, 3)
    assert calls(fake)[-4:] == ["Query", "GetUnitSpikeTrain", "Query", "Query"]


def test_an_older_server_has_no_sessions(fake, uncached, truth):
    fake.script.lacks = {"Query"}
    windows(uncached, truth, 4)
    assert calls(fake).count("Query") == 1
    assert calls(fake).count("GetUnitSpikeTrain") == 4


def test_other_content_is_refused_in_a_session(fake, uncached, truth):
    windows(uncached, truth, 3)
    fake.script.revisions = ["r2"]
    with pytest.raises(RevisionMismatchError, match="open it again"):
        windows(uncached, truth, 1)


def test_what_the_server_refuses_in_a_session_is_raised_and_ends_it(fake, uncached, truth):
    windows(uncached, truth, 3)
    fake.script.failures = [RevisionMismatchError("changed")]
    with pytest.raises(RevisionMismatchError, match="changed"):
        windows(uncached, truth, 1)
    windows(uncached, truth, 2)


# -- many readers --------------------------------------------------------------------------------


def test_many_readers_of_a_unit_wait_for_one_fetch(fake, sorting, truth):
    go_on = threading.Event()
    fake.script.before = lambda method: method == "GetUnitSpikeTrain" and go_on.wait(10)
    waiting = wait_counter(sorting, 7)
    with ThreadPoolExecutor(8) as pool:
        read = [pool.submit(sorting.get_unit_spike_train, 2, 0) for _ in range(8)]
        assert waiting.wait(10)
        go_on.set()
        for future in read:
            same({2: future.result()}, truth, 0)
    assert calls(fake).count("GetUnitSpikeTrain") == 1


def wait_counter(sorting, count):
    """An event that is set when so many readers wait for somebody else's fetch."""
    connection, perform = sorting._connection, sorting._connection._perform
    waiters, enough = threading.Semaphore(0), threading.Event()

    def counted(step):
        if isinstance(step, Wait):
            waiters.release()
            if waiters._value >= count:
                enough.set()
        return perform(step)

    connection._perform = counted
    return enough


def test_a_failed_fetch_fails_for_all_who_wait_and_not_for_the_next(fake, sorting, truth):
    sorting.get_last_spike_frame(0)  # all counts are known from now on
    go_on = threading.Event()
    fake.script.before = lambda method: go_on.wait(10)
    fake.script.failures = [RevisionMismatchError("changed")]
    waiting = wait_counter(sorting, 2)
    with ThreadPoolExecutor(3) as pool:
        read = [pool.submit(sorting.get_unit_spike_train, 2, 0) for _ in range(3)]
        assert waiting.wait(10)
        go_on.set()
        for future in read:
            with pytest.raises(RevisionMismatchError, match="changed"):
                future.result()
    same({2: sorting.get_unit_spike_train(2, 0)}, truth, 0)


def test_an_interrupted_fetch_is_taken_over_by_who_waits(sorting, truth):
    """What a Ctrl-C in one thread, or a cancelled task, means for the others."""
    trains = sorting._source.trains[0]
    interrupted = trains.trains([2], None, None)
    next(interrupted)  # it has claimed the train, and would call now
    waiting = trains.trains([2], None, None)
    step = next(waiting)
    while not isinstance(step, Wait):
        step = waiting.send(sorting._connection._perform(step))
    with pytest.raises(KeyboardInterrupt):
        interrupted.throw(KeyboardInterrupt)
    answer = sorting._connection._perform(step)
    (train,) = sorting._connection.run(rest_of(waiting, answer))
    same({2: train}, truth, 0)


def rest_of(operation, answer):
    """What an operation does from here on."""
    while True:
        try:
            step = operation.send(answer)
        except StopIteration as end:
            return end.value
        answer = yield step


def test_an_abandoned_operation_leaves_nothing_claimed(sorting, truth):
    trains = sorting._source.trains[0]
    abandoned = trains.trains([2], None, None)
    next(abandoned)
    abandoned.close()
    same({2: sorting.get_unit_spike_train(2, 0)}, truth, 0)


def test_threads_share_one_cache_and_one_channel(fake, truth, monkeypatch):
    monkeypatch.setattr(cached_trains, "_MISSES_BEFORE_ALL", 20)
    with spikewire.connect(fake.address, cache_bytes=4000) as client:
        sorting = client.open("a")

        def read(seed):
            rng = np.random.default_rng(seed)
            for _ in range(25):
                units = rng.permutation(5)[: rng.integers(1, 4)].tolist()
                segment = int(rng.integers(2))
                window = [None, None] if seed % 2 else sorted(rng.integers(0, 10_000, 2).tolist())
                got = sorting.get_unit_spike_trains(units, segment, *window)
                same(got, truth, segment, *window)

        with ThreadPoolExecutor(6) as pool:
            list(pool.map(read, range(6)))
        assert client._connection.resources.cache.size <= 4000
