"""Properties and annotations of one sorting on a server, as operations."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from spikewire.core.dtypes import AnyArray
from spikewire.core.errors import MalformedMessageError
from spikewire.remote.calls import call, receive_all, send
from spikewire.remote.methods import (
    DELETE_ANNOTATION,
    DELETE_PROPERTY,
    GET_ANNOTATIONS,
    GET_PROPERTY,
    SET_ANNOTATION,
    SET_PROPERTY,
)
from spikewire.remote.steps import Operation
from spikewire.v1 import sorting_service_pb2 as pb
from spikewire.wire.properties import PropertyAssembler, property_to_slices
from spikewire.wire.values import value_from_proto, value_to_proto


class Tagged(NamedTuple):
    """A value and the etag of the write that it came from."""

    value: Any
    etag: str


class RemoteMetadata:
    """Reads and writes what is noted about a sorting.

    Writes name the etag of what they replace, "" for a key that shall be new, and
    fail with `EtagMismatchError` if somebody else was there before.

    Parameters
    ----------
    name, revision : str
        The sorting, and the content whose units are meant.
    unit_count : int
        How many units it has.
    """

    def __init__(self, name: str, revision: str, unit_count: int) -> None:
        self._name = name
        self._revision = revision
        self._unit_count = unit_count

    def get_property(self, key: str) -> Operation[Tagged]:
        """Return the values of a property, an ndarray with one entry a unit."""
        request = pb.GetPropertyRequest(name=self._name, key=key, revision=self._revision)
        assembler = PropertyAssembler()
        etag = ""
        values: AnyArray | None = None
        for message in (yield from receive_all(GET_PROPERTY, request)):
            etag = etag or message.etag
            complete = assembler.feed(message.slice)
            if complete is not None:
                _, values = complete
        if values is None or len(values) != self._unit_count:
            raise MalformedMessageError(
                f"the server sent property {key!r} not whole, or not of {self._unit_count} units"
            )
        return Tagged(values, etag)

    def set_property(self, key: str, values: AnyArray, if_etag: str) -> Operation[Tagged]:
        """Set a property of all units."""
        slices = list(property_to_slices(key, values))  # what cannot be sent fails here

        def requests() -> Iterator[pb.SetPropertyRequest]:
            header = pb.SetPropertyRequest(
                name=self._name, revision=self._revision, if_etag=if_etag, slice=slices[0]
            )
            yield header
            for piece in slices[1:]:
                yield pb.SetPropertyRequest(slice=piece)

        return Tagged(values, (yield from send(SET_PROPERTY, requests)).etag)

    def delete_property(self, key: str, if_etag: str) -> Operation[None]:
        """Remove a property."""
        request = pb.DeletePropertyRequest(name=self._name, key=key, if_etag=if_etag)
        yield from call(DELETE_PROPERTY, request)

    def get_annotations(self) -> Operation[dict[str, Tagged]]:
        """Return all annotations."""
        request = pb.GetAnnotationsRequest(name=self._name)
        response = yield from call(GET_ANNOTATIONS, request)
        return {
            annotation.key: Tagged(value_from_proto(annotation.value), annotation.etag)
            for annotation in response.annotations
        }

    def set_annotation(self, key: str, value: Any, if_etag: str) -> Operation[Tagged]:
        """Set an annotation."""
        request = pb.SetAnnotationRequest(
            name=self._name, key=key, value=value_to_proto(value), if_etag=if_etag
        )
        return Tagged(value, (yield from call(SET_ANNOTATION, request)).etag)

    def delete_annotation(self, key: str, if_etag: str) -> Operation[None]:
        """Remove an annotation."""
        request = pb.DeleteAnnotationRequest(name=self._name, key=key, if_etag=if_etag)
        yield from call(DELETE_ANNOTATION, request)
