"""No question reads more of a file than the table in docs/formats.md allows its format."""

from __future__ import annotations

import builtins
import datetime
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import spikewire as sw
import spikewire.extractors as se

FORMATS = Path(__file__).parents[2] / "docs" / "formats.md"
SPIKES, UNITS, RATE = 300_000, 20, 30_000.0
#: What "–" stands for, and what may come on top of everything else.
NEXT_TO_NOTHING = 48 * 1024
SLACK = 2 * NEXT_TO_NOTHING


class Counter:
    """How many bytes were read from files, by whatever Python opened."""

    def __init__(self) -> None:
        self.count = 0

    def of(self, question: Callable[[], object]) -> int:
        before = self.count
        question()
        return self.count - before


@pytest.fixture
def counter(monkeypatch: pytest.MonkeyPatch) -> Counter:
    counted = Counter()
    really_open = builtins.open

    class CountedFile(io.FileIO):
        def readinto(self, buffer: Any, /) -> int:
            return self._count(super().readinto(buffer))

        def read(self, size: int | None = -1, /) -> bytes:
            data = super().read(size)
            self._count(len(data))
            return data

        def readall(self) -> bytes:
            data = super().readall()
            self._count(len(data))
            return data

        def _count(self, size: int) -> int:
            counted.count += size
            return size

    def counting_open(
        file: Any,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        **options: Any,
    ) -> Any:
        if set(mode) & set("wax+"):
            return really_open(file, mode, buffering, encoding, errors, newline, **options)
        raw = CountedFile(file)
        if buffering == 0:
            return raw
        buffered = io.BufferedReader(raw)
        return buffered if "b" in mode else io.TextIOWrapper(buffered, encoding, errors, newline)

    monkeypatch.setattr(builtins, "open", counting_open)
    monkeypatch.setattr(io, "open", counting_open)
    return counted


class Stored(NamedTuple):
    """A sorting in the files of a format."""

    open: Callable[[], sw.BaseSorting]
    sizes: dict[str, int]
    """Bytes of what the table speaks of."""


SAMPLES = np.sort(np.random.default_rng(7).integers(0, 3_000_000, SPIKES))
LABELS = np.random.default_rng(8).integers(0, UNITS, SPIKES)
COLUMN = {"times": 8 * SPIKES, "labels": 8 * SPIKES}


def in_memory() -> sw.NumpySorting:
    return sw.NumpySorting.from_samples_and_labels(SAMPLES, LABELS, RATE)


def npz(folder: Path) -> Stored:
    se.NpzSortingExtractor.write_sorting(in_memory(), folder / "a.npz")
    return Stored(lambda: se.read_npz_sorting(folder / "a.npz"), COLUMN)


def npz_folder(folder: Path) -> Stored:
    with pytest.warns(DeprecationWarning, match="npz folders"):
        in_memory().save(folder=folder / "a", format="npz_folder")
    return Stored(lambda: se.read_npz_folder(folder / "a"), COLUMN)


def numpy_folder(folder: Path) -> Stored:
    in_memory().save(folder=folder / "a")
    return Stored(lambda: se.read_numpy_sorting_folder(folder / "a"), {"file": 24 * SPIKES})


def phy(folder: Path) -> Stored:
    se.export_to_phy_minimal(in_memory(), folder / "a")
    sizes = {
        "times": (folder / "a" / "spike_times.npy").stat().st_size,
        "labels": (folder / "a" / "spike_clusters.npy").stat().st_size,
    }
    return Stored(lambda: se.read_phy(folder / "a"), sizes)


def alf(folder: Path) -> Stored:
    np.save(folder / "spikes.samples.npy", SAMPLES)
    np.save(folder / "spikes.times.npy", SAMPLES / RATE)
    np.save(folder / "spikes.clusters.npy", LABELS)
    np.save(folder / "clusters.depths.npy", np.zeros(UNITS))
    return Stored(lambda: se.read_alf_sorting(folder, RATE), COLUMN)


def tridesclous(folder: Path) -> Stored:
    segment = folder / "channel_group_0" / "segment_0"
    segment.mkdir(parents=True)
    fields = [["index", "<i8"], ["cluster_label", "<i8"], ["jitter", "<f8"]]
    records = np.zeros(SPIKES, [(name, kind) for name, kind in fields])
    records["index"], records["cluster_label"] = SAMPLES, LABELS
    records.tofile(segment / "spikes.raw")
    info = {"datasource_info": {"sample_rate": RATE, "nb_segment": 1}}
    (folder / "info.json").write_text(json.dumps(info))
    arrays = {"spikes": {"dtype": fields, "shape": [SPIKES]}}
    (segment / "arrays.json").write_text(json.dumps(arrays))
    return Stored(lambda: se.read_tridesclous(folder), {"file": records.nbytes})


def mda(folder: Path) -> Stored:
    path = folder / "firings.mda"
    se.MdaSortingExtractor.write_sorting(in_memory(), path)
    return Stored(lambda: se.read_mda_sorting(path, RATE), {"file": path.stat().st_size})


def neuroscope(folder: Path) -> Stored:
    se.NeuroScopeSortingExtractor.write_sorting(in_memory(), folder / "a")
    sizes = {
        kind: sum(path.stat().st_size for path in (folder / "a").glob(f"*.{suffix}.*"))
        for kind, suffix in (("times", "res"), ("labels", "clu"))
    }
    return Stored(lambda: se.read_neuroscope_sorting(folder / "a"), sizes)


def mclust(folder: Path) -> Stored:
    header = b"%%BEGINHEADER\n% Program: matlab\n%%ENDHEADER\n"
    for unit in range(UNITS):
        stamps = SAMPLES[unit == LABELS].astype(">u4")
        (folder / f"TT1_{unit:02}.t").write_bytes(header + stamps.tobytes())
    sizes = {"times": 4 * SPIKES, "train": 4 * np.count_nonzero(LABELS == 3)}
    return Stored(lambda: se.read_mclust(folder, RATE), sizes)


def zarr(folder: Path) -> Stored:
    in_memory().save(folder=folder / "a", format="zarr")
    spikes = folder / "a.zarr" / "spikes"
    columns = {"times": spikes / "sample_index", "labels": spikes / "unit_index"}
    sizes = {
        name: sum(path.stat().st_size for path in column.iterdir())
        for name, column in columns.items()
    }
    sizes["chunk"] = sum((column / "0").stat().st_size for column in columns.values())
    return Stored(lambda: se.read_zarr(folder / "a.zarr"), sizes)


def nwb(folder: Path) -> Stored:
    start = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)
    se.NwbSortingExtractor.write_sorting(in_memory(), folder / "a.nwb", start)
    sizes = {"times": 8 * SPIKES, "train": 8 * np.count_nonzero(LABELS == 3)}
    return Stored(lambda: se.read_nwb_sorting(folder / "a.nwb"), sizes)


WRITERS = [
    npz,
    npz_folder,
    numpy_folder,
    zarr,
    phy,
    alf,
    tridesclous,
    mda,
    neuroscope,
    mclust,
    nwb,
]


def table() -> dict[str, dict[str, str]]:
    """The table of docs/formats.md: what each format allows, by question."""
    lines = re.findall(r"^\| (.*) \|$", FORMATS.read_text("utf-8"), re.MULTILINE)
    head, *rows = [line.split(" | ") for line in lines]
    return {row[0]: dict(zip(head[1:], row[1:], strict=True)) for row in rows}


def allowed(cell: str, sizes: dict[str, int]) -> int:
    """The bytes that a cell such as "2 times + labels" allows."""
    total = NEXT_TO_NOTHING
    for term in cell.split(" + ") if cell != "–" else ():
        factor, _, part = term.rpartition(" ")
        total += int(factor or 1) * sizes[part]
    return total


def window(sorting: sw.BaseSorting) -> None:
    trains = sorting.get_unit_spike_trains(start_frame=1_500_000, end_frame=1_501_000)
    assert sum(map(len, trains.values()))


QUESTIONS: dict[str, Callable[[sw.BaseSorting], object]] = {
    "counts": lambda sorting: sorting.count_num_spikes_per_unit(outputs="array"),
    "last frame": lambda sorting: sorting.get_last_spike_frame(),
    "one train": lambda sorting: sorting.get_unit_spike_train(sorting.unit_ids[3]),
    "a window": window,
}


def spent_by(counter: Counter, stored: Stored, view: Any = None) -> dict[str, int]:
    """Ask each question of a sorting that was just opened; the bytes that it took."""
    spent = {}
    for name, question in QUESTIONS.items():
        opened: list[sw.BaseSorting] = []
        spent["open"] = counter.of(lambda opened=opened: opened.append(stored.open()))
        sorting = view(opened[0]) if view else opened[0]
        spent[name] = counter.of(lambda question=question, s=sorting: question(s))
        if name == "a window":
            spent["the next window"] = counter.of(lambda s=sorting: window(s))
    return spent


@pytest.mark.parametrize("write", WRITERS, ids=lambda write: write.__name__)
def test_nothing_reads_more_than_its_format_allows(
    write: Callable[[Path], Stored], tmp_path: Path, counter: Counter
) -> None:
    stored = write(tmp_path)
    spent = spent_by(counter, stored)
    limits = {what: allowed(cell, stored.sizes) for what, cell in table()[write.__name__].items()}
    assert {what: size for what, size in spent.items() if size > limits[what]} == {}
    # Nor does the table allow more than is needed.
    assert {what: size for what, size in spent.items() if size < limits[what] - SLACK} == {}


VIEWS: dict[str, Callable[[sw.BaseSorting], sw.BaseSorting]] = {
    "select_units": lambda s: s.select_units(s.unit_ids[::-1]),
    "rename_units": lambda s: s.rename_units([f"u{i}" for i in range(UNITS)]),
    "frame_slice": lambda s: s.frame_slice(0, 4_000_000),
    "aggregate_units": lambda s: sw.aggregate_units([s]),
    "append_sortings": lambda s: sw.append_sortings([s]),
    "select_segment_sorting": lambda s: sw.select_segment_sorting(s, [0]),
}


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("write", [npz, numpy_folder, phy], ids=lambda write: write.__name__)
def test_a_view_costs_what_its_parent_costs(
    write: Callable[[Path], Stored], view: str, tmp_path: Path, counter: Counter
) -> None:
    row = table()[write.__name__]
    if view == "frame_slice" and write is phy:
        row |= {"counts": "times + labels"}  # which rows are meant, the times say
    stored = write(tmp_path)
    spent = spent_by(counter, stored, VIEWS[view])
    limits = {what: allowed(cell, stored.sizes) for what, cell in row.items()}
    assert {what: size for what, size in spent.items() if size > limits[what]} == {}


def test_every_format_of_the_table_is_tried() -> None:
    assert list(table()) == [write.__name__ for write in WRITERS]


def test_the_counter_counts(tmp_path: Path, counter: Counter) -> None:
    path = tmp_path / "a"
    path.write_bytes(bytes(1000))
    assert counter.of(path.read_bytes) == 1000
    assert counter.of(path.read_text) == 1000

    def read_unbuffered() -> None:
        with open(path, "rb", buffering=0) as file:
            assert file.readinto(bytearray(400)) == 400
            assert len(file.read(100)) == 100

    assert counter.of(read_unbuffered) == 500
