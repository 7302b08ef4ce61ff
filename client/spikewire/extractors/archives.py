"""Arrays in npz archives: stored members in place, deflated ones within bounds."""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewire.core.errors import FormatError, SpikewireError, UnsafeContentError
from spikewire.extractors.files import Column, MemoryColumn, NpyFile, open_binary, read_npy_header

# A few kilobytes of zip can claim, and deliver, terabytes of zeros.
_MAX_RATIO = 100
_ALWAYS_ALLOWED_BYTES = 256 * 1024 * 1024

_LOCAL_HEADER_BYTES = 30

# What zipfile raises for damaged archives, by trial.
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    OSError,
    OverflowError,
    RuntimeError,
    ValueError,
)


class NpzFile:
    """The arrays of an npz archive, by name.

    Parameters
    ----------
    path : str or Path
        The archive.

    Raises
    ------
    SortingFileNotFoundError
        If there is no such file.
    FormatError
        If the file is no zip archive, or is truncated.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        with self._archive() as archive:
            self._members = {
                info.filename.removesuffix(".npy"): info
                for info in archive.infolist()
                if info.filename.endswith(".npy")
            }

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def column(self, name: str) -> Column:
        """A one-dimensional array, read in pieces if it is not compressed.

        Raises
        ------
        FormatError
            If there is no such array, or it is damaged or not one column.
        UnsafeContentError
            If it holds pickled objects.
        """
        info = self._member(name)
        if info.compress_type == zipfile.ZIP_STORED:
            begin = self._data_offset(info)
            return NpyFile(self.path, offset=begin, end=begin + info.file_size).column()
        values = self._inflate(info)
        if values.size != max(values.shape, default=1):
            raise FormatError(
                f"{self.path}: {name} should be one column, its shape is {values.shape}"
            )
        return MemoryColumn(values.ravel())

    def load(self, name: str) -> NDArray[Any]:
        """A one-dimensional array, read whole. Raises as `column` does."""
        column = self.column(name)
        return column.read(0, column.size)

    def _member(self, name: str) -> zipfile.ZipInfo:
        try:
            info = self._members[name]
        except KeyError:
            raise FormatError(f"{self.path}: the archive holds no array named {name!r}") from None
        if info.flag_bits & 0x1:
            raise FormatError(f"{self.path}: {name} is encrypted")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise FormatError(
                f"{self.path}: {name} is compressed by a method that numpy does not write"
            )
        return info

    def _data_offset(self, info: zipfile.ZipInfo) -> int:
        """Where a stored member's bytes begin, which only its local header tells."""
        header = b""
        if info.header_offset >= 0:
            with open_binary(self.path) as file:
                file.seek(info.header_offset)
                header = file.read(_LOCAL_HEADER_BYTES)
        if len(header) < _LOCAL_HEADER_BYTES or not header.startswith(b"PK\x03\x04"):
            raise FormatError(f"{self.path}: the archive is damaged before {info.filename}")
        name_length = int.from_bytes(header[26:28], "little")
        extra_length = int.from_bytes(header[28:30], "little")
        return info.header_offset + _LOCAL_HEADER_BYTES + name_length + extra_length

    def _inflate(self, info: zipfile.ZipInfo) -> NDArray[Any]:
        source = f"{self.path}: {info.filename}"
        allowed = max(_ALWAYS_ALLOWED_BYTES, _MAX_RATIO * info.compress_size)
        if info.file_size > allowed:
            raise FormatError(
                f"{source} would grow from {info.compress_size} to {info.file_size} bytes, "
                f"more than the {allowed} that are allowed"
            )
        with self._archive() as archive, archive.open(info) as file:
            dtype, shape, fortran_order = read_npy_header(file, source)  # type: ignore[arg-type]
            if dtype.hasobject:
                raise UnsafeContentError(
                    f"{source} holds pickled Python objects, which are never loaded"
                )
            data = bytearray()
            # One byte more than announced is asked for, so that the end, and
            # with it the checksum, is reached.
            while piece := file.read(min(1024 * 1024, info.file_size + 1 - len(data))):
                data += piece
        size = 1
        for length in shape:
            size *= length
        if size * max(dtype.itemsize, 1) > len(data):
            raise FormatError(f"{source} should hold {size} items, but ends before")
        values: NDArray[Any] = np.frombuffer(data, dtype, count=size)
        return values.reshape(shape, order="F" if fortran_order else "C")

    @contextmanager
    def _archive(self) -> Iterator[zipfile.ZipFile]:
        with open_binary(self.path) as file:
            try:
                with zipfile.ZipFile(file) as archive:
                    yield archive
            except SpikewireError:
                raise
            except _DAMAGE as error:
                raise FormatError(
                    f"{self.path}: not an npz archive, or a damaged one ({error})"
                ) from error
