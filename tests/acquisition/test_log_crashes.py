"""Logs under random histories: commits, failures, power cuts in the middle of anything."""

from __future__ import annotations

import itertools
import random
from contextlib import suppress

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from spikewire_server.acquisition.files import FileLogs

LOGS = 3
NUMBERS = itertools.count()
SIZES = st.sampled_from([1, 3, 40, 400])


class Crashes(RuleBasedStateMachine):
    """Three logs on one disk, and what was acknowledged of each."""

    def __init__(self, tmp_path, disk_in, new_maker, power_cut) -> None:
        super().__init__()
        self.tmp_path, self.disk_in, self.power_cut = tmp_path, disk_in, power_cut
        self.new_maker = new_maker

    def new_folder(self):
        return self.tmp_path / str(next(NUMBERS))

    @initialize()
    def begin(self) -> None:
        self.labels = 0
        self.disk = self.disk_in(self.new_folder())
        self.open()
        self.acknowledged = [[] for _ in range(LOGS)]
        self.sent = [[] for _ in range(LOGS)]  # what may be there besides
        self.logs = []
        for number in range(LOGS):
            records = self.new_maker().first()
            self.logs.append(self.storage.create(f"{number:032x}", records))
            self.acknowledged[number] = [record.payload for record in records[1:]]

    def open(self) -> None:
        self.storage = FileLogs(self.disk.folder, journal_bytes=20_000)

    def group(self, numbers, size):
        groups = {}
        for number in numbers:
            log = self.logs[number]
            maker = self.new_maker(log.records.next_sequence, log.records.spike_count)
            # No two are alike, so that what was lost cannot be taken for what is there.
            self.labels += 1
            label = self.labels
            groups[log] = [maker.spikes_of(np.full(size, label), np.arange(size)) for _ in "ab"]
        return groups

    @rule(numbers=st.sets(st.integers(0, LOGS - 1), min_size=1), size=SIZES)
    def commit(self, numbers, size) -> None:
        groups = self.group(numbers, size)
        assert self.storage.commit(groups) == {}
        for number in numbers:
            payloads = [record.payload for record in groups[self.logs[number]]]
            self.acknowledged[number] += payloads

    @rule(numbers=st.sets(st.integers(0, LOGS - 1), min_size=1), size=SIZES)
    def fail(self, numbers, size) -> None:
        self.disk.fails = True
        failed = self.storage.commit(self.group(numbers, size))
        self.disk.fails = False
        assert set(failed) == {self.logs[number] for number in numbers}

    @rule(numbers=st.sets(st.integers(0, LOGS - 1), min_size=1), size=SIZES, seed=st.integers())
    def lose_power_while_committing(self, numbers, size, seed) -> None:
        groups = self.group(numbers, size)
        self.disk.cut_at_sync = True
        with suppress(self.power_cut):
            self.storage.commit(groups)
        for number in numbers:
            self.sent[number] = [record.payload for record in groups[self.logs[number]]]
        self.crash(seed)

    @rule(seed=st.integers())
    def lose_power(self, seed) -> None:
        self.crash(seed)

    @rule()
    def restart(self) -> None:
        self.storage.close()
        self.open()
        self.reopen()

    def crash(self, seed) -> None:
        self.storage._syncing.shutdown()
        self.disk = self.disk_in(self.disk.crash(self.new_folder(), random.Random(seed)))
        self.open()
        self.reopen()

    def reopen(self) -> None:
        self.logs = [self.storage.open(f"{number:032x}", to_append=True) for number in range(LOGS)]
        for number, log in enumerate(self.logs):
            there = [bytes(payload) for payload in log.read(1, log.records.next_sequence)]
            known = self.acknowledged[number]
            assert there[: len(known)] == known
            rest = there[len(known) :]
            assert rest == self.sent[number][: len(rest)]  # nothing that was never sent
            self.acknowledged[number], self.sent[number] = there, []

    @invariant()
    def everything_acknowledged_is_there(self) -> None:
        for number, log in enumerate(getattr(self, "logs", [])):
            there = [bytes(payload) for payload in log.read(1, log.records.next_sequence)]
            assert there == self.acknowledged[number]


def test_nothing_acknowledged_is_lost_whatever_happens(tmp_path, disk_in, new_maker, power_cut):
    run_state_machine_as_test(
        lambda: Crashes(tmp_path, disk_in, new_maker, power_cut),
        settings=settings(
            max_examples=60,
            stateful_step_count=20,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
