"""Arrays in files that nobody vouches for: headers checked, read in pieces.

A header is a claim. It is parsed without evaluating or unpickling anything and
is held against the real size of the file before a byte is allocated for it.

Reads open the file, read and close it again. A mapping would die with the
process when somebody truncates the file; a descriptor kept open would bar its
owner from replacing it on Windows. In exchange every read notices when the file
is not the one whose header was read, and says so.
"""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import FileIO
from operator import itemgetter
from pathlib import Path
from typing import Any, BinaryIO, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from spikewire.core.errors import (
    ContentChangedError,
    FormatError,
    SortingFileNotFoundError,
    UnsafeContentError,
)

MmapMode = Literal["r", "r+", "c"]

_MAGIC = b"\x93NUMPY"
_MAX_HEADER_BYTES = 64 * 1024

_Stamp = tuple[int, int, int]


class Column(Protocol):
    """A one-dimensional array that is read in pieces."""

    @property
    def size(self) -> int:
        """Number of items."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of an item."""

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Items ``start`` to ``stop`` (exclusive), both within ``[0, size]``."""


class MemoryColumn:
    """A column that had to be read whole, because its file is compressed or unsorted."""

    def __init__(self, values: NDArray[Any]) -> None:
        self._values = values
        self.size = int(values.size)
        self.dtype: np.dtype[Any] = values.dtype

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Items ``start`` to ``stop``."""
        return self._values[start:stop]


class MappedColumn:
    """A column whose values are changed as they are read.

    Parameters
    ----------
    column : Column
        What is read.
    change : function
        From an array of its values to as many others.
    dtype : numpy.dtype
        The type of these.
    """

    def __init__(
        self, column: Column, change: Callable[[NDArray[Any]], NDArray[Any]], dtype: np.dtype[Any]
    ) -> None:
        self._column = column
        self._change = change
        self.size = column.size
        self.dtype = dtype

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Items ``start`` to ``stop``, changed."""
        return self._change(self._column.read(start, stop))


def field(records: Column, name: str) -> MappedColumn:
    """One field of a column of records."""
    return MappedColumn(records, itemgetter(name), records.dtype[name])


class StoredArray:
    """An uncompressed array at some offset of a file.

    Parameters
    ----------
    path : Path
        The file.
    dtype : numpy.dtype
        Type of an item; refused when it holds objects.
    shape : tuple of int, optional
        Shape of the array. By default one-dimensional, to the end of the file.
    offset : int, default: 0
        Position of the first item, in bytes.
    end : int, optional
        Position behind the last byte that may belong to the array. By default
        the end of the file.
    fortran_order : bool, default: False
        Whether the first axis runs fastest.
    mmap_mode : {"r", "r+", "c"}, optional
        Map the file instead of reading it. Only for files that nobody else
        writes: a mapping of a file that is truncated kills the process.

    Raises
    ------
    FormatError
        If the file is too short for the array.
    UnsafeContentError
        If the items are pickled objects.
    """

    def __init__(
        self,
        path: Path,
        dtype: np.dtype[Any],
        shape: tuple[int, ...] | None = None,
        *,
        offset: int = 0,
        end: int | None = None,
        fortran_order: bool = False,
        mmap_mode: MmapMode | None = None,
    ) -> None:
        if dtype.hasobject:
            raise UnsafeContentError(
                f"{path}: the array holds pickled Python objects, which are never loaded"
            )
        with open_binary(path) as file:
            self._stamp = stamp_of(file)
        available = (self._stamp[0] if end is None else min(end, self._stamp[0])) - offset
        if shape is None:
            shape = (max(available, 0) // max(dtype.itemsize, 1),)
        size = 1
        for length in shape:
            size *= length
        # Items without bytes (dtype "<U0") would pass any check of the size.
        if size * max(dtype.itemsize, 1) > available:
            raise FormatError(
                f"{path}: the file should hold {size} items of {dtype.itemsize} bytes, "
                f"but only {max(available, 0)} bytes are there; it is truncated or damaged"
            )
        self.path = path
        self.dtype = dtype
        self.shape = shape
        self.size = size
        self._offset = offset
        # With one long axis both orders are the same bytes.
        self._fortran_order = fortran_order and sum(length != 1 for length in shape) > 1
        self._map: NDArray[Any] | None = None
        if mmap_mode is not None and size:
            self._map = np.memmap(path, dtype, mmap_mode, offset, (size,))

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Items ``start`` to ``stop`` (exclusive) in the order of the file, flat.

        Raises
        ------
        ContentChangedError
            If the file is not, or no longer, the one that was opened.
        """
        if self._map is not None:
            return self._map[start:stop]
        items = np.empty(max(stop - start, 0), dtype=self.dtype)
        with self._opened() as file:
            file.seek(self._offset + start * self.dtype.itemsize)
            _fill(file, items)
        return items

    def load(self) -> NDArray[Any]:
        """The whole array, in its shape."""
        order: Literal["F", "C"] = "F" if self._fortran_order else "C"
        return self.read(0, self.size).reshape(self.shape, order=order)

    def column(self) -> StoredArray:
        """This array, if it is one-dimensional but for axes of length 1.

        Raises
        ------
        FormatError
            If more than one axis is longer than 1.
        """
        if sum(length != 1 for length in self.shape) > 1:
            raise FormatError(
                f"{self.path}: one column was expected, not an array of shape {self.shape}"
            )
        return self

    @contextmanager
    def _opened(self) -> Iterator[FileIO]:
        try:
            file = open_binary(self.path)
        except SortingFileNotFoundError:
            raise ContentChangedError(f"{self.path} was removed after it was opened") from None
        with file:
            # Looked at twice: the file may change before and while it is read.
            self._check(file)
            yield file
            self._check(file)

    def _check(self, file: FileIO) -> None:
        if stamp_of(file) != self._stamp:
            raise ContentChangedError(
                f"{self.path} was changed after it was opened; open the sorting again"
            )


class NpyFile(StoredArray):
    """An array in the npy format: a file, or a stretch of a file.

    Parameters
    ----------
    path : str or Path
        The file.
    offset, end : int
        Where in the file the npy data begin and end; by default the whole file.
    mmap_mode : {"r", "r+", "c"}, optional
        As for `StoredArray`.

    Raises
    ------
    SortingFileNotFoundError
        If there is no such file.
    FormatError
        If the header is damaged or claims more than the file holds.
    UnsafeContentError
        If the items are pickled objects.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        offset: int = 0,
        end: int | None = None,
        mmap_mode: MmapMode | None = None,
    ) -> None:
        path = Path(path)
        with open_binary(path) as file:
            file.seek(offset)
            stamp = stamp_of(file)
            dtype, shape, fortran_order = read_npy_header(file, str(path))
            begin = file.tell()
        super().__init__(
            path,
            dtype,
            shape,
            offset=begin,
            end=end,
            fortran_order=fortran_order,
            mmap_mode=mmap_mode,
        )
        if self._stamp != stamp:
            raise ContentChangedError(f"{path} was changed while it was opened")


def read_npy_header(
    file: BinaryIO | FileIO, source: str
) -> tuple[np.dtype[Any], tuple[int, ...], bool]:
    """Parse an npy header; the file is left at the first byte of the data.

    Parameters
    ----------
    file : binary file
        Positioned at the start of the npy data.
    source : str
        What to call it in an error.

    Returns
    -------
    dtype : numpy.dtype
    shape : tuple of int
    fortran_order : bool

    Raises
    ------
    FormatError
        If this is not an npy header of version 1, 2 or 3.
    """
    head = file.read(8)
    if len(head) < 8 or not head.startswith(_MAGIC):
        raise FormatError(f"{source}: not in the npy format")
    if head[6] not in (1, 2, 3):
        raise FormatError(f"{source}: unknown version {head[6]} of the npy format")
    length = int.from_bytes(file.read(2 if head[6] == 1 else 4), "little")
    if length > _MAX_HEADER_BYTES:
        raise FormatError(f"{source}: the npy header claims to be {length} bytes long")
    header = file.read(length)
    if len(header) < length:
        raise FormatError(f"{source}: the file ends within the npy header")
    try:
        text = header.decode("latin1" if head[6] < 3 else "utf-8")
        # Python 2 wrote long integers into the shape.
        claims = ast.literal_eval(re.sub(r"(?<=\d)L\b", "", text).strip())
        shape, fortran_order = claims["shape"], claims["fortran_order"]
        dtype = np.lib.format.descr_to_dtype(claims["descr"])
        # Plain integers only: True is an int as well.
        if not isinstance(shape, tuple) or any(type(n) is not int or n < 0 for n in shape):
            raise ValueError(f"shape {shape!r}")
    except Exception as error:
        # What the text of a stranger makes literal_eval and dtype raise, a
        # warning turned into an error included, is nowhere listed.
        raise FormatError(f"{source}: the npy header is damaged ({error})") from error
    return dtype, shape, bool(fortran_order)


def open_binary(path: Path) -> FileIO:
    """Open a file for unbuffered reading.

    Raises
    ------
    SortingFileNotFoundError
        If nothing is there.
    FormatError
        If it is a folder.
    """
    try:
        # Asked first: opening a folder is PermissionError on Windows.
        if path.is_dir():
            raise FormatError(f"{path} is a folder, where a file was expected")
        return open(path, "rb", buffering=0)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise SortingFileNotFoundError(f"there is no file {path}") from error


def stamp_of(file: FileIO) -> _Stamp:
    """What changes when a file is changed or replaced: size, time of change, identity."""
    status = os.fstat(file.fileno())
    return status.st_size, status.st_mtime_ns, status.st_ino


def _fill(file: FileIO, items: NDArray[Any]) -> None:
    """Read until the array is full; one read call returns at most 2 GiB."""
    if not items.nbytes:
        return
    rest = memoryview(items.view(np.uint8).data)
    while rest:
        count = file.readinto(rest)
        if not count:
            raise ContentChangedError(f"{file.name!s} became shorter while it was read")
        rest = rest[count:]
