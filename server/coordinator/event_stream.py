"""Server-sent events: whatever a task produces goes to the listener as it comes; when the listener leaves, it stops."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import msgspec
from aiohttp import web

KEEP_ALIVE_S = 15.0
"""Silence after which a comment is sent, since proxies close connections that seem dead."""
_COMMENT = b": waiting\n\n"

Send = Callable[[bytes], None]


def event(payload: object, name: str = "") -> bytes:
    """One event as it goes over the wire; without a name where only data is expected."""
    head = f"event: {name}\n".encode() if name else b""
    return b"%sdata: %s\n\n" % (head, msgspec.json.encode(payload))


async def stream(request: web.Request, produce: Callable[[Send], Awaitable[None]]) -> web.StreamResponse:
    """Answers with the events that `produce` sends, until it returns. It must not raise what a listener should know."""
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
    await response.prepare(request)
    waiting: asyncio.Queue[bytes | None] = asyncio.Queue()

    async def run() -> None:
        try:
            await produce(waiting.put_nowait)
        finally:
            waiting.put_nowait(None)

    has_ended = False
    try:
        async with asyncio.TaskGroup() as tasks:
            work = tasks.create_task(run())
            try:
                while (piece := await _next(waiting)) is not None:
                    await response.write(piece)
            except ConnectionError:
                work.cancel()
        has_ended = True
    finally:
        if not has_ended and request.transport is not None:
            request.transport.abort()  # a stream that broke off must not look like one that ended
    with contextlib.suppress(ConnectionError):
        await response.write_eof()
    return response


async def _next(waiting: asyncio.Queue[bytes | None]) -> bytes | None:
    try:
        return await asyncio.wait_for(waiting.get(), KEEP_ALIVE_S)
    except TimeoutError:
        return _COMMENT
