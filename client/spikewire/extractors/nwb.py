"""NWB files: the units table, whose spike times are seconds."""

from __future__ import annotations

import datetime
import os
from pathlib import Path
from typing import Any

import numpy as np

from spikewire.core.bounds import window
from spikewire.core.dtypes import AnyArray, FloatArray, IntArray, UnitId
from spikewire.core.errors import (
    DumpError,
    FormatError,
    InvalidValueError,
    NeedsSamplingFrequencyError,
)
from spikewire.core.segment import BaseSortingSegment
from spikewire.core.sorting import BaseSorting
from spikewire.extractors.files import Column
from spikewire.extractors.nwb_export import write_nwb
from spikewire.extractors.nwb_files import (
    NwbFile,
    has_electrical_series,
    number_attribute,
    table_properties,
)
from spikewire.extractors.tables import blaming, rounded, row_stretches


class NwbSortingExtractor(BaseSorting):
    """A sorting in the units table of an NWB file.

    The file holds seconds: `get_unit_spike_train_in_seconds` gives them as they are.
    Frames count from ``t_start``: round((seconds - t_start) * sampling_frequency).

    Parameters
    ----------
    file_path : str or Path
        The file.
    electrical_series_path : str, optional
        The recording in the file that was sorted, such as
        "acquisition/ElectricalSeries": its rate and starting time are used.
    sampling_frequency : float, optional
        Frames per second. By default one over the resolution of the spike times, if
        the file states it.
    load_unit_properties : bool, default: True
        Make properties of the other columns of the table.
    unit_table_path : str, default: "units"
        Where the table lies in the file.
    t_start : float, optional
        Seconds of frame 0. By default 0, if there is no recording in the file.

    Raises
    ------
    SortingFileNotFoundError
        If there is no such file.
    NeedsSamplingFrequencyError
        If the file states no sampling rate and none is given.
    InvalidValueError
        If a recording is named and a rate or a start time given as well, or if there
        are recordings and it is not said which one, or what ``t_start``, is meant.
    FormatError
        If the file is damaged or has no such table.
    MissingExtraError
        If pyfive is not installed; the extra ``[nwb]`` brings it.
    """

    _dump_class = "spikeinterface.extractors.nwbextractors.NwbSortingExtractor"

    def __init__(
        self,
        file_path: str | os.PathLike[str],
        electrical_series_path: str | None = None,
        sampling_frequency: float | None = None,
        *,
        load_unit_properties: bool = True,
        unit_table_path: str = "units",
        t_start: float | None = None,
    ) -> None:
        path = Path(file_path).absolute()
        file = NwbFile(path)
        with file.reading():
            if file.node(f"{unit_table_path}/spike_times") is None:
                raise FormatError(f"{path} has no spike times in {unit_table_path!r}")
            times = file.dataset(f"{unit_table_path}/spike_times")
            if len(times.shape) != 1 or times.dtype.kind not in "fiu":
                raise FormatError(f"{path}: the spike times are no column of numbers")
            unit_ids = _unit_ids(file, unit_table_path)
            ends = file.dataset(f"{unit_table_path}/spike_times_index")[()]
            bounds = _bounds(ends, len(unit_ids), times.shape[0], path)
            rate, start = _time_base(
                file, times, electrical_series_path, sampling_frequency, t_start
            )
            column = file.column(times)
            properties = {}
            if load_unit_properties:
                properties = table_properties(file, unit_table_path, len(unit_ids))
        with blaming(path):
            super().__init__(rate, unit_ids)
            for key, values in properties.items():
                self.set_property(key, values)
        self.add_sorting_segment(
            NwbSortingSegment(path, column, bounds, self.get_sampling_frequency(), start)
        )
        given = {
            "electrical_series_path": electrical_series_path,
            "sampling_frequency": sampling_frequency,
            "t_start": t_start,
        }
        self._kwargs = {"file_path": str(path)}
        self._kwargs |= {key: value for key, value in given.items() if value is not None}
        if not load_unit_properties:
            self._kwargs["load_unit_properties"] = False
        if unit_table_path != "units":
            self._kwargs["unit_table_path"] = unit_table_path

    @classmethod
    def _kwargs_of_dump(cls, kwargs: dict[str, Any]) -> dict[str, Any]:
        """The arguments that count; SpikeInterface also dumps what it found out by them."""
        if kwargs.get("stream_mode") is not None:
            raise DumpError("NWB files are read from disk only, not streamed")
        known = {"file_path", "electrical_series_path", "load_unit_properties", "unit_table_path"}
        if kwargs.get("electrical_series_path") is None:
            known |= {"sampling_frequency", "t_start"}
        return {key: value for key, value in kwargs.items() if key in known and value is not None}

    @staticmethod
    def write_sorting(
        sorting: BaseSorting,
        file_path: str | os.PathLike[str],
        session_start_time: datetime.datetime,
        *,
        session_description: str = "spike-sorted units",
        identifier: str | None = None,
        overwrite: bool = False,
    ) -> None:
        """Write a sorting of one segment as a new NWB file; see `write_nwb`."""
        write_nwb(
            sorting,
            file_path,
            session_start_time,
            session_description=session_description,
            identifier=identifier,
            overwrite=overwrite,
        )


def read_nwb_sorting(
    file_path: str | os.PathLike[str],
    electrical_series_path: str | None = None,
    sampling_frequency: float | None = None,
    *,
    load_unit_properties: bool = True,
    unit_table_path: str = "units",
    t_start: float | None = None,
) -> NwbSortingExtractor:
    """Open the units table of an NWB file; see `NwbSortingExtractor`."""
    return NwbSortingExtractor(
        file_path,
        electrical_series_path,
        sampling_frequency,
        load_unit_properties=load_unit_properties,
        unit_table_path=unit_table_path,
        t_start=t_start,
    )


class NwbSortingSegment(BaseSortingSegment):
    """Spike times in seconds, unit after unit in one column; not always in order within one.

    Parameters
    ----------
    path : Path
        The file that errors name.
    times : Column
    bounds : list of int, units + 1
        Where each unit begins in it, and where the last one ends.
    sampling_frequency, t_start : float
        From seconds to frames.
    """

    def __init__(
        self,
        path: Path,
        times: Column,
        bounds: list[int],
        sampling_frequency: float,
        t_start: float,
    ) -> None:
        super().__init__(t_start=t_start)
        self._path = path
        self._column = times
        self._bounds = bounds
        self._sampling_frequency = sampling_frequency
        # What shift_times() changes is _t_start; frames stay.
        self._frame_0 = t_start

    def get_unit_spike_train(
        self, unit_id: UnitId, start_frame: int | None = None, end_frame: int | None = None
    ) -> IntArray:
        """The samples of one unit in [start_frame, end_frame), ascending."""
        return window(self._samples(self._times(unit_id)), start_frame, end_frame)

    def get_unit_spike_train_in_seconds(
        self, unit_id: UnitId, start_time: float | None = None, end_time: float | None = None
    ) -> FloatArray:
        """The times of one unit in [start_time, end_time), as the file has them."""
        times = self._times(unit_id)
        first = None if start_time is None else int(np.searchsorted(times, start_time))
        last = None if end_time is None else int(np.searchsorted(times, end_time))
        return times[first:last]

    def get_spike_columns(
        self, start_frame: int | None = None, end_frame: int | None = None
    ) -> tuple[IntArray, IntArray]:
        """Every spike in [start_frame, end_frame), ties in the order of the units."""
        samples = self._samples(self._column.read(0, self._bounds[-1]))
        units = np.repeat(np.arange(len(self._bounds) - 1), np.diff(self._bounds))
        order = np.argsort(samples, kind="stable")
        samples, units = samples[order], units[order]
        first = None if start_frame is None else int(np.searchsorted(samples, start_frame))
        last = None if end_frame is None else int(np.searchsorted(samples, end_frame))
        return samples[first:last], units[first:last]

    def count_spikes(self) -> IntArray:
        """The number of spikes of each unit, without reading one."""
        bounds = np.array(self._bounds, dtype=np.int64)
        return bounds[1:] - bounds[:-1]

    def get_last_spike_frame(self) -> int | None:
        """The largest sample; None where there is none."""
        latest = [
            self._column.read(start, stop).max()
            for start, stop in row_stretches(0, self._bounds[-1])
        ]
        return int(self._samples(np.array(latest)).max()) if latest else None

    def _times(self, unit_id: UnitId) -> FloatArray:
        index = self._sorting().id_to_index(unit_id)
        times = self._column.read(*self._bounds[index : index + 2]).astype(np.float64)
        return np.sort(times) if (times[1:] < times[:-1]).any() else times

    def _samples(self, times: FloatArray) -> IntArray:
        return rounded((times - self._frame_0) * self._sampling_frequency, self._path)


def _unit_ids(file: NwbFile, table_path: str) -> AnyArray:
    if file.node(f"{table_path}/unit_name") is not None:
        return file.text(file.dataset(f"{table_path}/unit_name"))
    ids: AnyArray = file.dataset(f"{table_path}/id")[()]
    return ids


def _bounds(ends: Any, num_units: int, num_spikes: int, path: Path) -> list[int]:
    if ends.shape != (num_units,) or ends.dtype.kind not in "iu":
        raise FormatError(f"{path}: the index of the spike times is not one number a unit")
    bounds = [0, *ends.tolist()]
    if bounds != sorted(bounds) or bounds[-1] != num_spikes:
        raise FormatError(
            f"{path}: the index of the spike times does not divide the {num_spikes} of them"
        )
    return bounds


def _time_base(
    file: NwbFile,
    times: Any,
    electrical_series_path: str | None,
    sampling_frequency: float | None,
    t_start: float | None,
) -> tuple[float, float]:
    """The sampling frequency and the seconds of frame 0."""
    if electrical_series_path is not None:
        if sampling_frequency is not None or t_start is not None:
            raise InvalidValueError(
                "give either electrical_series_path, or sampling_frequency and t_start"
            )
        return _series_times(file, electrical_series_path)
    if t_start is None and has_electrical_series(file):
        raise InvalidValueError(
            f"{file.path} holds a recording: give t_start, the seconds of frame 0, or the "
            "recording's place as electrical_series_path"
        )
    if sampling_frequency is None:
        resolution = number_attribute(times, "resolution")
        if resolution is None or not 0 < resolution < np.inf:
            raise NeedsSamplingFrequencyError(
                f"{file.path} states no resolution of its spike times; give sampling_frequency="
            )
        sampling_frequency = 1 / resolution
        # 1 / (1 / 30000) may be 30000.000000000004.
        if abs(sampling_frequency - round(sampling_frequency)) < 1e-9 * sampling_frequency:
            sampling_frequency = float(round(sampling_frequency))
    return sampling_frequency, 0.0 if t_start is None else t_start


def _series_times(file: NwbFile, name: str) -> tuple[float, float]:
    if file.node(name) is None:
        raise InvalidValueError(f"{file.path} has no recording at {name!r}")
    if file.node(f"{name}/starting_time") is None:
        raise NeedsSamplingFrequencyError(
            f"the recording {name!r} of {file.path} states times, no rate; give "
            "sampling_frequency= and t_start= instead"
        )
    start = file.dataset(f"{name}/starting_time")
    rate = number_attribute(start, "rate")
    if rate is None or start.shape != ():
        raise FormatError(f"{file.path}: {name}/starting_time is not one number with a rate")
    return rate, float(start[()])
