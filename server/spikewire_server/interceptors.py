"""What happens around every call: an id, a line in the log, errors as statuses."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

import grpc
import structlog
from google.protobuf.message import DecodeError

from spikewire.core.errors import MalformedMessageError, SpikewireError
from spikewire.wire.errors import status_of
from spikewire_server.services.context import Context

log = structlog.get_logger(__name__)


class CallInterceptor(grpc.aio.ServerInterceptor):
    """Logs the end of each spikewire call and turns its exception into a status.

    The exception is caught where the handler is *iterated*: wrapping only the
    call would miss what a streaming handler raises.
    """

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        details: grpc.HandlerCallDetails,
    ) -> Any:
        """Return the handler of a call, wrapped if it is one of ours."""
        handler = await continuation(details)
        if handler is None or not details.method.startswith("/spikewire."):
            return handler
        wrap = _stream if handler.response_streaming else _unary
        kind = (
            f"{'stream' if handler.request_streaming else 'unary'}_"
            f"{'stream' if handler.response_streaming else 'unary'}"
        )
        return getattr(grpc, f"{kind}_rpc_method_handler")(
            wrap(getattr(handler, kind), _reader(handler), details.method),
            response_serializer=handler.response_serializer,
        )


def _reader(handler: Any) -> Callable[[Any], Any]:
    """Return what makes a handler's request, or stream of requests, of bytes.

    That is done inside the call, so that what is no message fails as all else
    does.
    """
    parse = handler.request_deserializer or bytes  # a handler may want the bytes themselves

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
        log.info("call", method=method, code="OK", seconds=_since(started))
        return response

    return call


def _stream(
    behaviour: Callable[..., AsyncGenerator[Any, None]], read: Callable[[Any], Any], method: str
) -> Callable[..., AsyncIterator[Any]]:
    async def call(request: Any, context: Context) -> AsyncIterator[Any]:
        started = time.monotonic()
        try:
            async with aclosing(behaviour(read(request), context)) as responses:
                async for response in responses:
                    yield response
        except GeneratorExit:
            log.info("call", method=method, code="CANCELLED", seconds=_since(started))
            raise
        except BaseException as error:
            await _end(error, method, started, context)
        log.info("call", method=method, code="OK", seconds=_since(started))

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
