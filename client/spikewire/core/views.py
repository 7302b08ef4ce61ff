"""Views: sortings that are made from a sorting and hold no spikes of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

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
