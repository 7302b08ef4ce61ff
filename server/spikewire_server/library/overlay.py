"""Metadata as clients see it: what the files have, under what was noted over it.

A property belongs to the units that it was written for. When the files change, units that
are still there keep what was noted; the others get what the files have, or what stands for
"missing" in values of the kind.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import structlog
from numpy.typing import NDArray
from sqlalchemy.engine import Connection

from spikewire.core.errors import PropertyNotFoundError
from spikewire.core.sorting import BaseSorting
from spikewire.wire.errors import with_metadata
from spikewire_server.library.catalogue import Catalogue
from spikewire_server.library.entry import AnnotationInfo, PropertyInfo
from spikewire_server.library.facts import Facts
from spikewire_server.library.notes import (
    Kind,
    Note,
    read_annotation,
    read_etags,
    read_notes,
    read_property,
)
from spikewire_server.library.revision import digest

log = structlog.get_logger(__name__)

_MISSING: Mapping[str, Any] = {
    **BaseSorting.default_missing_property_values,
    "c": np.nan,
    "m": np.timedelta64("NaT"),
    "M": np.datetime64("NaT"),
}


class Overlay:
    """The metadata of one sorting.

    Parameters
    ----------
    catalogue : Catalogue
        Has the notes.
    name : str
        The sorting.
    facts : Facts
        What its files have.
    """

    def __init__(self, catalogue: Catalogue, name: str, facts: Facts) -> None:
        self._catalogue = catalogue
        self._name = name
        self._facts = facts

    def stamp(self) -> str:
        """Return a text that differs when any of the metadata does."""
        with self._catalogue.read() as connection:
            return digest("metadata", self._facts.labels, read_etags(connection, self._name))

    def properties(self) -> list[PropertyInfo]:
        """Describe all properties, without reading values that were noted."""
        with self._catalogue.read() as connection:
            return self._properties(connection)

    def property(self, key: str) -> tuple[NDArray[Any], str]:
        """Return the values and the etag of a property.

        Raises
        ------
        PropertyNotFoundError
            If there is none.
        """
        base = self._facts.properties.get(key)
        with self._catalogue.read() as connection:
            notes = read_notes(connection, self._name, Kind.PROPERTY)
            note = next((note for note in notes if note.key == key), None)
            if note is None and base is not None:
                return base, self._facts.etag(Kind.PROPERTY.value, key)
            values = None if note is None else self._fitted(connection, note)
        if note is None or values is None:
            raise with_metadata(
                PropertyNotFoundError(f"{self._name!r} has no property {key!r}"),
                name=self._name,
                key=key,
            )
        return values, note.etag

    def annotations(self) -> list[tuple[str, Any, str]]:
        """Return key, value and etag of all annotations."""
        with self._catalogue.read() as connection:
            return [
                (info.key, self._annotation(connection, info.key, noted), info.etag)
                for info, noted in self._annotations(connection)
            ]

    def annotation_infos(self) -> list[AnnotationInfo]:
        """Describe all annotations, without reading values."""
        with self._catalogue.read() as connection:
            return [info for info, _ in self._annotations(connection)]

    def noted(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Return the annotations and properties that were noted, without those of the files."""
        with self._catalogue.read() as connection:
            annotations = {
                note.key: read_annotation(connection, self._name, note.key)
                for note in read_notes(connection, self._name, Kind.ANNOTATION)
                if not note.hides
            }
            fitted = {
                note.key: self._fitted(connection, note)
                for note in read_notes(connection, self._name, Kind.PROPERTY)
            }
        return annotations, {key: values for key, values in fitted.items() if values is not None}

    def lay_over(self, sorting: BaseSorting) -> None:
        """Give a sorting the properties and annotations."""
        with self._catalogue.read() as connection:
            notes = {n.key: n for n in read_notes(connection, self._name, Kind.PROPERTY)}
            for key in {**self._facts.properties, **notes}:
                values = self._facts.properties.get(key)
                if key in notes:
                    values = self._fitted(connection, notes[key])
                if values is not None:
                    sorting.set_property(key, values)
            for info, noted in self._annotations(connection):
                value = self._annotation(connection, info.key, noted)
                sorting.set_annotation(info.key, value, overwrite=True)

    def _properties(self, connection: Connection) -> list[PropertyInfo]:
        notes = {note.key: note for note in read_notes(connection, self._name, Kind.PROPERTY)}
        found = []
        for key in {**self._facts.properties, **notes}:
            if key in notes:
                dtype = self._dtype(notes[key])
                shape = (len(self._facts.unit_ids), *notes[key].shape[1:])
                etag = notes[key].etag
            else:
                values = self._facts.properties[key]
                dtype, shape = values.dtype, values.shape
                etag = self._facts.etag(Kind.PROPERTY.value, key)
            if dtype is not None:
                found.append(PropertyInfo(key, dtype, shape, etag))
        return found

    def _annotations(self, connection: Connection) -> list[tuple[AnnotationInfo, bool]]:
        """Describe all annotations, each with whether it was noted."""
        notes = {note.key: note for note in read_notes(connection, self._name, Kind.ANNOTATION)}
        found = []
        for key in {**self._facts.annotations, **notes}:
            if key not in notes:
                etag = self._facts.etag(Kind.ANNOTATION.value, key)
                found.append((AnnotationInfo(key, etag), False))
            elif not notes[key].hides:
                found.append((AnnotationInfo(key, notes[key].etag), True))
        return found

    def _annotation(self, connection: Connection, key: str, noted: bool) -> Any:
        if noted:
            return read_annotation(connection, self._name, key)
        return self._facts.annotations[key]

    def _dtype(self, note: Note) -> np.dtype[Any] | None:
        """Return the type of a noted property for the units of today; None if it is hidden."""
        if note.hides:
            return None
        base = self._facts.properties.get(note.key)
        fits = base is not None and base.shape[1:] == note.shape[1:]
        complete = set(self._facts.unit_ids.tolist()) <= set(note.unit_ids)
        dtype = filled_dtype(
            note.dtype, base.dtype if base is not None and fits else None, complete
        )
        if dtype is None:
            log.warning("property left out: new units have no value", name=self._name, key=note.key)
        return dtype

    def _fitted(self, connection: Connection, note: Note) -> NDArray[Any] | None:
        dtype = self._dtype(note)
        if dtype is None:
            return None
        values = read_property(connection, self._name, note.key)
        base = self._facts.properties.get(note.key)
        return fit(values, note.unit_ids, self._facts.unit_ids.tolist(), base, dtype)


def filled_dtype(
    noted: np.dtype[Any], base: np.dtype[Any] | None, complete: bool
) -> np.dtype[Any] | None:
    """Return the type of a noted property once every unit has a value.

    Parameters
    ----------
    noted : dtype
        Of the values that were noted.
    base : dtype, optional
        Of the property in the files, if its values have the same shape.
    complete : bool
        Whether every unit has a noted value.

    Returns
    -------
    dtype or None
        Numbers and booleans that cannot be missing become objects, so that None can stand
        beside them; None if nothing can stand for a missing value.
    """
    if complete:
        return noted
    if base is not None and base.kind == noted.kind:
        if noted.kind != "V":
            return np.promote_types(base, noted)
        return noted if base == noted else None
    if noted.kind in _MISSING:
        return noted
    return np.dtype(object) if noted.kind in "biu" else None


def fit(
    values: NDArray[Any],
    noted_ids: Sequence[Any],
    unit_ids: Sequence[Any],
    base: NDArray[Any] | None,
    dtype: np.dtype[Any],
) -> NDArray[Any]:
    """Return the values of a property for the units of today.

    Parameters
    ----------
    values : ndarray, shape (noted units, ...)
        What was noted.
    noted_ids, unit_ids : sequences
        The units of then and of today.
    base : ndarray, shape (units, ...), optional
        The property in the files.
    dtype : dtype
        What `filled_dtype` says.
    """
    positions = {unit_id: index for index, unit_id in enumerate(noted_ids)}
    sources = np.array([positions.get(unit_id, -1) for unit_id in unit_ids], dtype=np.intp)
    known = sources >= 0
    fitted = np.empty((len(unit_ids), *values.shape[1:]), dtype)
    fitted[known] = values[sources[known]]
    if not known.all():
        same = base is not None and base.dtype.kind == values.dtype.kind
        if base is not None and same and base.shape[1:] == values.shape[1:]:
            fitted[~known] = base[~known]
        else:
            fitted[~known] = _MISSING[dtype.kind]
    return fitted
