"""MClust's cell files: one file of time stamps for each unit."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from spikewire.core.errors import FormatError, NeedsSamplingFrequencyError
from spikewire.core.sorting import BaseSorting
from spikewire.extractors.files import StoredArray, open_binary
from spikewire.extractors.folder_metadata import existing_folder
from spikewire.extractors.segments import TrainsSegment
from spikewire.extractors.tables import blaming, samples_of_times

# In the order in which SpikeInterface prefers them.
_SUFFIXES = (".t64", ".t32", ".t", ".raw64", ".raw32")
_TICKS_PER_SECOND = 10_000.0
_USUAL_HEADER_BYTES = 2 * 1024
_MAX_HEADER_BYTES = 64 * 1024
_BEGIN, _END = b"%%BEGINHEADER", b"%%ENDHEADER"


class MClustSortingExtractor(BaseSorting):
    """A sorting in a folder of MClust's cell files.

    A unit's id is the name of its file without the suffix: numbers behind the last
    underscore begin again at every tetrode. Files of one kind are read, of the first
    that is there: ``.t64``, ``.t32``, ``.t``, ``.raw64``, ``.raw32``.

    Parameters
    ----------
    folder_path : str or Path
        The folder with the cell files.
    sampling_frequency : float
        Frames per second; the files do not state it.
    sampling_frequency_raw : float, optional
        Time stamps per second in ``.raw`` files, which do not state this either.
        In the others a time stamp is 0.1 ms.

    Raises
    ------
    NeedsSamplingFrequencyError
        If a rate is needed that is not given.
    FormatError
        If there are no cell files, or one is damaged.
    """

    _dump_class = "spikeinterface.extractors.mclustextractors.MClustSortingExtractor"

    def __init__(
        self,
        folder_path: str | os.PathLike[str],
        sampling_frequency: float | None = None,
        sampling_frequency_raw: float | None = None,
    ) -> None:
        folder = existing_folder(folder_path)
        files = cell_files(folder)
        if not files:
            raise FormatError(f"{folder} has no cell files of MClust ({', '.join(_SUFFIXES)})")
        if sampling_frequency is None:
            raise NeedsSamplingFrequencyError(
                f"the files of {folder} do not state the sampling rate; give sampling_frequency="
            )
        ticks_per_second = _TICKS_PER_SECOND
        if files[0].suffix.startswith(".raw"):
            if sampling_frequency_raw is None:
                raise NeedsSamplingFrequencyError(
                    f"{files[0].suffix} files do not state the unit of their time stamps; give "
                    "how many make a second, sampling_frequency_raw="
                )
            ticks_per_second = sampling_frequency_raw
        stamps = [_time_stamps(path) for path in files]
        with blaming(folder):
            super().__init__(sampling_frequency, [path.stem for path in files])
        rate = self.get_sampling_frequency()
        trains = [
            samples_of_times(column, ticks_per_second, rate, column.path) for column in stamps
        ]
        self.add_sorting_segment(TrainsSegment(folder, trains))
        self._kwargs = {
            "folder_path": str(folder),
            "sampling_frequency": sampling_frequency,
            "sampling_frequency_raw": sampling_frequency_raw,
        }


def read_mclust(
    folder_path: str | os.PathLike[str],
    sampling_frequency: float | None = None,
    sampling_frequency_raw: float | None = None,
) -> MClustSortingExtractor:
    """Open a folder of MClust's cell files; see `MClustSortingExtractor`."""
    return MClustSortingExtractor(folder_path, sampling_frequency, sampling_frequency_raw)


def cell_files(folder: Path) -> list[Path]:
    """The cell files that are read, in the order of their names."""
    names = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    for suffix in _SUFFIXES:
        files = [path for path in names if path.suffix == suffix and path.is_file()]
        if files:
            return files
    return []


def is_mclust_folder(path: Path) -> bool:
    """Whether a folder has cell files; other programs use the suffix ``.t`` as well."""
    if not path.is_dir():
        return False
    files = cell_files(path)
    if not files:
        return False
    with open_binary(files[0]) as file:
        return file.read(len(_BEGIN)) == _BEGIN


def _time_stamps(path: Path) -> StoredArray:
    """The big-endian time stamps behind the header."""
    with open_binary(path) as file:
        head = file.read(_USUAL_HEADER_BYTES)
        if b"\n" not in head.partition(_END)[2]:
            head += file.read(_MAX_HEADER_BYTES - len(head))
    header, end_mark, rest = head.partition(_END)
    end_of_line = rest.find(b"\n")
    if not header.startswith(_BEGIN) or not end_mark or end_of_line < 0:
        raise FormatError(f"{path}: not a cell file of MClust, it has no header")
    offset = len(header) + len(end_mark) + end_of_line + 1
    wide = path.suffix.endswith("64") or (path.suffix == ".t" and _is_wide(head[offset:]))
    stamps = StoredArray(path, np.dtype(">u8" if wide else ">u4"), offset=offset)
    if (path.stat().st_size - offset) % stamps.dtype.itemsize:
        raise FormatError(f"{path}: the last time stamp is cut off")
    return stamps


def _is_wide(data: bytes) -> bool:
    """Whether the time stamps in a ``.t`` file have 64 bits, as those of some MClust 3 have.

    Then every other word of 32 bits is zero, which ascending stamps of 32 bits are not.
    """
    words = np.frombuffer(data, dtype=">u4", count=len(data) // 8 * 2)
    return words.size > 0 and not words[::2].any()
