"""The one place where rpcs are called from an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from contextlib import aclosing, asynccontextmanager
from typing import Any, TypeVar

import grpc
import grpc.aio
from google.protobuf.message import Message

from spikewire.core.errors import DeadlineExceededError, ServerUnavailableError
from spikewire.remote.channel import OPTIONS, STALL_SECONDS
from spikewire.remote.methods import QUERY, Rpc
from spikewire.remote.resources import Resources
from spikewire.remote.sessions import SessionPool
from spikewire.remote.steps import Ask, Call, Operation, Pause, Receive, Send, Step, Wait
from spikewire.remote.target import Target
from spikewire.v1.spike_train_service_pb2 import QueryRequest, QueryResponse
from spikewire.wire.errors import error_from_rpc

ResponseT = TypeVar("ResponseT")
ResultT = TypeVar("ResultT")

LONG_MESSAGE = 1 << 16
"""To decode more bytes in the event loop would hold up everything else."""


class Connection:
    """The channel to one server, and what runs operations over it in an event loop.

    Parameters
    ----------
    target : Target
        The server's address.
    resources : Resources, optional
        What the reads over it share.
    stall_seconds : float
        How long a stream may be without a message.
    """

    def __init__(
        self,
        target: Target,
        resources: Resources | None = None,
        stall_seconds: float = STALL_SECONDS,
    ) -> None:
        self.target = target
        self.resources = resources or Resources.of(target)
        self._stall_seconds = stall_seconds
        self._channel = grpc.aio.insecure_channel(str(target), options=OPTIONS)
        self._sessions: SessionPool[Any] = SessionPool(lambda session: session.cancel())
        self._stubs: dict[Rpc[Any, Any], Any] = {}
        self._closed = False

    async def close(self) -> None:
        """Close the channel; calls that run are cancelled, later ones fail."""
        self._closed = True
        await self._channel.close()

    async def run(self, operation: Operation[ResultT]) -> ResultT:
        """Do what an operation asks for, step by step, and return its result.

        Raises
        ------
        SpikewireError
            A call failed; the class is that of the local mistake.
        """
        answer: Any = None
        failure: BaseException | None = None
        try:
            while True:
                step = operation.send(answer) if failure is None else operation.throw(failure)
                try:
                    answer, failure = await self._perform(step), None
                except BaseException as error:
                    answer, failure = None, error
        except StopIteration as end:
            result: ResultT = end.value
            return result
        finally:
            failure = None  # its traceback refers to this frame

    async def _perform(self, step: Step) -> Any:
        match step:
            case Call(rpc, request, timeout):
                async with self._errors(rpc):
                    return await self._stub(rpc, "unary_unary")(request, timeout=timeout)
            case Receive(rpc, request, take):
                await self._take_all(rpc, request, take)
            case Ask(request):
                return await self._ask(request)
            case Wait(future, timeout):
                async with asyncio.timeout(timeout):
                    # Shielded: whoever else waits for it must not be cancelled with this task.
                    return await asyncio.shield(asyncio.wrap_future(future))
            case Send(rpc, requests):
                return await self._send(rpc, requests)
            case Pause(seconds):
                await asyncio.sleep(seconds)
                self._check()
        return None

    async def receive(
        self, rpc: Rpc[Any, ResponseT], request: Message
    ) -> AsyncGenerator[ResponseT, None]:
        """Stream the answers to one request, without retry.

        Raises
        ------
        SpikewireError
            The call failed, or the server was silent for too long.
        """
        call = self._stub(rpc, "unary_stream")(request)
        try:
            while True:
                async with self._errors(rpc):
                    message = await self._in_time(call.read())
                if message is grpc.aio.EOF:
                    return
                yield message
        finally:
            call.cancel()

    async def _take_all(
        self, rpc: Rpc[Any, Any], request: Message, take: Callable[[Any], bool]
    ) -> None:
        async with aclosing(self.receive(rpc, request)) as messages:
            async for message in messages:
                if isinstance(message, bytes) and len(message) > LONG_MESSAGE:
                    wants_more = await asyncio.to_thread(take, message)
                else:
                    wants_more = take(message)
                if not wants_more:
                    break

    async def _send(self, rpc: Rpc[Any, Any], requests: Iterable[Message]) -> Any:
        pieces = iter(requests)
        async with self._errors(rpc):
            call = self._stub(rpc, "stream_unary")()
            try:
                # To make the next request may mean to read a file.
                while piece := await asyncio.to_thread(next, pieces, None):
                    await self._write(call, piece)
                await self._in_time(call.done_writing())
            except asyncio.InvalidStateError:
                pass  # the server has answered early: what, is said below
            except BaseException:
                call.cancel()
                raise
            return await self._in_time(call)

    async def _ask(self, request: QueryRequest) -> QueryResponse:
        async with self._errors(QUERY):
            session = self._sessions.take(request) or self._stub(QUERY, "stream_stream")()
            try:
                await self._write(session, request)
                answer = await self._in_time(session.read())
            except asyncio.InvalidStateError as error:
                raise ServerUnavailableError("the server ended the session") from error
            except BaseException:
                session.cancel()
                raise
        if answer is grpc.aio.EOF:
            raise ServerUnavailableError("the server ended the session")
        self._sessions.give(request, session)
        response: QueryResponse = answer
        return response

    async def _write(self, call: Any, request: Message) -> None:
        try:
            await self._in_time(call.write(request))
        except grpc.aio.AioRpcError as error:
            # A write that crosses the server's answer fails with an INTERNAL of gRPC's own,
            # which takes the answer's place; servers send theirs with metadata.
            if error.code() is grpc.StatusCode.INTERNAL and not error.trailing_metadata():
                raise ServerUnavailableError("the server ended the call meanwhile") from error
            raise

    def _stub(self, rpc: Rpc[Any, Any], kind: str) -> Any:
        self._check()
        stub = self._stubs.get(rpc)
        if stub is None:
            stub = self._stubs[rpc] = getattr(self._channel, kind)(rpc.path, **rpc.codec)
        return stub

    def _check(self) -> None:
        if self._closed:
            raise ServerUnavailableError(f"the connection to {self.target} was closed")

    async def _in_time(self, peer: Any) -> Any:
        """Wait for something that the peer does."""
        async with asyncio.timeout(self._stall_seconds):
            return await peer

    @asynccontextmanager
    async def _errors(self, rpc: Rpc[Any, Any]) -> AsyncIterator[None]:
        try:
            yield
        except grpc.RpcError as error:
            raise error_from_rpc(error, str(self.target), rpc.method) from error
        except TimeoutError as error:
            if isinstance(error, DeadlineExceededError):
                raise
            raise DeadlineExceededError(
                f"{rpc.method}: the server at {self.target} was silent for "
                f"{self._stall_seconds:g} s"
            ) from error
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if not self._closed or (task is not None and task.cancelling()):
                raise
            # Nobody cancelled the task, but close() the call.
            raise ServerUnavailableError(f"the connection to {self.target} was closed") from None
