"""Lines become batches of a writer; which one is wrong, and why, is said."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from spikewire.cli.line_recorder import LineRecorder
from spikewire.core.errors import InvalidValueError


@pytest.fixture
def begin(client: Any, name: str, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Begin to record: `begin(*unit_ids)`."""
    writers: list[Any] = []

    def begin(*unit_ids: int | str) -> Any:
        writers.append(client.acquire(name, 1000.0, unit_ids, spool=tmp_path / "spool"))
        return writers[-1]

    yield begin
    for writer in writers:
        writer.close()


@pytest.mark.parametrize(
    ("known", "as_text", "lines", "unit_ids"),
    [
        ([], False, [b"1 7", b"2 8", b"3 7"], [7, 8]),
        ([], False, [b"1 a", b"2 8"], ["a", "8"]),
        ([], False, [b"1 07", b"2 8"], ["07", "8"]),
        ([], True, [b"1 7", b"2 8"], ["7", "8"]),
        ([8, 7], True, [b"1 7", b"2 9"], [8, 7, 9]),
        (["8", "x"], False, [b"1 9", b"2 8"], ["8", "x", "9"]),
    ],
)
def test_units_are_numbers_or_text(
    begin: Any, known: Any, as_text: bool, lines: list[bytes], unit_ids: list[Any]
) -> None:
    writer = begin(*known)
    recorder = LineRecorder(writer, as_text, takes_new=True)
    for line in lines:
        recorder.take([line])
    assert writer.unit_ids.tolist() == unit_ids
    assert writer.stats.appended == recorder.line_count == len(lines)


@pytest.mark.parametrize(
    ("takes_new", "bad", "complaint"),
    [
        (True, b"5", "has one field"),
        (True, b"2 5 1", "segment 2 does not follow: 1 were started"),
        (True, b"-1 5 1", "segment -1 does not follow"),
        (True, b"5 noise", "unit 'noise' is no whole number, and those before are; --text"),
        (False, b"5 2", "'2' is not one of the units '1'; --new-units"),
        (True, b"\x1b[31m5 1", r"line 5, '\\x1b\[31m5 1'"),
        (True, b"5 \xff", "utf-8"),
    ],
)
def test_a_wrong_line_is_named_and_those_before_it_are_taken(
    begin: Any, takes_new: bool, bad: bytes, complaint: str
) -> None:
    writer = begin(1)
    recorder = LineRecorder(writer, as_text=False, takes_new=takes_new)
    recorder.take([b"1 1", b"2 1"])
    with pytest.raises(InvalidValueError, match=complaint):
        recorder.take([b"# comment", b"3 1", bad, b"4 1"])
    assert recorder.line_count == 4
    assert writer.stats.appended == 3


def test_what_the_writer_does_not_take_is_not_counted(begin: Any) -> None:
    writer = begin(1)
    recorder = LineRecorder(writer, as_text=False, takes_new=True)
    recorder.take([b"1 1", b"", b"# comment"])
    writer.close()
    with pytest.raises(Exception, match="was closed"):
        recorder.take([b"2 1", b"3 1"])
    assert recorder.line_count == 3
