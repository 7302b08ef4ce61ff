"""ServerService: what this server is."""

from __future__ import annotations

from spikewire import __version__
from spikewire.v1 import server_service_pb2 as pb
from spikewire.v1 import server_service_pb2_grpc as rpc
from spikewire.v1 import spike_train_pb2
from spikewire.wire.dumps import MAX_DUMP_DEPTH
from spikewire_server.library.names import MAX_NAME_BYTES
from spikewire_server.services.context import Context
from spikewire_server.settings import Settings


class ServerServicer(rpc.ServerServiceServicer):
    """Answers from the settings alone."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def GetServerInfo(  # noqa: N802
        self, request: pb.GetServerInfoRequest, context: Context
    ) -> pb.GetServerInfoResponse:
        """Return the version, the features and the limits."""
        settings = self._settings
        return pb.GetServerInfoResponse(
            version=__version__,
            codecs=[spike_train_pb2.SPIKE_CODEC_ZSTD],
            limits=pb.ServerLimits(
                message_bytes=settings.max_message_bytes,
                name_bytes=MAX_NAME_BYTES,
                unit_count=settings.max_unit_count,
                property_bytes=settings.max_property_bytes,
                upload_bytes=settings.max_upload_bytes,
                dump_depth=MAX_DUMP_DEPTH,
            ),
        )
