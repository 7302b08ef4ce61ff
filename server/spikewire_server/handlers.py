"""What happens around every call: a line in the log, errors as statuses."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Mapping,
)
from contextlib import aclosing
from functools import partial
from typing import Any, cast

import grpc
import structlog
from google.protobuf.message import DecodeError

from spikewire.core.errors import MalformedMessageError, SpikewireError
from spikewire.wire.errors import status_of
from spikewire_server.patience import Patience, ReaderStalledError
from spikewire_server.services.context import Context

log = structlog.get_logger(__name__)


def guarded(server: grpc.aio.Server, patience: Patience) -> grpc.aio.Server:
    """Return what servicers are added to in place of the server; it wraps their methods.

    Around every call: its exception becomes a status, and its end a line in the log,
    at the level debug if it went well, since a line costs as much as a small read. An
    interceptor could do the same, but is asked anew for every call: that made a small
    read a quarter slower. Streams end when `patience` with their clients does.
    """
    return cast(grpc.aio.Server, _Guard(server, patience))


class _Guard:
    """The part of a server that the generated code uses."""

    def __init__(self, server: grpc.aio.Server, patience: Patience) -> None:
        self._server = server
        self._patience = patience

    def add_generic_rpc_handlers(self, handlers: Iterable[Any]) -> None:
        """Do nothing: the generated code registers the same methods by name, too."""

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Any]) -> None:
        """Add methods of a service, by name; they replace those of the same name."""
        wrapped = {
            name: _wrap(handler, f"/{service}/{name}", self._patience)
            for name, handler in handlers.items()
        }
        self._server.add_registered_method_handlers(service, wrapped)


def _wrap(handler: Any, method: str, patience: Patience) -> Any:
    wrap = partial(_stream, patience) if handler.response_streaming else _unary
    kind = (
        f"{'stream' if handler.request_streaming else 'unary'}_"
        f"{'stream' if handler.response_streaming else 'unary'}"
    )
    return getattr(grpc, f"{kind}_rpc_method_handler")(
        wrap(getattr(handler, kind), _reader(handler), method),
        response_serializer=handler.response_serializer,
    )


def _reader(handler: Any) -> Callable[[Any], Any]:
    """Return what makes a handler's request, or stream of requests, of bytes.

    That is done inside the call, so that what is no message fails as all else
    does.
    """
    parse = handler.request_deserializer or bytes  # a handler may want the bytes themselves
    if parse is bytes:
        return lambda data: data

    def parsed(data: bytes) -> Any:
        try:
            return parse(data)
        except DecodeError as error:
            raise MalformedMessageError(
                "the request is damaged, or nests too deep, and cannot be parsed"
            ) from error

    async def each(requests: AsyncIterator[bytes]) -> AsyncIterator[Any]:
        async for data in requests:
            yield parsed(data)

    return each if handler.request_streaming else parsed


def _unary(
    behaviour: Callable[..., Awaitable[Any]], read: Callable[[Any], Any], method: str
) -> Callable[..., Any]:
    async def call(request: Any, context: Context) -> Any:
        started = time.monotonic()
        try:
            response = await behaviour(read(request), context)
        except BaseException as error:
            await _end(error, method, started, context)
        log.debug("call", method=method, code="OK", seconds=_since(started))
        return response

    return call


def _stream(
    patience: Patience,
    behaviour: Callable[..., AsyncGenerator[Any, None]],
    read: Callable[[Any], Any],
    method: str,
) -> Callable[..., Awaitable[None]]:
    async def call(request: Any, context: Context) -> None:
        started = time.monotonic()
        try:
            async with aclosing(behaviour(read(request), context)) as responses:
                async for response in responses:
                    await patience.write(context, response)
        except ReaderStalledError as error:
            log.info("call", method=method, code="STALLED", seconds=_since(started))
            # A client takes it for a broken connection, and asks for the rest when it goes on.
            await context.abort(grpc.StatusCode.UNAVAILABLE, str(error))
        except BaseException as error:
            await _end(error, method, started, context)
        log.debug("call", method=method, code="OK", seconds=_since(started))

    return call


async def _end(error: BaseException, method: str, started: float, context: Context) -> None:
    """Log why a call failed and end it with the status that says so."""
    if isinstance(error, asyncio.CancelledError):
        log.info("call", method=method, code="CANCELLED", seconds=_since(started))
        raise error
    # The second is what an abort raises when the client was gone before it.
    if not isinstance(error, Exception) or isinstance(
        error, grpc.aio.AbortError | grpc.aio.InternalError
    ):
        raise error
    request_id = uuid.uuid4().hex[:12]
    status = status_of(error, request_id)
    if isinstance(error, SpikewireError):
        log.info(
            "call", method=method, code=status.code.name, error=str(error), seconds=_since(started)
        )
    else:
        log.exception("call failed", method=method, request_id=request_id, exc_info=error)
    await context.abort(status.code, status.details, trailing_metadata=status.trailing_metadata)


def _since(started: float) -> float:
    return round(time.monotonic() - started, 6)
