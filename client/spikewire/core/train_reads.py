"""How trains are asked for: of one unit or of many, in frames or in seconds."""

from __future__ import annotations

from typing import Any

import numpy as np

from spikewire.core.bounds import frame_bound, seconds_bound
from spikewire.core.clocks import UnitClocks
from spikewire.core.dtypes import AnyArray, FloatArray, UnitId
from spikewire.core.vectors import SortingVectors


class SortingTrains(SortingVectors):
    """The methods of `BaseSorting` that give spike trains."""

    def get_unit_spike_train(
        self,
        unit_id: UnitId,
        segment_index: int | None = None,
        start_frame: float | None = None,
        end_frame: float | None = None,
        return_times: bool = False,
        use_cache: bool = True,
    ) -> AnyArray:
        """The spikes of one unit in [start_frame, end_frame).

        Parameters
        ----------
        unit_id : int or str
        segment_index : int, optional
            Needed if there are several segments.
        start_frame, end_frame : int, optional
            Any integers; None leaves the side open.
        return_times : bool, default: False
            Give seconds. With a registered recording the end is then inclusive, and
            without one a bound at time 0.0 counts as none, as in SpikeInterface.
        use_cache : bool, default: True
            Cache the segment's trains once several were read.

        Returns
        -------
        int64, (spikes,), ascending, read-only; or float64 seconds

        Raises
        ------
        UnitNotFoundError
            If there is no such unit.
        SegmentRequiredError, SegmentIndexError
            If the segment is not given, or does not exist.
        InvalidTypeError
            If a bound is no number.
        """
        segment = self._check_segment_index(segment_index)
        units = [self.id_to_index(unit_id)]
        if return_times:
            return self._trains_at_times(units, segment, start_frame, end_frame, use_cache)[0]
        start = frame_bound(start_frame, "start_frame")
        end = frame_bound(end_frame, "end_frame")
        return self._get_trains(units, segment, start, end, use_cache)[0]

    def get_unit_spike_trains(
        self,
        unit_ids: list[Any] | tuple[Any, ...] | AnyArray | None = None,
        segment_index: int | None = None,
        start_frame: float | None = None,
        end_frame: float | None = None,
        return_times: bool = False,
        use_cache: bool = True,
    ) -> dict[Any, AnyArray]:
        """The spikes of many units in one go.

        Parameters
        ----------
        unit_ids : sequence, optional
            By default all units.
        segment_index, start_frame, end_frame, return_times, use_cache
            As for `get_unit_spike_train`.

        Returns
        -------
        dict of int64, (spikes,), read-only; or of float64 seconds
            By unit id, in the given order.
        """
        segment = self._check_segment_index(segment_index)
        units = np.asarray(self.ids_to_indices(unit_ids))
        if return_times:
            trains: list[AnyArray] = self._trains_at_times(
                units.tolist(), segment, start_frame, end_frame, use_cache
            )
        else:
            start = frame_bound(start_frame, "start_frame")
            end = frame_bound(end_frame, "end_frame")
            trains = [*self._get_trains(units.tolist(), segment, start, end, use_cache)]
        return dict(zip(self._main_ids[units], trains, strict=True))

    def get_unit_spike_train_in_seconds(
        self,
        unit_id: UnitId,
        segment_index: int | None = None,
        start_time: float | None = None,
        end_time: float | None = None,
        use_cache: bool = True,
    ) -> FloatArray:
        """The spikes of one unit in seconds.

        Times are the registered recording's, else the file's own where it holds
        seconds, else those that the sync points of the unit's own rig say, else the
        start time plus frames over sampling frequency.

        Parameters
        ----------
        unit_id : int or str
        segment_index : int, optional
            Needed if there are several segments.
        start_time, end_time : float, optional
            Seconds. The bounds behave as those of `get_unit_spike_train` with
            `return_times`.
        use_cache : bool, default: True

        Returns
        -------
        float64, (spikes,)
        """
        segment = self._check_segment_index(segment_index)
        units = [self.id_to_index(unit_id)]
        start = None if start_time is None else seconds_bound(start_time, "start_time")
        end = None if end_time is None else seconds_bound(end_time, "end_time")
        return self._trains_in_seconds(units, segment, start, end, use_cache)[0]

    def _trains_at_times(
        self,
        units: list[int],
        segment_index: int,
        start_frame: float | None,
        end_frame: float | None,
        use_cache: bool,
    ) -> list[FloatArray]:
        """Trains in seconds in a window of frames, which is turned into seconds first."""
        start = frame_bound(start_frame, "start_frame")
        end = frame_bound(end_frame, "end_frame")
        clocks = self._segments[segment_index]._clocks
        if clocks is not None:
            frames = self._get_trains(units, segment_index, start, end, use_cache)
            return [
                clocks.of(unit).times_at(train) for unit, train in zip(units, frames, strict=True)
            ]
        times = [
            None if bound is None else self.sample_index_to_time(bound, segment_index)
            for bound in (start, end)
        ]
        return self._trains_in_seconds(units, segment_index, times[0], times[1], use_cache)

    def _trains_in_seconds(
        self,
        units: list[int],
        segment_index: int,
        start: float | None,
        end: float | None,
        use_cache: bool,
    ) -> list[FloatArray]:
        segment = self._segments[segment_index]
        if self._recording is not None:
            frames = self._get_trains(units, segment_index, None, None, use_cache)
            trains: list[FloatArray] = [
                self.sample_index_to_time(train, segment_index) for train in frames
            ]
            if start is not None:
                trains = [train[train >= start] for train in trains]
            if end is not None:
                trains = [train[train <= end] for train in trains]
            return trains
        native = getattr(segment, "get_unit_spike_train_in_seconds", None)
        if native is not None:
            shift = self._t_start(segment_index) - (segment._native_t_start or 0.0)
            trains = [
                native(unit_id=self._main_ids[unit], start_time=start, end_time=end)
                for unit in units
            ]
            return [train + shift for train in trains] if shift else trains
        if segment._clocks is not None:
            return self._trains_by_clocks(
                segment._clocks, units, segment_index, start, end, use_cache
            )
        bounds = [
            frame_bound(self._nearest_frame(time, segment_index), "frame") if time else None
            for time in (start, end)
        ]
        frames = self._get_trains(units, segment_index, bounds[0], bounds[1], use_cache)
        t_start = self._t_start(segment_index)
        return [t_start + train / self._sampling_frequency for train in frames]

    def _trains_by_clocks(
        self,
        clocks: UnitClocks,
        units: list[int],
        segment_index: int,
        start: float | None,
        end: float | None,
        use_cache: bool,
    ) -> list[FloatArray]:
        """Trains in seconds by sync points; units of one clock are read together."""
        trains: list[FloatArray] = [np.empty(0)] * len(units)
        of_units = [clocks.of(unit) for unit in units]
        for clock in {id(clock): clock for clock in of_units}.values():
            places = [place for place, other in enumerate(of_units) if other is clock]
            bounds = [
                frame_bound(time if np.isinf(time) else np.rint(clock.samples_at(time)), "frame")
                if time
                else None
                for time in (start, end)
            ]
            some = [units[place] for place in places]
            frames = self._get_trains(some, segment_index, bounds[0], bounds[1], use_cache)
            for place, train in zip(places, frames, strict=True):
                trains[place] = clock.times_at(train)
        return trains

    def _nearest_frame(self, time: float, segment_index: int) -> float:
        return time if np.isinf(time) else self.time_to_sample_index(time, segment_index)
