"""Serves the console: a handful of files, read once, under a policy that lets nothing else run or load."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable

from aiohttp import web

_TYPES = {
    "html": "text/html",
    "js": "text/javascript",
    "css": "text/css",
    "svg": "image/svg+xml",
}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}


@dataclass(frozen=True, slots=True)
class Asset:
    """One file of the console. `tag` changes with its content."""

    content: bytes
    content_type: str
    tag: str


def load_assets() -> dict[str, Asset]:
    """Path below `/console/` → file. Small, so all of them stay in memory."""
    folder = resources.files("server.console") / "assets"
    return {path: _asset(file) for path, file in _walk(folder)}


def _walk(folder: Traversable, prefix: str = "") -> Iterator[tuple[str, Traversable]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _walk(entry, f"{prefix}{entry.name}/")
        elif entry.name.rpartition(".")[2] in _TYPES:
            yield prefix + entry.name, entry


def _asset(file: Traversable) -> Asset:
    content = file.read_bytes()
    tag = hashlib.sha256(content).hexdigest()[:16]
    return Asset(content, _TYPES[file.name.rpartition(".")[2]], tag)


def console_routes() -> list[web.RouteDef]:
    """`/` and `/console/…`. Open to everybody: the files hold nothing; what they show asks for a key."""
    assets = load_assets()

    async def page(request: web.Request) -> web.Response:
        return _respond(request, assets["index.html"])

    async def asset(request: web.Request) -> web.Response:
        found = assets.get(request.match_info["path"])
        if found is None:
            raise web.HTTPNotFound
        return _respond(request, found)

    return [web.get("/", page), web.get("/console/{path:.+}", asset)]


def _respond(request: web.Request, asset: Asset) -> web.Response:
    tag = f'"{asset.tag}"'
    headers = {**_HEADERS, "ETag": tag}
    if request.headers.get("If-None-Match") == tag:
        return web.Response(status=304, headers=headers)
    return web.Response(body=asset.content, content_type=asset.content_type, charset="utf-8", headers=headers)
