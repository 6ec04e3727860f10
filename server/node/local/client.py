"""Speaks to the running node from the command line."""

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import psutil

from frag.errors import FragError, NotFoundError, UnreachableError
from server.node.state import NodeFolder

_LIMIT_S = 120.0


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """Where the running node's own API is."""

    url: str
    pid: int
    began_at: float = 0.0
    """When the process did, Unix seconds: ids are given again."""

    @classmethod
    def of_this_process(cls, url: str) -> "Address":
        process = psutil.Process()
        return cls(url=url, pid=process.pid, began_at=process.create_time())

    def is_alive(self) -> bool:
        """Whether the process that wrote it still runs."""
        try:
            began_at: float = psutil.Process(self.pid).create_time()
        except psutil.Error:
            return False
        return abs(began_at - self.began_at) < 1.0


class RefusedError(FragError):
    """What the node said, in its own words."""


def address_of(folder: NodeFolder) -> Address | None:
    """The address of the running node's API; None where the node does not run or has none."""
    try:
        address = msgspec.json.decode(folder.local_address.read_bytes(), type=Address)
    except (OSError, msgspec.DecodeError):
        return None
    return address if address.is_alive() else None


def call(folder: NodeFolder, method: str, path: str, body: object = None) -> dict[str, Any]:
    """One request to the running node.

    Raises:
        UnreachableError: The node does not run, or has no local API.
        FragError: The node refuses; code and texts are its own.
    """
    address = address_of(folder)
    if address is None:
        raise UnreachableError(
            "The node does not run here, or its local API is switched off.", "Start it: `frag node run`."
        )
    return asyncio.run(_call(address.url, _token(folder.local_token), method, path, body))


def _token(file: Path) -> str:
    try:
        return file.read_text().strip()
    except OSError as error:
        raise NotFoundError(f"{file} cannot be read.", "Run this as the user that the node runs as.") from error


async def _call(url: str, token: str, method: str, path: str, body: object) -> dict[str, Any]:
    import aiohttp

    timeout = aiohttp.ClientTimeout(total=_LIMIT_S)
    headers = {"Authorization": f"Bearer {token}"}
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, headers=headers) as session,
            # the token proves who asks; whose certificate it is, the address file says, which only the node writes
            session.request(method, f"{url}{path}", json=body, ssl=False) as answer,
        ):
            said: dict[str, Any] = await answer.json(content_type=None)
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        raise UnreachableError("The node's local API does not answer.", "See the node's log.") from error
    if answer.status >= 400:
        refused = RefusedError(str(said.get("detail", "")), str(said.get("mend", "")))
        refused.code = str(said.get("code", "internal"))
        refused.exit_code = _exit_codes(FragError).get(refused.code, 1)
        raise refused
    return said


def _exit_codes(kind: type[FragError]) -> dict[str, int]:
    """By code, of a kind of error and all below it."""
    found = {kind.code: kind.exit_code}
    for below in kind.__subclasses__():
        found = _exit_codes(below) | found
    return found
