"""Tickets: the right of one node to fetch one content and to bring one, for one request. In memory only.

Weights travel by HTTP beside the connection, so that no training payload ever delays a question.
"""

import asyncio
import secrets
from dataclasses import dataclass, field

from aiohttp import web

from frag.errors import NotFoundError, PayloadTooLargeError

_CHUNK_BYTES = 1 << 18


@dataclass(slots=True, eq=False)
class Ticket:
    """What can be fetched, how much may be brought, and what was brought."""

    content: bytes = field(repr=False)
    max_bytes: int
    brought: bytes | None = field(default=None, repr=False)
    bytes_out: int = 0
    code: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)


class Exchange:
    """The tickets in force."""

    def __init__(self) -> None:
        self._tickets: dict[str, Ticket] = {}

    def issue(self, content: bytes, max_bytes: int = 0) -> Ticket:
        """A ticket for `content`; 0 means that nothing may be brought."""
        ticket = Ticket(content=content, max_bytes=max_bytes)
        self._tickets[ticket.code] = ticket
        return ticket

    def withdraw(self, ticket: Ticket) -> None:
        """From now on the ticket is unknown."""
        self._tickets.pop(ticket.code, None)

    def find(self, code: str) -> Ticket:
        """Raises NotFoundError for an unknown ticket; it does not say whether there was one."""
        ticket = self._tickets.get(code)
        if ticket is None:
            raise NotFoundError("There is no such training exchange.", "It ends with its round.")
        return ticket


async def fetch(request: web.Request, exchange: Exchange) -> web.StreamResponse:
    """Sends the content of a ticket in chunks."""
    ticket = exchange.find(request.match_info["ticket"])
    response = web.StreamResponse(headers={"Content-Type": "application/octet-stream", "Cache-Control": "no-store"})
    response.content_length = len(ticket.content)
    await response.prepare(request)
    for start in range(0, len(ticket.content), _CHUNK_BYTES):
        chunk = ticket.content[start : start + _CHUNK_BYTES]
        await response.write(chunk)
        ticket.bytes_out += len(chunk)
    await response.write_eof()
    return response


async def bring(request: web.Request, exchange: Exchange) -> web.Response:
    """Takes the update of a ticket. Raises PayloadTooLargeError when it is larger than what was asked for."""
    ticket = exchange.find(request.match_info["ticket"])
    content = bytearray()
    async for chunk in request.content.iter_chunked(_CHUNK_BYTES):
        content += chunk
        if len(content) > ticket.max_bytes:
            raise PayloadTooLargeError(f"The update is over {ticket.max_bytes} bytes.")
        await asyncio.sleep(0)
    ticket.brought = bytes(content)
    return web.Response(status=204)
