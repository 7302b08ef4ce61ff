"""Puts the server together, starts it, and takes it down without a loss."""

from __future__ import annotations

import asyncio
import errno
import gc
import logging
import signal
import sys
import warnings
from contextlib import ExitStack
from typing import Any

import grpc
import structlog
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from spikewire.v1 import (
    acquisition_service_pb2,
    server_service_pb2,
    server_service_pb2_grpc,
    sorting_service_pb2,
    sorting_service_pb2_grpc,
    spike_train_service_pb2,
)
from spikewire_server.acquisition import Acquisitions, Lifecycle
from spikewire_server.handlers import guarded
from spikewire_server.library import Library
from spikewire_server.patience import Patience
from spikewire_server.services import acquisition_service, spike_train_service
from spikewire_server.services.acquisition_service import AcquisitionServicer
from spikewire_server.services.server_service import ServerServicer
from spikewire_server.services.sorting_service import SortingServicer
from spikewire_server.services.spike_train_service import SpikeTrainServicer
from spikewire_server.settings import Settings
from spikewire_server.workers import Workers

log = structlog.get_logger(__name__)

SERVICES = tuple(
    file.DESCRIPTOR.services_by_name[name].full_name
    for file, name in (
        (server_service_pb2, "ServerService"),
        (sorting_service_pb2, "SortingService"),
        (spike_train_service_pb2, "SpikeTrainService"),
        (acquisition_service_pb2, "AcquisitionService"),
    )
)
DRAIN_SECONDS = 10.0
"""How long calls that run at SIGTERM may take to finish."""


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises
    ------
    OSError
        The address cannot be listened on.
    SpikewireError
        A setting cannot be, or somebody else holds the store.
    """
    _configure_log(settings.log_level)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_serve(settings))


async def _serve(settings: Settings) -> None:
    stop = asyncio.Event()
    _on_signal(stop)
    library = Library(settings)
    workers = Workers(settings.workers)
    acquisitions = Acquisitions(settings, library, workers)
    lifecycle = Lifecycle(acquisitions)
    server = grpc.aio.server(options=_channel_options(settings))
    guard = guarded(server, Patience(settings.stall_seconds))
    health_service = _add_services(server, guard, settings, library, workers)
    acquisition_service.add_to_server(
        AcquisitionServicer(acquisitions, lifecycle, workers, settings.max_followers),
        guard,
    )
    # Bound before the library starts: a port in use must not touch the store.
    port = _bind(server, settings)
    with ExitStack() as closing:
        library.start(acquisitions)
        closing.callback(library.close)
        closing.callback(workers.close)
        lifecycle.start()
        closing.callback(lifecycle.close)
        await server.start()
        _collect_garbage_rarely()
        await _set_health(health_service, health_pb2.HealthCheckResponse.SERVING)
        print(f"spikewire-server listening on {_authority(settings.host, port)}", flush=True)
        log.info("listening", host=settings.host, port=port, insecure=settings.insecure)
        await stop.wait()
        log.info("draining")
        await _set_health(health_service, health_pb2.HealthCheckResponse.NOT_SERVING)
        acquisitions.stop()
        await server.stop(DRAIN_SECONDS)
    log.info("stopped")


def _add_services(
    server: grpc.aio.Server,
    guard: grpc.aio.Server,
    settings: Settings,
    library: Library,
    workers: Workers,
) -> health.aio.HealthServicer:
    server_service_pb2_grpc.add_ServerServiceServicer_to_server(ServerServicer(settings), guard)
    sorting_service_pb2_grpc.add_SortingServiceServicer_to_server(
        SortingServicer(library, workers, settings), guard
    )
    spike_train_service.add_to_server(SpikeTrainServicer(library, workers), guard)
    health_service = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(health_service, server)
    reflection.enable_server_reflection(
        (*SERVICES, health.SERVICE_NAME, reflection.SERVICE_NAME), server
    )
    return health_service


def _channel_options(settings: Settings) -> list[tuple[str, Any]]:
    return [
        # A second server on the port must fail, not share it silently.
        ("grpc.so_reuseport", 0),
        ("grpc.max_receive_message_length", settings.max_message_bytes),
        # A peer that vanished without closing is found within these times; the
        # last of the three is the one that counts once a ping is under way.
        ("grpc.keepalive_time_ms", 20_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.http2.ping_timeout_ms", 10_000),
        # Clients keep idle streams alive with pings; do not take it for abuse.
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ]


def _bind(server: grpc.aio.Server, settings: Settings) -> int:
    address = _authority(settings.host, settings.port)
    try:
        port = server.add_insecure_port(address)
    except RuntimeError as error:
        raise OSError(
            errno.EADDRINUSE,
            f"cannot listen on {address}: is another server using the port? "
            "Choose another one with --port, or 0 for any free one",
        ) from error
    return port


def _authority(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


async def _set_health(
    service: health.aio.HealthServicer,
    status: int,
) -> None:
    for name in ("", *SERVICES):
        await service.set(name, status)


def _on_signal(stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            loop.add_signal_handler(number, stop.set)
        except NotImplementedError:  # Windows
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop.set))


def _loop_factory() -> Any:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def _collect_garbage_rarely() -> None:
    """Let Python look for cycles of objects that nobody uses once in a while only.

    It looks through all that was made lately after every 700 objects more, and a few
    messages make as many: with 1,000 followers that took 60 % of the server's time.
    Nothing in the way of a message leaves cycles.
    """
    gc.collect()
    gc.freeze()  # what there is now stays
    gc.set_threshold(50_000, 20, 100)


def _configure_log(level: str) -> None:
    """Write one line an event to standard error: JSON, or text for a terminal."""
    terminal = sys.stderr.isatty()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *([] if terminal else [structlog.processors.format_exc_info]),
            structlog.dev.ConsoleRenderer() if terminal else structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping()[level.upper()]
        ),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    warnings.showwarning = _log_warning


def _log_warning(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
    """Take a warning of Python, which would go to standard error as lines of its own."""
    log.warning("warning", category=category.__name__, text=str(message))
