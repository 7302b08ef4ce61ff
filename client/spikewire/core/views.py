"""Views: sortings that are made from a sorting and hold no spikes of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np

from spikewire.core.dtypes import AnyArray
from spikewire.core.errors import ContractError, InvalidValueError
from spikewire.core.train_reads import SortingTrains
from spikewire.core.unit_ids import membership

if TYPE_CHECKING:
    from spikewire.core.sorting import BaseSorting


class SortingViews(SortingTrains):
    """The methods of `BaseSorting` that make views."""

    #: What a view was made from.
    _parent: BaseSorting | None = None

    def get_parent(self) -> BaseSorting | None:
        """The sorting that this view was made from; None if it is no view."""
        return self._parent

    @property
    def _this(self) -> BaseSorting:
        # The layers below BaseSorting are never instantiated.
        return cast("BaseSorting", self)

    def select_units(self, unit_ids: Any, renamed_unit_ids: Any = None) -> BaseSorting:
        """A view of some units.

        Parameters
        ----------
        unit_ids : sequence, or None for all
            In the order that the view shall have.
        renamed_unit_ids : sequence, optional
            New ids, one a unit.

        Raises
        ------
        UnitSelectionError
            If an id is unknown, or the new ids are not unique or not as many.
        """
        from spikewire.core.units_selection import UnitsSelectionSorting

        return UnitsSelectionSorting(self._this, unit_ids, renamed_unit_ids)

    def rename_units(self, new_unit_ids: Any) -> BaseSorting:
        """A view with other unit ids, one a unit, in order."""
        return self.select_units(None, new_unit_ids)

    def remove_units(self, remove_unit_ids: Any) -> BaseSorting:
        """A view without some units; ids of no unit are ignored."""
        return self.select_units(self._main_ids[~membership(self._main_ids, remove_unit_ids)])

    def remove_empty_units(self) -> BaseSorting:
        """A view of the units that have spikes in any segment."""
        return self.select_units(self.get_non_empty_unit_ids())

    def frame_slice(
        self,
        start_frame: float | None,
        end_frame: float | None,
        check_spike_frames: bool = True,
    ) -> BaseSorting:
        """A view of the spikes in [start_frame, end_frame), counted from `start_frame`.

        Parameters
        ----------
        start_frame : int, optional
            By default 0.
        end_frame : int, optional
            By default the end of the recording, else the frame after the last spike.
        check_spike_frames : bool, default: True
            Refuse a sorting with spikes outside its recording.

        Raises
        ------
        ContractError
            If there are several segments, or the slice is empty or not within the recording.
        """
        from spikewire.core.slicing import FrameSliceSorting

        return FrameSliceSorting(self._this, start_frame, end_frame, check_spike_frames)

    def time_slice(self, start_time: float | None, end_time: float | None) -> BaseSorting:
        """A view of the spikes between two times in seconds; None or 0 leaves a side open."""
        if self.get_num_segments() != 1:
            raise ContractError("only a sorting of one segment can be sliced")
        start = self.time_to_sample_index(start_time, 0) if start_time else None
        end = self.time_to_sample_index(end_time, 0) if end_time else None
        return self.frame_slice(start, end)

    def select_periods(self, periods: AnyArray | None) -> BaseSorting:
        """The spikes within periods of units; see `select_sorting_periods`."""
        from spikewire.core.periods import select_sorting_periods

        return select_sorting_periods(self._this, periods)

    def split_by(self, property: str = "group", outputs: str = "dict") -> Any:  # noqa: A002
        """A view for each value of a property, of the units that have it.

        Parameters
        ----------
        property : str, default: "group"
        outputs : {"dict", "list"}

        Returns
        -------
        dict of BaseSorting by value, or list; values ascend

        Raises
        ------
        InvalidValueError
            If there is no such property.
        ContractError
            If `outputs` is neither.
        """
        if outputs not in ("dict", "list"):
            raise ContractError(f"outputs must be 'dict' or 'list', not {outputs!r}")
        values = self.get_property(property)
        if values is None:
            raise InvalidValueError(f"no property {property!r}; {self._known_properties()}")
        views = {}
        for value in np.unique(values).tolist():
            view = self.select_units(self._main_ids[values == value])
            view.set_annotation("split_by_property", property, overwrite=True)
            views[value] = view
        return views if outputs == "dict" else list(views.values())
