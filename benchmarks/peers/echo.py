"""A bare echo by the same kind of server as ours: what a call costs, whatever it does."""

from __future__ import annotations

import grpc

from benchmarks.peers.serving import arguments, ready

_METHOD = "/benchmarks.Echo/Echo"


class EchoClient:
    """Calls the echo, bytes to bytes."""

    def __init__(self, address: str) -> None:
        self._channel = grpc.insecure_channel(address)
        self.call = self._channel.unary_unary(_METHOD)
        """Sends bytes and returns them."""

    def close(self) -> None:
        self._channel.close()


class _Echo(grpc.GenericRpcHandler):
    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        return grpc.unary_unary_rpc_method_handler(_echo) if details.method == _METHOD else None


async def _echo(request: bytes, context: grpc.aio.ServicerContext) -> bytes:
    return request


async def _serve(host: str) -> None:
    server = grpc.aio.server()
    server.add_generic_rpc_handlers([_Echo()])
    port = server.add_insecure_port(f"{host}:0")
    await server.start()
    ready(host, port)
    await server.wait_for_termination()


def main() -> None:
    import uvloop

    uvloop.run(_serve(arguments().host))


if __name__ == "__main__":
    main()
