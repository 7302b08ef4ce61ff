from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikewire.core.errors import (
    ContentChangedError,
    FormatError,
    SortingFileNotFoundError,
    UnsafeContentError,
)
from spikewire.extractors.files import NpyFile, StoredArray
from spikewire.extractors.texts import read_json_object


def with_header(path: Path, header: str, data: bytes = b"", version: int = 1) -> Path:
    """An npy file with any header."""
    text = header.encode("latin1")
    length = len(text).to_bytes(2 if version == 1 else 4, "little")
    path.write_bytes(b"\x93NUMPY" + bytes([version, 0]) + length + text + data)
    return path


@pytest.mark.parametrize("shape", [(10,), (10, 1), (1, 10), (2, 5), (0,), (), (3, 0)])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["<i8", ">u4", "<U3", "S2", "<f4", "?", "<M8[s]", "<c16"])
def test_arrays_come_back_as_numpy_loads_them(
    tmp_path: Path, shape: tuple[int, ...], order: str, dtype: str
) -> None:
    values = np.arange(np.prod(shape, dtype=int)).astype("<i8").astype(dtype).reshape(shape)
    np.save(tmp_path / "a.npy", np.asarray(values, order=order))
    file = NpyFile(tmp_path / "a.npy")
    assert file.shape == shape
    assert file.dtype == values.dtype
    np.testing.assert_array_equal(file.load(), values)


def test_structured_arrays_and_those_of_other_header_versions(tmp_path: Path) -> None:
    dtype = np.dtype([("sample", "<i8"), ("μέγεθος", "<f4", (2,))])
    values = np.zeros(3, dtype=dtype)
    values["sample"] = [1, 2, 3]
    with open(tmp_path / "a.npy", "wb") as file, pytest.warns(UserWarning, match="3.0"):
        np.lib.format.write_array(file, values)
    assert np.array_equal(NpyFile(tmp_path / "a.npy").load(), values)
    with open(tmp_path / "b.npy", "wb") as file:
        np.lib.format.write_array(file, np.arange(3), version=(2, 0))
    assert np.array_equal(NpyFile(tmp_path / "b.npy").load(), [0, 1, 2])


def test_headers_of_python_2(tmp_path: Path) -> None:
    header = "{'descr': '<i8', 'fortran_order': False, 'shape': (2L,), }\n"
    path = with_header(tmp_path / "a.npy", header, np.array([4, 5]).tobytes())
    assert NpyFile(path).load().tolist() == [4, 5]


def test_pieces_are_read_without_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.save(tmp_path / "a.npy", np.arange(1_000_000))
    file = NpyFile(tmp_path / "a.npy")
    read: list[int] = []
    readinto = io.FileIO.readinto

    class Counting(io.FileIO):
        def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
            read.append(readinto(self, buffer))
            return read[-1]

    monkeypatch.setattr(
        "spikewire.extractors.files.open", lambda path, *_, **__: Counting(path), raising=False
    )
    assert file.read(500_000, 500_010).tolist() == list(range(500_000, 500_010))
    assert sum(read) == 80


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("{'descr': '<i8', 'fortran_order': False, 'shape': (1000000000000,), }", "truncated"),
        ("{'descr': '<U0', 'fortran_order': False, 'shape': (1000000000000,), }", "truncated"),
        ("{'descr': '<i8', 'fortran_order': False, 'shape': (-1,), }", "header is damaged"),
        ("{'descr': '<i8', 'fortran_order': False, 'shape': (True,), }", "header is damaged"),
        ("{'descr': '<i8', 'fortran_order': False, 'shape': 3, }", "header is damaged"),
        ("{'descr': '<i8', 'fortran_order': False}", "header is damaged"),
        ("{'descr': 'a5', 'fortran_order': False, 'shape': (1,)}", "header is damaged"),
        ("{'descr': 'no such type', 'fortran_order': False, 'shape': (1,)}", "damaged"),
        ("__import__('os').getpid()", "header is damaged"),
        ("(" * 5000, "header is damaged"),
        ("[" * 60000, "header is damaged"),
        ("", "header is damaged"),
    ],
)
def test_claims_of_a_header_are_checked(tmp_path: Path, header: str, said: str) -> None:
    path = with_header(tmp_path / "spike_times.npy", header, bytes(64))
    with pytest.raises(FormatError, match=rf"spike_times\.npy.*{said}"):
        NpyFile(path)


@pytest.mark.parametrize("size", [0, 5, 8, 9, 60, 128, 135])
def test_truncated_files(tmp_path: Path, size: int) -> None:
    path = tmp_path / "a.npy"
    np.save(path, np.arange(1))
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(FormatError, match=r"a\.npy"):
        NpyFile(path)


def test_pickles_are_not_loaded(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([{}, None]))
    with pytest.raises(UnsafeContentError, match="pickled"):
        NpyFile(tmp_path / "a.npy")
    np.save(tmp_path / "b.npy", np.zeros(1, dtype=[("x", "i8"), ("y", "O")]))
    with pytest.raises(UnsafeContentError, match="pickled"):
        NpyFile(tmp_path / "b.npy")


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_a_mutated_file_is_read_or_refused(
    read_or_refused: Callable[[Path], AbstractContextManager[None]],
    data: st.DataObject,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    buffer = io.BytesIO()
    np.save(buffer, np.arange(6, dtype="<i8").reshape(2, 3))
    content = bytearray(buffer.getvalue())
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, 127))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("mutated") / "a.npy"
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    with read_or_refused(path):
        assert NpyFile(path).load().nbytes <= 64


def test_a_file_that_changes_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, np.arange(10))
    file = NpyFile(path)
    os.utime(path, ns=(1, 1))
    with pytest.raises(ContentChangedError, match="changed"):
        file.read(0, 1)
    file = NpyFile(path)
    os.truncate(path, 140)
    with pytest.raises(ContentChangedError, match="changed"):
        file.read(5, 6)
    path.unlink()
    with pytest.raises(ContentChangedError, match="removed"):
        file.read(0, 1)


def test_a_file_that_shrinks_while_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.npy"
    np.save(path, np.arange(10))
    file = NpyFile(path)
    check = file._check

    def shrink(opened: io.FileIO) -> None:
        check(opened)
        os.truncate(path, 150)

    monkeypatch.setattr(file, "_check", shrink)
    with pytest.raises(ContentChangedError, match="shorter"):
        file.read(0, 10)


def test_mapped_files(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(10))
    values = NpyFile(tmp_path / "a.npy", mmap_mode="r").read(2, 4)
    assert isinstance(values, np.memmap)
    assert values.tolist() == [2, 3]
    np.save(tmp_path / "empty.npy", np.arange(0))
    assert NpyFile(tmp_path / "empty.npy", mmap_mode="r").read(0, 0).size == 0


def test_missing_files_and_folders(tmp_path: Path) -> None:
    with pytest.raises(SortingFileNotFoundError, match="there is no file"):
        NpyFile(tmp_path / "absent.npy")
    with pytest.raises(FileNotFoundError):
        NpyFile(tmp_path / "absent" / "a.npy")
    with pytest.raises(FormatError, match="is a folder"):
        NpyFile(tmp_path)


def test_columns_have_one_axis(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((2, 3)))
    with pytest.raises(FormatError, match="one column"):
        NpyFile(tmp_path / "a.npy").column()


def test_raw_arrays_reach_to_the_end(tmp_path: Path) -> None:
    path = tmp_path / "spikes.raw"
    path.write_bytes(b"head" + np.arange(3, dtype=">u4").tobytes() + b"x")
    assert StoredArray(path, np.dtype(">u4"), offset=4).load().tolist() == [0, 1, 2]


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff\xfe", b"[" * 100_000, b"1" * 5000])
def test_json_that_is_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "info.json").write_bytes(content)
    with pytest.raises(FormatError, match=r"info\.json"):
        read_json_object(tmp_path / "info.json")


def test_json_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "info.json").write_bytes(b"\xef\xbb\xbf" + json.dumps({"a": 1}).encode())
    assert read_json_object(tmp_path / "info.json") == {"a": 1}
