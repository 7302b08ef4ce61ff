"""What phy and Kilosort say of clusters: ``cluster_*.tsv`` and ``.csv`` files."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from spikewire.core.dtypes import AnyArray
from spikewire.core.errors import FormatError
from spikewire.extractors.files import open_binary
from spikewire.extractors.texts import read_text

#: Column name -> cluster id -> text of the cell.
ClusterLabels = dict[str, dict[int, str]]

_MAX_FIRST_LINE_BYTES = 64 * 1024
_MISSING = ("", "nan", "NaN", "NA", "N/A", "None", "null")


def label_files(folder: Path) -> list[Path]:
    """The files that say something of clusters, in the order in which they count.

    A single ``cluster_info`` file repeats what the others say, so it counts alone.
    """
    files = sorted(
        path
        for path in folder.iterdir()
        if path.suffix in (".tsv", ".csv") and not path.name.startswith(".") and path.is_file()
    )
    info = [path for path in files if "cluster_info" in path.name]
    return info if len(info) == 1 else files


def read_labels(files: list[Path]) -> ClusterLabels:
    """Merge the columns of all files that have a column of cluster ids.

    A cluster that only some files list keeps what these say of it. A column that
    occurs again is kept under its name with ``_repeat`` behind it.

    Raises
    ------
    FormatError
        If a cluster id is no integer, or a file lists one twice.
    """
    labels: ClusterLabels = {}
    for path in files:
        for name, cells in _columns(path).items():
            key = name
            while key in labels and key != "cluster_id":
                key += "_repeat"
            labels.setdefault(key, {}).update(cells)
    return labels


def property_values(cells: dict[int, str], clusters: list[int]) -> AnyArray:
    """The cells of a column for the given clusters, in the narrowest type that fits.

    Integers, else numbers (NaN where a cell is missing), else booleans, else text
    ("" where a cell is missing).
    """
    texts = [cells.get(cluster, "") for cluster in clusters]
    for parse in (_integers, _floats, _booleans):
        values = parse(texts)
        if values is not None:
            return values
    return np.array(texts, dtype=np.str_)


def _columns(path: Path) -> ClusterLabels:
    """The columns of one file; none if it does not list clusters."""
    if not _may_list_clusters(path):
        return {}
    rows = _rows(path)
    header = next(rows, [])
    id_name = "cluster_id" if "cluster_id" in header else "id"
    if id_name not in header or (id_name == "id" and "cluster_info" not in path.name):
        return {}
    position = header.index(id_name)
    columns: ClusterLabels = {"cluster_id" if name == id_name else name: {} for name in header}
    columns.pop("", None)
    for row in rows:
        cluster = _cluster_id(row[position] if position < len(row) else "", path)
        if cluster in columns["cluster_id"]:
            raise FormatError(f"{path}: cluster {cluster} is listed twice")
        for name, cell in zip(header, row, strict=False):
            if name:
                columns["cluster_id" if name == id_name else name][cluster] = cell
    return columns


def _may_list_clusters(path: Path) -> bool:
    """Whether the first line could name a column of ids; other tables need not be text even."""
    with open_binary(path) as file:
        first_line = file.read(_MAX_FIRST_LINE_BYTES).partition(b"\n")[0]
    return b"id" in first_line


def _rows(path: Path) -> Iterator[list[str]]:
    """The rows of a table that are not empty."""
    delimiter = "\t" if path.suffix == ".tsv" else ","
    reader = csv.reader(io.StringIO(read_text(path), newline=""), delimiter=delimiter)
    try:
        yield from (row for row in reader if row)
    except csv.Error as error:
        raise FormatError(f"{path}: not a table ({error})") from error


def _cluster_id(cell: str, path: Path) -> int:
    try:
        number = float(cell)
        if number == int(number) and abs(number) < 2**53:
            return int(number)
    except (ValueError, OverflowError):
        pass
    raise FormatError(f"{path}: {cell!r} is no cluster id")


def _all(parse: Callable[[str], Any], texts: list[str]) -> list[Any] | None:
    try:
        return [parse(text) for text in texts]
    except ValueError:
        return None


def _integers(texts: list[str]) -> AnyArray | None:
    values = _all(int, texts)
    if values is None or any(abs(value) >= 2**63 for value in values):
        return None
    return np.array(values, dtype=np.int64)


def _floats(texts: list[str]) -> AnyArray | None:
    if all(text.strip() in _MISSING for text in texts):
        return None
    values = _all(lambda text: float("nan" if text.strip() in _MISSING else text), texts)
    return None if values is None else np.array(values, dtype=np.float64)


def _booleans(texts: list[str]) -> AnyArray | None:
    if not all(text in ("True", "False") for text in texts):
        return None
    return np.array([text == "True" for text in texts], dtype=np.bool_)
