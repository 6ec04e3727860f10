"""`/metrics` of a node: a loopback port that its operator opened."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from frag.errors import SettingsError
from frag.listening import LOOPBACK_HOSTS
from server.telemetry.metrics import CONTENT_TYPE
from server.telemetry.node import NodeWatch

_HOST = "127.0.0.1"
_REFRESH_S = 5.0


@asynccontextmanager
async def open_endpoint(watch: NodeWatch, port: int, refresh: Callable[[], None]) -> AsyncIterator[None]:
    """Serves while the context lasts; does nothing for port 0.

    Args:
        watch: What is served.
        port: On the loopback address.
        refresh: Brings gauges up to date before a scrape, at most every _REFRESH_S seconds. May read the disk.

    Raises:
        SettingsError: The port cannot be bound.
    """
    if not port:
        yield
        return
    runner = web.AppRunner(_app(watch, refresh), access_log=None)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, _HOST, port).start()
        except OSError as error:
            raise SettingsError(
                f"{_HOST}:{port} cannot be bound for metrics: {error.strerror}.",
                "Change telemetry.metrics_port in node.toml.",
            ) from error
        yield
    finally:
        await runner.cleanup()


def _app(watch: NodeWatch, refresh: Callable[[], None]) -> web.Application:
    refreshed_s = -_REFRESH_S

    async def metrics(request: web.Request) -> web.Response:
        nonlocal refreshed_s
        # a name that somebody pointed at this machine would let web pages read along
        if (request.url.host or "") not in LOOPBACK_HOSTS:
            raise web.HTTPForbidden
        if time.monotonic() - refreshed_s > _REFRESH_S:
            refreshed_s = time.monotonic()
            await asyncio.to_thread(refresh)
        return web.Response(body=watch.exposition(), headers={"Content-Type": CONTENT_TYPE})

    app = web.Application()
    app.router.add_get("/metrics", metrics)
    return app
