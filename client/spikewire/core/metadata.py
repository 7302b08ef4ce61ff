"""Properties (one value a unit) and annotations (one value a sorting)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import deepcopy
from typing import Any, ClassVar

import numpy as np

from spikewire.core.dtypes import AnyArray, UnitId
from spikewire.core.errors import (
    AnnotationNotFoundError,
    ContractError,
    InvalidTypeError,
    InvalidValueError,
    PropertyNotFoundError,
)
from spikewire.core.late_values import LateMapping, LendingMapping
from spikewire.core.property_rules import put, room_for
from spikewire.core.shape import SortingShape
from spikewire.core.unit_ids import some


class SortingMetadata(SortingShape):
    """The metadata of a sorting.

    Everything is read through the mappings `_properties` and `_annotations`, which
    a subclass may replace with lazy ones, and written through the four methods
    `_store_property`, `_drop_property`, `_store_annotation`, `_drop_annotation`,
    which a subclass may override to write elsewhere too.
    """

    #: What a property is filled with where a unit has no value, by dtype kind.
    default_missing_property_values: ClassVar[dict[str, Any]] = {
        "f": np.nan,
        "O": None,
        "S": "",
        "U": "",
    }
    #: What every dump holds, whether or not it was asked for metadata.
    _main_annotations: ClassVar[list[str]] = ["name"]
    _main_properties: ClassVar[list[str]] = ["main_channel_id"]

    def __init__(self, sampling_frequency: float, unit_ids: Iterable[UnitId] | AnyArray) -> None:
        super().__init__(sampling_frequency, unit_ids)
        self._properties: LendingMapping = LateMapping()
        self._annotations: LendingMapping = LateMapping()

    def _store_property(self, key: str, values: AnyArray) -> None:
        self._properties[key] = values

    def _drop_property(self, key: str) -> None:
        del self._properties[key]

    def _store_annotation(self, key: str, value: Any) -> None:
        self._annotations[key] = value

    def _drop_annotation(self, key: str) -> None:
        del self._annotations[key]

    @property
    def name(self) -> str:
        """The annotation `name`; the class's name where there is none."""
        name = self._annotations.get("name")
        return type(self).__name__ if name is None else name

    @name.setter
    def name(self, value: str | None) -> None:
        if value is not None:
            self._store_annotation("name", value)
        elif "name" in self._annotations:
            self._drop_annotation("name")

    def set_property(
        self,
        key: str,
        values: Any,
        ids: list[Any] | tuple[Any, ...] | AnyArray | None = None,
        missing_value: Any = None,
    ) -> None:
        """Give units a property.

        Parameters
        ----------
        key : str
        values : array-like, (units, ...) or None
            One value, of any shape and dtype, a unit of `ids`. None deletes the property.
        ids : sequence, optional
            The units that the values are for; by default every unit in order. With
            some of the units only, an existing property keeps its dtype and the
            other units keep their values.
        missing_value : scalar, optional
            What the other units get if the property is new. Numbers without NaN,
            booleans and dates need one; for floats it is NaN, for text "".

        Raises
        ------
        ContractError
            If the values are not one a unit, or of another kind than the property
            or the missing value.
        InvalidValueError
            If an id is repeated or there are too many values or no missing value.
        UnitNotFoundError
            If an id is not a unit's.
        """
        _check_key("property", key)
        if values is None:
            if key in self._properties:
                self._drop_property(key)
            return
        values = np.asarray(values)
        count = self.get_num_units()
        if ids is None:
            if values.ndim == 0 or values.shape[0] != count:
                raise ContractError(
                    f"property {key!r} needs {count} values, one a unit, not shape {values.shape}"
                )
            self._store_property(key, values)
            return
        ids = np.array(ids) if not isinstance(ids, np.ndarray) else ids
        unique, counts = np.unique(ids, return_counts=True)
        if len(unique) != ids.size:
            raise InvalidValueError(f"unit ids are not unique: {some(unique[counts > 1].tolist())}")
        room = room_for(
            key,
            values,
            ids.size,
            count,
            existing=self._properties.get(key) if ids.size < count else None,
            missing_value=missing_value,
            defaults=self.default_missing_property_values,
        )
        put(key, room, np.asarray(self.ids_to_indices(ids)), values)
        self._store_property(key, room)

    def get_property(
        self, key: str, ids: list[Any] | tuple[Any, ...] | AnyArray | None = None
    ) -> AnyArray | None:
        """A property's values, the stored array itself; None if there is no such property.

        Parameters
        ----------
        key : str
        ids : sequence, optional
            Units to give the values of, as a copy in this order.
        """
        values: AnyArray | None = self._properties.get(key)
        if values is None or ids is None:
            return values
        return values[self.ids_to_indices(ids)]

    def get_unit_property(self, unit_id: UnitId, key: str) -> Any:
        """A property's value for one unit.

        Raises
        ------
        PropertyNotFoundError
            If there is no such property.
        UnitNotFoundError
            If there is no such unit.
        """
        values = self._properties.get(key)
        if values is None:
            raise PropertyNotFoundError(f"no property {key!r}; {self._known_properties()}")
        return values[self.id_to_index(unit_id)]

    def get_property_keys(self) -> list[str]:
        """The keys of all properties, in the order in which they were set."""
        return list(self._properties)

    def delete_property(self, key: str) -> None:
        """Remove a property.

        Raises
        ------
        PropertyNotFoundError
            If there is no such property.
        """
        if key not in self._properties:
            raise PropertyNotFoundError(f"no property {key!r}; {self._known_properties()}")
        self._drop_property(key)

    def _known_properties(self) -> str:
        return f"there are: {some(self.get_property_keys(), 20)}" if self._properties else "none"

    def annotate(self, **new_annotations: Any) -> None:
        """Set annotations, replacing those of the same names."""
        for key, value in new_annotations.items():
            self._store_annotation(key, value)

    def set_annotation(self, annotation_key: str, value: Any, overwrite: bool = False) -> None:
        """Set one annotation.

        Raises
        ------
        InvalidValueError
            If it exists and `overwrite` is False.
        """
        _check_key("annotation", annotation_key)
        if annotation_key in self._annotations and not overwrite:
            raise InvalidValueError(
                f"annotation {annotation_key!r} exists already; overwrite=True replaces it"
            )
        self._store_annotation(annotation_key, value)

    def get_annotation(self, key: str, copy: bool = True) -> Any:
        """An annotation's value, by default a deep copy; None if there is no such annotation."""
        value = self._annotations.get(key)
        return deepcopy(value) if copy else value

    def get_annotation_keys(self) -> list[str]:
        """The keys of all annotations."""
        return list(self._annotations)

    def delete_annotation(self, annotation_key: str) -> None:
        """Remove an annotation.

        Raises
        ------
        AnnotationNotFoundError
            If there is no such annotation.
        """
        if annotation_key not in self._annotations:
            raise AnnotationNotFoundError(f"no annotation {annotation_key!r}")
        self._drop_annotation(annotation_key)

    @property
    def sorting_info(self) -> dict[str, Any] | None:
        """What a spike sorter noted about its run: `recording`, `params`, `log`."""
        info: dict[str, Any] | None = self.get_annotation("__sorting_info__")
        return info

    def set_sorting_info(self, recording_dict: Any, params_dict: Any, log_dict: Any) -> None:
        """Note what a spike sorter was run on, with which parameters, and its log."""
        info = {"recording": recording_dict, "params": params_dict, "log": log_dict}
        self._store_annotation("__sorting_info__", info)

    def copy_metadata(
        self,
        other: SortingMetadata,
        only_main: bool = False,
        ids: list[Any] | tuple[Any, ...] | AnyArray | None = None,
        skip_properties: Iterable[str] | None = None,
    ) -> None:
        """Copy properties and annotations to another sorting.

        Parameters
        ----------
        other : BaseSorting
            Its annotations are replaced, its other properties stay.
        only_main : bool, default: False
            Copy only what every dump holds: the name and `main_channel_id`.
        ids : sequence, optional
            Units of this sorting that are the units of `other`, in its order.
        skip_properties : iterable of str, optional
            Properties to leave out.
        """
        indices = slice(None) if ids is None else self.ids_to_indices(ids)
        skipped = set(skip_properties or ())
        for key in other.get_annotation_keys():
            other._drop_annotation(key)
        for key in self._main_annotations if only_main else self.get_annotation_keys():
            if key in self._annotations:
                other._store_annotation(key, deepcopy(self._annotations[key]))
        for key in self._main_properties if only_main else self.get_property_keys():
            if key in self._properties and key not in skipped:
                other.set_property(key, self._properties[key][indices])

    def _lend_metadata(self, view: SortingMetadata, ids: AnyArray | None = None) -> None:
        """Do what `copy_metadata` does, for a new view of this sorting.

        What is yet to be fetched, the view fetches when it is asked for it. It is as it
        is now, whatever becomes of this sorting's.
        """
        indices = slice(None) if ids is None else self.ids_to_indices(ids)
        copies: list[tuple[LendingMapping, LendingMapping, Callable[[Any], Any]]] = [
            (self._annotations, view._annotations, deepcopy),
            (self._properties, view._properties, lambda values: values[indices]),
        ]
        for source, target, copied in copies:
            for key in source:
                later = source.later(key)
                target[key] = copied(source[key]) if later is None else later.derive(copied)


def copy_all_metadata(source: Any, target: SortingMetadata) -> None:
    """Copy properties and annotations of a sorting that may be SpikeInterface's."""
    if isinstance(source, SortingMetadata):
        source.copy_metadata(target)
        return
    # Its own copy_metadata() expects attributes of the target that only its classes have.
    for key in source.get_annotation_keys():
        target.set_annotation(key, deepcopy(source.get_annotation(key)), overwrite=True)
    for key in source.get_property_keys():
        target.set_property(key, source.get_property(key))


def _check_key(what: str, key: object) -> None:
    if not isinstance(key, str):
        raise InvalidTypeError(f"the key of a {what} must be text, not {type(key).__name__}")
