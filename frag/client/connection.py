"""JSON and server-sent events over one HTTP session, with a key that never shows."""

import ssl
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self

import aiohttp
import msgspec

from frag.errors import CoordinatorError, ProtocolError, UnreachableError

MAX_RESPONSE_BYTES = 64 << 20
_MAX_EVENT_BYTES = 8 << 20
_REQUEST_S = 120.0
RawEvent = tuple[str, dict[str, Any]]


class Connection:
    """One session to one coordinator; open while somebody is inside `async with`, or until `close`.

    Args:
        url: Scheme, host and port; `/v1` behind them, as OpenAI's clients have it, is taken too.
        key: API key, sent as a bearer token; none if empty.
        tls: How its certificate is checked; None for plain HTTP.
    """

    def __init__(self, url: str, key: str, tls: ssl.SSLContext | None) -> None:
        self._url = url.rstrip("/").removesuffix("/v1")
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._tls = tls
        self._session: aiohttp.ClientSession | None = None

    def __repr__(self) -> str:
        return f"Connection({self._url})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends the session; a later request opens a new one."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def get(self, path: str) -> dict[str, Any]:
        """The JSON body of a GET. Raises CoordinatorError, UnreachableError or ProtocolError."""
        return await self._request("GET", path, None)

    async def post(self, path: str, body: object = None) -> dict[str, Any]:
        """The JSON body of a POST, empty where there is none. Raises as `get`."""
        return await self._request("POST", path, body)

    async def events(self, path: str, body: object) -> AsyncGenerator[RawEvent, None]:
        """Named events of a POST, as they come. Raises as `get`."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10)
        async with self._answered("POST", path, body, timeout, {"Accept": "text/event-stream"}) as answer:
            if answer.content_type != "text/event-stream":
                raise ProtocolError(f"{self._url} sends no events.", "Check the address.")
            async for event in _parsed(answer.content):
                yield event

    async def _request(self, method: str, path: str, body: object) -> dict[str, Any]:
        timeout = aiohttp.ClientTimeout(total=_REQUEST_S, sock_connect=10)
        async with self._answered(method, path, body, timeout, {}) as answer:
            return _object(await _bounded(answer))

    @asynccontextmanager
    async def _answered(
        self, method: str, path: str, body: object, limits: aiohttp.ClientTimeout, headers: dict[str, str]
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        content = None if body is None else msgspec.json.encode(body)
        if content is not None:
            headers = {**headers, "Content-Type": "application/json"}
        if self._session is None:
            self._session = aiohttp.ClientSession(headers=self._headers)
        try:
            async with self._session.request(
                method, self._url + path, data=content, headers=headers, timeout=limits, ssl=self._tls or True,
                allow_redirects=False,
            ) as answer:  # fmt: skip
                if answer.status >= 400:
                    said = {"status": answer.status, "detail": f"{self._url} answers {answer.status} to {path}."}
                    raise CoordinatorError({**said, "mend": "Check the address.", **_object(await _bounded(answer))})
                yield answer
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise UnreachableError(
                f"No coordinator answers at {self._url}: {error or type(error).__name__}.",
                "Check that it runs and the address (--url or FRAG_URL).",
            ) from error


async def _bounded(answer: aiohttp.ClientResponse) -> bytes:
    content = bytearray()
    async for piece in answer.content.iter_any():
        content += piece
        if len(content) > MAX_RESPONSE_BYTES:
            raise ProtocolError(f"The answer is over {MAX_RESPONSE_BYTES} bytes.", "Check the address.")
    return bytes(content)


def _object(content: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(content, type=dict[str, Any]) if content else {}
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ProtocolError("The answer is not that of a coordinator.", "Check the address.") from error


async def _parsed(stream: aiohttp.StreamReader) -> AsyncIterator[RawEvent]:
    name = ""
    pending = bytearray()
    async for piece in stream.iter_any():
        pending += piece
        while (end := pending.find(b"\n")) >= 0:
            line = bytes(pending[:end])
            del pending[: end + 1]
            if line.startswith(b"event: "):
                name = line[7:].decode()
            elif line.startswith(b"data: "):
                yield name, _object(line[6:])
        if len(pending) > _MAX_EVENT_BYTES:
            raise ProtocolError("An event is too long.", "Check the address.")
