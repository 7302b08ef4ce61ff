"""Files read and written at an offset, with and without a system call for it."""

from __future__ import annotations

import os
import threading

import pytest

from spikewire_server.library.file_access import open_file, read_at, write_at


@pytest.mark.parametrize("can_read_at_an_offset", [True, False], ids=["pread", "seek"])
def test_what_is_written_is_read_where_it_was_written(tmp_path, monkeypatch, can_read_at_an_offset):
    if not can_read_at_an_offset:
        monkeypatch.delattr(os, "pread", raising=False)
    seeking = threading.Lock()
    file = open_file(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    try:
        write_at(file, 3, b"\r\n\x1a after")
        write_at(file, 0, b"one")
        assert read_at(file, 3, 3, seeking) == b"\r\n\x1a"
        assert read_at(file, 0, 100, seeking) == b"one\r\n\x1a after"
        assert read_at(file, 50, 1, seeking) == b""
    finally:
        os.close(file)


def test_a_write_that_the_system_cuts_goes_on(tmp_path, monkeypatch):
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, data: write(file, data[:2]))
    file = open_file(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    try:
        write_at(file, 1, b"seven..")
    finally:
        os.close(file)
    assert (tmp_path / "file").read_bytes() == b"\0seven.."
