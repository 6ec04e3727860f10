"""Runs the application until a signal ends it."""

import asyncio
import contextlib
import gc
import signal

import structlog
from aiohttp import web

from frag.errors import SettingsError
from frag.telemetry import configure_logging
from server.coordinator.app import make_app
from server.coordinator.folder import CoordinatorFolder, server_tls

_log = structlog.get_logger()


def serve(folder: CoordinatorFolder) -> None:
    """Blocks until SIGINT or SIGTERM. Raises SettingsError when the address cannot be bound."""
    configure_logging(folder.settings().telemetry)
    asyncio.run(_serve(folder))


async def _serve(folder: CoordinatorFolder) -> None:
    settings = folder.settings()
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    runner = web.AppRunner(make_app(folder), access_log=None, handler_cancellation=True, shutdown_timeout=5)
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(runner.cleanup)
        await runner.setup()
        site = web.TCPSite(runner, settings.host, settings.port, ssl_context=server_tls(settings))
        try:
            await site.start()
        except OSError as error:
            raise SettingsError(
                f"{settings.host}:{settings.port} cannot be bound: {error.strerror}.",
                "Stop the process that holds it, or change host and port in coordinator.toml.",
            ) from error
        gc.collect()
        gc.freeze()  # what is loaded now stays: a full collection over it would stall questions for tens of ms
        _log.info("coordinator_ready", address=site.name)
        await ended.wait()
        _log.info("coordinator_stopping")
