"""SortingService: finding, describing, making and removing sortings."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from numpy.typing import NDArray

from spikewire.core.errors import InvalidValueError, UploadIncompleteError
from spikewire.v1 import sorting_service_pb2 as pb
from spikewire.v1 import sorting_service_pb2_grpc as rpc
from spikewire.wire.dumps import dump_from_proto, dump_to_proto
from spikewire.wire.properties import PropertyAssembler, property_to_slices
from spikewire.wire.values import value_from_proto, value_to_proto
from spikewire_server.library import Library
from spikewire_server.services.context import Context
from spikewire_server.services.descriptions import entry_to_proto
from spikewire_server.services.pages import name_before, page_size, page_token
from spikewire_server.services.uploads import receive_upload
from spikewire_server.settings import Settings
from spikewire_server.workers import Workers


class SortingServicer(rpc.SortingServiceServicer):
    """Parses requests, asks the library, and packs its answers."""

    def __init__(self, library: Library, workers: Workers, settings: Settings) -> None:
        self._library = library
        self._workers = workers
        self._settings = settings

    async def ListSortings(  # noqa: N802
        self, request: pb.ListSortingsRequest, context: Context
    ) -> pb.ListSortingsResponse:
        """List a page of sortings."""
        limit = page_size(request.page_size)
        after = name_before(request.page_token)
        entries, scanned = await self._workers.run(
            self._library.list, request.prefix, request.filter, after, limit + 1
        )
        page = entries[:limit]
        response = pb.ListSortingsResponse(
            sortings=map(entry_to_proto, page),
            next_page_token=page_token(page[-1].name) if len(entries) > limit else "",
        )
        if scanned is not None:
            response.scan_time.FromDatetime(scanned)
        return response

    async def GetSorting(  # noqa: N802
        self, request: pb.GetSortingRequest, context: Context
    ) -> pb.GetSortingResponse:
        """Describe one sorting as it is now."""
        entry = await self._workers.run(self._library.describe, request.name)
        return pb.GetSortingResponse(sorting=entry_to_proto(entry))

    async def GetProperty(  # noqa: N802
        self, request: pb.GetPropertyRequest, context: Context
    ) -> AsyncIterator[pb.GetPropertyResponse]:
        """Stream the values of one property."""
        values, etag = await self._workers.run(
            self._library.get_property, request.name, request.key, request.revision
        )
        for piece in property_to_slices(request.key, values):
            yield pb.GetPropertyResponse(slice=piece, etag=etag)
            etag = ""

    async def SetProperty(  # noqa: N802
        self,
        request_iterator: AsyncIterator[pb.SetPropertyRequest],
        context: Context,
    ) -> pb.SetPropertyResponse:
        """Set one property of all units."""
        header: pb.SetPropertyRequest | None = None
        complete: tuple[str, NDArray[Any]] | None = None
        assembler = PropertyAssembler(self._settings.max_property_bytes)
        async for request in request_iterator:
            if complete is not None:
                raise InvalidValueError("field slice: the property was complete before")
            header = header or request
            complete = assembler.feed(request.slice)
        if header is None or complete is None:
            raise UploadIncompleteError("the stream ended before all of the property had come")
        key, values = complete
        etag = await self._workers.run(
            self._library.set_property,
            header.name,
            key,
            values,
            header.if_etag if header.HasField("if_etag") else None,
            header.revision,
        )
        return pb.SetPropertyResponse(etag=etag)

    async def DeleteProperty(  # noqa: N802
        self, request: pb.DeletePropertyRequest, context: Context
    ) -> pb.DeletePropertyResponse:
        """Remove one property."""
        if_etag = request.if_etag if request.HasField("if_etag") else None
        await self._workers.run(self._library.delete_property, request.name, request.key, if_etag)
        return pb.DeletePropertyResponse()

    async def GetAnnotations(  # noqa: N802
        self, request: pb.GetAnnotationsRequest, context: Context
    ) -> pb.GetAnnotationsResponse:
        """Return all annotations."""
        annotations = await self._workers.run(self._library.get_annotations, request.name)
        return pb.GetAnnotationsResponse(
            annotations=[
                pb.Annotation(key=key, value=value_to_proto(value), etag=etag)
                for key, value, etag in annotations
            ]
        )

    async def SetAnnotation(  # noqa: N802
        self, request: pb.SetAnnotationRequest, context: Context
    ) -> pb.SetAnnotationResponse:
        """Set one annotation."""
        etag = await self._workers.run(
            self._library.set_annotation,
            request.name,
            request.key,
            value_from_proto(request.value),
            request.if_etag if request.HasField("if_etag") else None,
        )
        return pb.SetAnnotationResponse(etag=etag)

    async def DeleteAnnotation(  # noqa: N802
        self, request: pb.DeleteAnnotationRequest, context: Context
    ) -> pb.DeleteAnnotationResponse:
        """Remove one annotation."""
        if_etag = request.if_etag if request.HasField("if_etag") else None
        await self._workers.run(self._library.delete_annotation, request.name, request.key, if_etag)
        return pb.DeleteAnnotationResponse()

    async def RegisterSorting(  # noqa: N802
        self, request: pb.RegisterSortingRequest, context: Context
    ) -> pb.RegisterSortingResponse:
        """Make a view from a dump dict."""
        entry = await self._workers.run(
            self._library.register,
            request.name,
            dump_from_proto(request.dump),
            request.if_revision,
        )
        return pb.RegisterSortingResponse(sorting=entry_to_proto(entry))

    async def DumpSorting(  # noqa: N802
        self, request: pb.DumpSortingRequest, context: Context
    ) -> pb.DumpSortingResponse:
        """Return the dump dict of a sorting."""
        dump = await self._workers.run(self._library.dump, request.name)
        return pb.DumpSortingResponse(dump=dump_to_proto(dump))

    async def UploadSorting(  # noqa: N802
        self,
        request_iterator: AsyncIterator[pb.UploadSortingRequest],
        context: Context,
    ) -> pb.UploadSortingResponse:
        """Take a sorting into the store."""
        entry = await receive_upload(request_iterator, self._library, self._workers, self._settings)
        return pb.UploadSortingResponse(sorting=entry_to_proto(entry))

    async def SaveSorting(  # noqa: N802
        self, request: pb.SaveSortingRequest, context: Context
    ) -> pb.SaveSortingResponse:
        """Copy a sorting into the store."""
        entry = await self._workers.run_stoppable(
            lambda stop: self._library.save(
                request.source_name,
                request.source_revision,
                request.name,
                request.if_revision,
                stop,
            )
        )
        return pb.SaveSortingResponse(sorting=entry_to_proto(entry))

    async def DeleteSorting(  # noqa: N802
        self, request: pb.DeleteSortingRequest, context: Context
    ) -> pb.DeleteSortingResponse:
        """Remove a sorting."""
        await self._workers.run(self._library.delete, request.name, request.if_revision)
        return pb.DeleteSortingResponse()
