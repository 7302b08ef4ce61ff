from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikewire_server.library.cache import Cache
from spikewire_server.workers import NobodyWaitsError


def test_a_value_is_loaded_once():
    cache, loads = Cache(100), []
    for _ in range(3):
        assert cache.get("a", lambda: loads.append(1) or "value", len) == "value"
    assert loads == [1]


def test_the_oldest_go_first():
    cache = Cache(30)
    for key in "abac":
        cache.get(key, lambda key=key: key * 10, len)
    assert cache.nbytes == 30
    cache.get("d", lambda: "d" * 10, len)
    assert cache.get("a", lambda: "loaded again", len) == "a" * 10
    assert cache.get("b", lambda: "loaded again", len) == "loaded again"


def test_what_is_too_large_is_given_but_not_kept():
    cache = Cache(10)
    assert cache.get("a", lambda: "x" * 11, len) == "x" * 11
    assert cache.nbytes == 0
    assert cache.get("a", lambda: "new", len) == "new"


def test_threads_wait_for_one_load():
    cache, loads = Cache(100), []
    loading, go_on = threading.Event(), threading.Event()

    def load():
        loads.append(1)
        loading.set()
        assert go_on.wait(10)
        return "value"

    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(cache.get, "a", load, len)
        assert loading.wait(10)
        others = [pool.submit(cache.get, "a", load, len) for _ in range(7)]
        # Another key does not wait for it.
        assert cache.get("b", lambda: "b", len) == "b"
        go_on.set()
        assert {future.result(10) for future in (first, *others)} == {"value"}
    assert loads == [1]


def test_a_failed_load_is_told_and_tried_again():
    cache = Cache(100)
    with pytest.raises(ZeroDivisionError):
        cache.get("a", lambda: 1 // 0, len)
    assert cache.get("a", lambda: "value", len) == "value"


def test_a_load_whose_caller_gave_up_is_taken_over():
    cache = Cache(100)
    loading, give_up = threading.Event(), threading.Event()

    def abandoned():
        loading.set()
        assert give_up.wait(10)
        raise NobodyWaitsError

    with ThreadPoolExecutor(8) as pool:
        cancelled = pool.submit(cache.get, "a", abandoned, len)
        assert loading.wait(10)
        others = [pool.submit(cache.get, "a", lambda: "value", len) for _ in range(7)]
        give_up.set()
        assert {future.result(10) for future in others} == {"value"}
        with pytest.raises(NobodyWaitsError):
            cancelled.result(10)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 40))))
def test_the_budget_holds(gets):
    cache = Cache(100)
    for key, size in gets:
        value = cache.get((key, size), lambda size=size: "x" * size, len)
        assert len(value) == size
        assert cache.nbytes <= 100
