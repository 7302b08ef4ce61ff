"""Notes: the properties and annotations that clients wrote, as the catalogue keeps them.

A note is kept by name and key, beside sortings of any origin, and has an etag that changes
with every write. Whoever writes may say which etag he knows; comparing and writing are one
transaction.
"""

from __future__ import annotations

import secrets
from enum import Enum
from typing import Any, NamedTuple, Self

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray
from sqlalchemy.engine import Connection

from spikewire.core.errors import (
    AnnotationNotFoundError,
    EtagMismatchError,
    LimitExceededError,
    PropertyNotFoundError,
)
from spikewire.v1 import dump_pb2, sorting_pb2
from spikewire.wire.arrays import dtype_from_proto, dtype_to_proto
from spikewire.wire.errors import with_metadata
from spikewire.wire.unit_ids import unit_ids_from_proto, unit_ids_to_proto
from spikewire.wire.values import (
    array_from_proto,
    array_to_proto,
    value_from_proto,
    value_to_proto,
)
from spikewire_server.library.catalogue import NOTES


class Kind(Enum):
    """What a note is."""

    PROPERTY = "property"
    ANNOTATION = "annotation"


class Content(NamedTuple):
    """What a note says, in the form that the catalogue keeps."""

    value: bytes
    type: bytes | None = None
    shape: list[int] | None = None
    unit_ids: bytes | None = None

    @classmethod
    def of_property(cls, values: NDArray[Any], unit_ids: NDArray[Any]) -> Self:
        """Encode the values of a property and the ids of the units that they belong to."""
        return cls(
            array_to_proto(values).SerializeToString(),
            dtype_to_proto(values.dtype).SerializeToString(),
            list(values.shape),
            unit_ids_to_proto(unit_ids).SerializeToString(),
        )

    @classmethod
    def of_annotation(cls, value: Any) -> Self:
        """Encode the value of an annotation."""
        return cls(value_to_proto(value).SerializeToString())

    def check_size(self, key: str, max_bytes: int) -> None:
        """Refuse values that are too large.

        Raises
        ------
        LimitExceededError
            If they are.
        """
        if len(self.value) > max_bytes:
            raise with_metadata(
                LimitExceededError(
                    f"{key!r} has {len(self.value)} bytes, but at most {max_bytes} are accepted"
                ),
                limit="property_bytes",
                maximum=max_bytes,
            )


class Note(NamedTuple):
    """A note without its value."""

    key: str
    etag: str
    hides: bool
    """Whether it only says that what the files have was removed."""
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    unit_ids: tuple[Any, ...]


def read_notes(connection: Connection, name: str, kind: Kind) -> list[Note]:
    """Return the notes of a kind on a sorting, in the order in which the keys came."""
    columns = NOTES.c
    query = (
        sa.select(
            columns.key,
            columns.etag,
            columns.value.is_(None),
            columns.type,
            columns.shape,
            columns.unit_ids,
        )
        .where(columns.name == name, columns.kind == kind.value)
        .order_by(columns.position)
    )
    return [
        Note(key, etag, hides, _dtype(type_), tuple(shape or ()), _ids(unit_ids))
        for key, etag, hides, type_, shape, unit_ids in connection.execute(query)
    ]


def read_property(connection: Connection, name: str, key: str) -> NDArray[Any]:
    """Return the values that a note on a property holds; the note must be there."""
    return array_from_proto(dump_pb2.Array.FromString(_value(connection, name, Kind.PROPERTY, key)))


def read_annotation(connection: Connection, name: str, key: str) -> Any:
    """Return the value that a note on an annotation holds; the note must be there."""
    data = _value(connection, name, Kind.ANNOTATION, key)
    return value_from_proto(dump_pb2.Value.FromString(data))


def read_etags(connection: Connection, name: str) -> str:
    """Return the etags of all notes on a sorting as one text."""
    query = sa.select(NOTES.c.etag).where(NOTES.c.name == name).order_by(NOTES.c.etag)
    return " ".join(connection.execute(query).scalars())


def write_note(
    connection: Connection,
    name: str,
    kind: Kind,
    key: str,
    content: Content,
    *,
    base_etag: str = "",
    if_etag: str | None = None,
) -> str:
    """Write a note.

    Parameters
    ----------
    base_etag : str
        The etag of what the sorting's files have under the key; empty if nothing.
    if_etag : str, optional
        Write only if this is the present etag, "" meaning that there must be no
        such property or annotation.

    Returns
    -------
    str
        The new etag.

    Raises
    ------
    EtagMismatchError
        If the present etag is another.
    """
    _check_etag(connection, name, kind, key, base_etag, if_etag)
    return _put(connection, name, kind, key, content)


def delete_note(
    connection: Connection,
    name: str,
    kind: Kind,
    key: str,
    *,
    base_etag: str = "",
    if_etag: str | None = None,
) -> None:
    """Remove a property or annotation: the note on it, and from sight what the files have.

    Raises
    ------
    PropertyNotFoundError, AnnotationNotFoundError
        If there is none.
    EtagMismatchError
        If its etag is another than `if_etag`.
    """
    if not _etag(connection, name, kind, key, base_etag):
        error = PropertyNotFoundError if kind is Kind.PROPERTY else AnnotationNotFoundError
        raise with_metadata(error(f"{name!r} has no {kind.value} {key!r}"), name=name, key=key)
    _check_etag(connection, name, kind, key, base_etag, if_etag)
    if base_etag:
        _put(connection, name, kind, key, None)
    else:
        connection.execute(sa.delete(NOTES).where(*_key(name, kind, key)))


def staging_name(object_id: str) -> str:
    """Return a name to keep notes under until their sorting has one; no sorting can have it."""
    return f"//{object_id}"


def adopt_staged(connection: Connection, object_id: str, name: str) -> None:
    """Give staged notes to a sorting; notes that are equal keep their etags."""
    staged = staging_name(object_id)
    ours, theirs = NOTES.alias(), NOTES.alias()
    same_key = sa.and_(
        ours.c.name == staged,
        theirs.c.name == name,
        ours.c.kind == theirs.c.kind,
        ours.c.key == theirs.c.key,
    )
    both = sa.select(ours.c.kind, ours.c.key, ours.c.value == theirs.c.value).where(same_key)
    for kind, key, equal in connection.execute(both).all():
        loser = staged if equal else name
        connection.execute(sa.delete(NOTES).where(*_key(loser, Kind(kind), key)))
    last = _last_position(connection, name)
    connection.execute(
        sa.update(NOTES)
        .where(NOTES.c.name == staged)
        .values(name=name, position=NOTES.c.position + last)
    )


def drop_staged(connection: Connection, object_id: str | None = None) -> None:
    """Remove staged notes: of one object, or all of them."""
    if object_id is not None:
        connection.execute(sa.delete(NOTES).where(NOTES.c.name == staging_name(object_id)))
    else:
        connection.execute(sa.delete(NOTES).where(NOTES.c.name >= "//", NOTES.c.name < "/0"))


def _put(connection: Connection, name: str, kind: Kind, key: str, content: Content | None) -> str:
    etag = secrets.token_hex(8)
    values = Content(b"")._asdict() if content is None else content._asdict()
    if content is None:
        values["value"] = None
    changed = connection.execute(
        sa.update(NOTES).where(*_key(name, kind, key)).values(etag=etag, **values)
    )
    if not changed.rowcount:
        position = _last_position(connection, name) + 1
        row = {"name": name, "kind": kind.value, "key": key, "position": position, "etag": etag}
        connection.execute(sa.insert(NOTES).values(row | values))
    return etag


def _check_etag(
    connection: Connection, name: str, kind: Kind, key: str, base_etag: str, expected: str | None
) -> None:
    actual = _etag(connection, name, kind, key, base_etag)
    if expected is None or expected == actual:
        return
    known = f"the etag {expected!r}" if expected else "no such " + kind.value
    now = f"it has {actual!r}" if actual else "there is none"
    raise with_metadata(
        EtagMismatchError(
            f"the {kind.value} {key!r} of {name!r} was to be changed knowing {known}, but now "
            f"{now}: somebody else wrote it; read it again"
        ),
        key=key,
        expected=expected,
        actual=actual,
    )


def _etag(connection: Connection, name: str, kind: Kind, key: str, base_etag: str) -> str:
    """Return the present etag, empty if nothing is to be seen under the key."""
    query = (
        sa.select(NOTES.c.etag, NOTES.c.value.is_(None))
        .where(*_key(name, kind, key))
        .with_for_update()
    )
    row = connection.execute(query).one_or_none()
    if row is None:
        return base_etag
    etag, hides = row
    return "" if hides else str(etag)


def _value(connection: Connection, name: str, kind: Kind, key: str) -> bytes:
    query = sa.select(NOTES.c.value).where(*_key(name, kind, key))
    value: bytes = connection.execute(query).scalar_one()
    return value


def _key(name: str, kind: Kind, key: str) -> tuple[sa.ColumnElement[bool], ...]:
    return NOTES.c.name == name, NOTES.c.kind == kind.value, NOTES.c.key == key


def _last_position(connection: Connection, name: str) -> int:
    query = sa.select(sa.func.coalesce(sa.func.max(NOTES.c.position), 0))
    return int(connection.execute(query.where(NOTES.c.name == name)).scalar_one())


def _dtype(data: bytes | None) -> np.dtype[Any]:
    if data is None:
        return np.dtype(object)
    return dtype_from_proto(dump_pb2.ArrayType.FromString(data))


def _ids(data: bytes | None) -> tuple[Any, ...]:
    if data is None:
        return ()
    return tuple(unit_ids_from_proto(sorting_pb2.UnitIds.FromString(data)).tolist())
