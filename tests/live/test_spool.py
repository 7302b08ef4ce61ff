"""A spool gives back what it took: across crashes, torn writes, full disks and trims."""

from __future__ import annotations

import errno
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)

from spikewire.core.errors import FormatError, SpoolFullError, StoreUnwritableError
from spikewire.remote.live import spool as spool_module
from spikewire.remote.live import spool_file
from spikewire.remote.live.records import Draft, Kind
from spikewire.remote.live.spool import Spool, SpoolReader
from spikewire.remote.live.spool_folder import default_spool_folder

LIMIT = 1 << 20


def draft(payload: bytes, kind: Kind = Kind.SPIKES) -> Draft:
    return Draft(kind, payload, len(payload))


def contents(spool: Spool, sequence: int = 1, max_bytes: int = 100) -> list[tuple[int, bytes]]:
    reader = SpoolReader(spool, sequence)
    found = []
    while records := reader.read(max_bytes):
        found += [(record.sequence, record.payload) for record in records]
    assert not reader.has_more
    reader.close()
    return found


@pytest.fixture
def open_spool(tmp_path: Path) -> Iterator[Callable[..., Spool]]:
    """Open the spool of this test: `open_spool(max_bytes=..., sync=...)`."""
    spools: list[Spool] = []

    def open_it(max_bytes: int = LIMIT, sync: bool = False, name: str = "spool") -> Spool:
        for spool in spools:
            spool.close()
        spools.append(Spool(tmp_path / name, max_bytes, sync))
        return spools[-1]

    yield open_it
    for spool in spools:
        spool.close()


@pytest.fixture
def small_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few records a file."""
    monkeypatch.setattr(spool_module, "FILE_BYTES", 150)


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Make disks full, which take a part of what is written, or give them room again."""
    write_all = spool_file._write_all

    def write_part(stream, data) -> None:
        stream.write(data[: len(data) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    def fill(is_full: bool) -> None:
        monkeypatch.setattr(spool_file, "_write_all", write_part if is_full else write_all)

    return fill


class SpoolHistory(RuleBasedStateMachine):
    """Random histories of one spool, beside a list that is what it should hold."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.spool = Spool(Path(self.folder.name) / "spool", LIMIT)
        self.taken: list[tuple[int, bytes]] = []
        self.trimmed = 1

    @rule(payloads=st.lists(st.binary(max_size=120), min_size=1, max_size=3))
    def append(self, payloads: list[bytes]) -> None:
        first = self.spool.next_sequence
        self.spool.append([draft(payload) for payload in payloads])
        self.taken += enumerate(payloads, first)

    @rule(share=st.floats(0, 1))
    def trim(self, share: float) -> None:
        self.trimmed += int(share * (self.spool.next_sequence - self.trimmed))
        self.spool.trim(self.trimmed)

    @rule(ahead=st.integers(0, 5))
    def skip(self, ahead: int) -> None:
        self.spool.skip_to(self.spool.next_sequence + ahead)

    @rule(torn=st.binary(min_size=1, max_size=150), kept=st.floats(0, 1))
    def crash(self, torn: bytes, kept: float) -> None:
        """The process is killed while it writes a record: a part of it may be there."""
        record = spool_file.pack(
            spool_file.Record(Kind.SPIKES, self.spool.next_sequence, torn, 1, 0)
        )
        self.spool.close()
        files = sorted(self.spool.folder.glob("*.spool"))
        if files:
            with files[-1].open("ab") as file:
                file.write(record[: int(kept * (len(record) - 1))])
        self.reopen()

    @rule()
    def reopen(self) -> None:
        self.spool.close()
        self.spool = Spool(self.spool.folder, LIMIT)
        last = self.taken[-1][0] if self.taken else 0
        self.spool.skip_to(last + 1)

    @invariant()
    def everything_is_there(self) -> None:
        found = contents(self.spool)
        wanted = [(sequence, payload) for sequence, payload in self.taken]
        assert found == wanted[len(wanted) - len(found) :]
        assert not wanted or len(found) >= sum(number >= self.trimmed for number, _ in wanted)
        assert contents(self.spool, self.trimmed) == [
            taken for taken in wanted if taken[0] >= self.trimmed
        ]

    def teardown(self) -> None:
        self.spool.close()
        self.folder.cleanup()


@pytest.mark.usefixtures("small_files")
def test_histories() -> None:
    run_state_machine_as_test(
        SpoolHistory, settings=settings(max_examples=60, stateful_step_count=30, deadline=None)
    )


def test_what_is_acknowledged_leaves_the_disk(
    tmp_path: Path, open_spool, small_files: None
) -> None:
    spool = open_spool()
    for number in range(100):
        spool.append([draft(b"x" * 50)])
        spool.trim(number)
        assert spool.size < 400
    spool.trim(101)
    assert contents(spool, 101) == []
    spool.remove()
    assert not (tmp_path / "spool").exists()


def test_a_full_disk_is_told_and_nothing_is_left_behind(open_spool, full_disk) -> None:
    spool = open_spool()
    spool.append([draft(b"before")])
    full_disk(True)
    for _ in range(2):
        with pytest.raises(SpoolFullError, match="No space left on device"):
            spool.append([draft(b"lost" * 10), draft(b"lost as well")])
    assert contents(spool) == [(1, b"before")]
    full_disk(False)
    spool.append([draft(b"after")])
    assert contents(open_spool()) == [(1, b"before"), (2, b"after")]


def test_a_record_that_could_not_be_taken_back_is_overwritten(
    open_spool, full_disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = open_spool()
    spool.append([draft(b"before")])
    full_disk(True)
    monkeypatch.setattr(spool_file, "_cut", lambda stream, end: None)
    with pytest.raises(SpoolFullError):
        spool.append([draft(b"lost" * 10)])
    full_disk(False)
    spool.append([draft(b"a")])
    reopened = open_spool()
    assert contents(reopened) == [(1, b"before"), (2, b"a")]
    reopened.append([draft(b"b")])
    assert contents(reopened)[2:] == [(3, b"b")]


@pytest.mark.usefixtures("small_files")
def test_a_spool_has_a_limit(open_spool) -> None:
    spool = open_spool(1000)
    for _ in range(8):
        spool.append([draft(b"x" * 50)])
    with pytest.raises(SpoolFullError, match="1,000 is its limit"):
        spool.append([draft(b"x" * 500)])
    assert spool.next_sequence == 9
    spool.trim(9)
    spool.append([draft(b"x" * 500)])


def test_records_larger_than_a_read_are_read_whole(open_spool) -> None:
    spool = open_spool()
    spool.append([draft(b"x" * 5000), draft(b"y")])
    assert [len(payload) for _, payload in contents(spool, max_bytes=10)] == [5000, 1]


def test_damage_behind_the_reader_is_no_end(open_spool) -> None:
    spool = open_spool()
    spool.append([draft(b"x" * 50), draft(b"y" * 50)])
    (path,) = spool.folder.glob("*.spool")
    data = bytearray(path.read_bytes())
    data[-60] ^= 1
    path.write_bytes(data)
    with closing(SpoolReader(spool)) as reader:
        assert len(reader.read(1000)) == 1
        with pytest.raises(FormatError, match="damaged"):
            reader.read(1000)


def test_records_of_a_later_release_are_refused(open_spool) -> None:
    spool = open_spool()
    spool.append([draft(b"x", 77)])  # type: ignore[arg-type]
    with pytest.raises(FormatError, match="later release"):
        open_spool()


def test_one_process_has_a_spool(tmp_path: Path, open_spool) -> None:
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys; from pathlib import Path\n"
            "from spikewire.remote.live.spool import Spool\n"
            "spool = Spool(Path(sys.argv[1]), 1 << 20); print('mine', flush=True); input()",
            str(tmp_path / "spool"),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(StoreUnwritableError, match=f"in use by process {holder.pid} on "):
            open_spool()
        holder.kill()
    open_spool()


def test_a_synced_record_is_synced_before_it_is_taken(
    open_spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced = []
    monkeypatch.setattr(spool_file.os, "fsync", lambda file: synced.append(file))
    for sync, expected in ((False, 0), (True, 3)):  # two records, and the name of their file
        spool = open_spool(sync=sync, name=str(sync))
        spool.append([draft(b"x")])
        spool.append([draft(b"y")])
        assert len(synced) == expected


@pytest.mark.parametrize(
    ("platform", "variable", "expected"),
    [
        ("win32", "LOCALAPPDATA", "{data}/spikewire/spool"),
        ("linux", "XDG_DATA_HOME", "{data}/spikewire/spool"),
        ("linux", "", "{home}/.local/share/spikewire/spool"),
        ("win32", "", "{home}/AppData/Local/spikewire/spool"),
        ("darwin", "", "{home}/Library/Application Support/spikewire/spool"),
    ],
)
def test_spools_lie_where_a_user_keeps_data(
    platform: str, variable: str, expected: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    home, data = tmp_path / "home", tmp_path / "data"
    for name in ("LOCALAPPDATA", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(Path, "home", lambda: home)
    if variable:
        monkeypatch.setenv(variable, str(data))
    assert default_spool_folder() == Path(expected.format(home=home, data=data))
