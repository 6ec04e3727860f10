"""Every request has an id: in each log line that it causes, and in the header of its response."""

import re
import secrets
from collections.abc import Awaitable, Callable

import structlog
from aiohttp import web

from server.telemetry.observation import asked_within

_HEADER = "X-Request-Id"
_VALID = re.compile(r"[A-Za-z0-9_-]{1,64}")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def request_ids(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Keeps the caller's id where it has the form of one."""
    given = request.headers.get(_HEADER, "")
    request_id = given if _VALID.fullmatch(given) else secrets.token_hex(8)
    structlog.contextvars.clear_contextvars()  # a connection's next request runs in the same context
    structlog.contextvars.bind_contextvars(request_id=request_id)
    with asked_within(request.headers.get("traceparent", "")):
        response = await handler(request)
    if not response.prepared:
        response.headers[_HEADER] = request_id
    return response
