"""Large things beside the connection: weights and versions are fetched, updates are brought, by HTTP and ticket."""

import asyncio
import hashlib
import ssl
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from frag.durable import write_private
from frag.errors import ProtocolError

_MAX_BYTES = 4 << 30
_CHUNK_BYTES = 1 << 18


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """Where weights are fetched and updates brought: the coordinator's own address and certificate."""

    url: str
    tls: ssl.SSLContext | None

    async def fetch(self, ticket: str, sha256: str, target: Path) -> None:
        """Raises ProtocolError when the coordinator has not these bytes."""
        content = bytearray()
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{self.url}/v1/training/{ticket}", ssl=self.tls or True) as answer,
        ):
            if answer.status != 200:
                raise ProtocolError(f"Weights could not be fetched (HTTP {answer.status}).")
            async for chunk in answer.content.iter_chunked(_CHUNK_BYTES):
                content += chunk
                if len(content) > _MAX_BYTES:
                    raise ProtocolError("The weights are larger than this node takes.")
        if hashlib.sha256(content).hexdigest() != sha256:
            raise ProtocolError("The weights are not those that were announced.")
        await asyncio.to_thread(write_private, target, bytes(content))

    async def bring(self, ticket: str, content: bytes) -> None:
        """Raises ProtocolError when the coordinator does not take the update."""
        async with (
            aiohttp.ClientSession() as session,
            session.put(f"{self.url}/v1/training/{ticket}", data=content, ssl=self.tls or True) as answer,
        ):
            if answer.status != 204:
                raise ProtocolError(f"The update was not taken (HTTP {answer.status}).")
