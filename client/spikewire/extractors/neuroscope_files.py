"""The files of NeuroScope: ``.res``, ``.clu`` and the parameter file."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from spikewire.core.dtypes import AnyArray, IntArray
from spikewire.core.errors import FormatError, NeedsSamplingFrequencyError
from spikewire.extractors.texts import read_bytes

# Clusters that are no units: what was left unsorted, and multi-unit activity.
NOISE, MUA = 0, 1

_NAME = re.compile(r"(?P<name>.*)\.(?P<kind>res|clu)(?:\.(?P<number>\d{1,9}))?")
_INTEGERS = re.compile(rb"[\s0-9+-]*")
_ACQUISITION = re.compile(rb"<acquisitionSystem\b.*?</acquisitionSystem>", re.DOTALL)
_RATE = re.compile(rb"<samplingRate>\s*([^<]*?)\s*</samplingRate>")
_MAX_BYTES = 4 * 1024**3
_MAX_XML_BYTES = 16 * 1024**2


class Shank(NamedTuple):
    """The two files of a shank."""

    res: Path
    clu: Path
    number: int | None
    """What the names end in; None if they end in ``.res`` and ``.clu``."""


class Unit(NamedTuple):
    """Where a unit comes from."""

    id: int
    shank: int
    cluster: int


def find_shanks(folder: Path) -> list[Shank]:
    """The pairs of files in a folder, in the order of their names.

    Raises
    ------
    FormatError
        If one of a pair is missing.
    """
    found: dict[str, dict[tuple[str, str], Path]] = {"res": {}, "clu": {}}
    for path in folder.iterdir():
        match = _NAME.fullmatch(path.name)
        if match and path.is_file() and not path.name.startswith("."):
            found[match["kind"]][match["name"], match["number"] or ""] = path
    alone = found["res"].keys() ^ found["clu"].keys()
    if alone:
        raise FormatError(
            f"{folder}: of {'.'.join(filter(None, min(alone)))} there is only one of the files "
            ".res and .clu"
        )
    return [
        Shank(path, found["clu"][key], int(key[1]) if key[1] else None)
        for key, path in sorted(found["res"].items(), key=lambda item: item[1].name)
    ]


def is_neuroscope_folder(path: Path) -> bool:
    """Whether a folder has a pair of files."""
    if not path.is_dir():
        return False
    kinds = {match["kind"] for file in path.iterdir() if (match := _NAME.fullmatch(file.name))}
    return kinds == {"res", "clu"}


def read_shanks(
    shanks: Sequence[Shank], left_out: set[int]
) -> tuple[IntArray, IntArray, list[Unit]]:
    """Samples, positions in the list of units, and that list."""
    samples, indices = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    units: list[Unit] = []
    for shank in shanks:
        times, clusters = _integers(shank.res), _integers(shank.clu)
        if times.size + 1 != clusters.size and times.size + clusters.size:
            raise FormatError(
                f"{shank.clu}: one line more was expected than the {times.size} of "
                f"{shank.res.name}, not {clusters.size}"
            )
        count, clusters = clusters[:1], clusters[1:]
        distinct = np.unique(clusters)
        # Programs differ in whether they count the clusters that are no units.
        counts = {int((distinct > last).sum()) for last in (-1, NOISE, MUA)}
        if count.size and int(count[0]) not in counts:
            raise FormatError(
                f"{shank.clu}: the first line says {count[0]} clusters, there are {distinct.size}"
            )
        kept = np.array([c for c in distinct.tolist() if c not in left_out], dtype=np.int64)
        is_kept = np.isin(clusters, kept)
        samples.append(times[is_kept])
        indices.append(np.searchsorted(kept, clusters[is_kept]) + len(units))
        last_id = units[-1].id if units else 0
        # Clusters that are left out take a number, too: these are SpikeInterface's ids.
        ids = (np.searchsorted(distinct, kept) + 1 + last_id).tolist()
        units += [
            Unit(unit_id, shank.number or 0, cluster)
            for unit_id, cluster in zip(ids, kept.tolist(), strict=True)
        ]
    return np.concatenate(samples), np.concatenate(indices), units


def _integers(path: Path) -> IntArray:
    """The integers of a file, one a line."""
    text = read_bytes(path, _MAX_BYTES)
    if not text.strip():
        return np.empty(0, dtype=np.int64)
    if not _INTEGERS.fullmatch(text):
        raise FormatError(f"{path}: integers were expected, one a line")
    try:
        values: IntArray = np.loadtxt(io.BytesIO(text), dtype=np.int64, comments=None, ndmin=1)
    except ValueError as error:
        raise FormatError(f"{path}: {error}") from error
    return values


def parameter_file(folder: Path) -> Path | None:
    """The parameter file of a folder; None unless there is exactly one."""
    files = sorted(folder.glob("*.xml"))
    return files[0] if len(files) == 1 else None


def read_rate(path: Path | None, folder: Path) -> float:
    """The sampling rate of the acquisition system.

    Searched for, not parsed: an XML parser can be made to swell, and nothing else in
    the file is needed.
    """
    if path is None:
        reason = f"{folder} has no parameter file (.xml), or several"
    else:
        acquisition = _ACQUISITION.search(read_bytes(path, _MAX_XML_BYTES))
        rate = _RATE.search(acquisition[0]) if acquisition else None
        try:
            if rate:
                return float(rate[1])
            reason = f"{path} states no samplingRate"
        except ValueError:
            reason = f"the samplingRate of {path} is no number"
    raise NeedsSamplingFrequencyError(
        f"{reason}; give the rate as sampling_frequency=, or the file as xml_file_path="
    )


def write_integers(path: Path, values: AnyArray | list[int]) -> None:
    """Write integers, one a line."""
    with open(path, "w", encoding="ascii", newline="\n") as file:
        file.writelines(f"{value}\n" for value in values)
