"""Who may speak to the node's own API: whoever holds the token, from a page of its own or from no page at all.

A page of somebody else's could reach an address on this machine through the operator's browser. It is told apart by
the `Host` that it asks for (DNS rebinding), by `Origin` and `Sec-Fetch-Site`, and it cannot know the token, which no
browser sends by itself.
"""

import hmac
import ipaddress
import secrets
from collections.abc import Collection
from pathlib import Path
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Middleware

from frag.durable import write_private
from frag.errors import AuthenticationError, ForbiddenError
from server.problems import Handler

OPEN_PATHS = frozenset({"/", "/app.js", "/app.css"})
"""The page itself holds nothing of the node."""
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def local_token(file: Path) -> str:
    """The token in `file`, made at first use; only the owner can read it. Blocking."""
    if not file.exists():
        write_private(file, secrets.token_urlsafe(32).encode())
    file.chmod(0o600)
    return file.read_text().strip()


def guard(token: str, names: Collection[str]) -> Middleware:
    """Middleware that refuses everybody else. `names`: host names that the node may be called by."""

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        _check_host(request, names)
        _check_origin(request)
        if request.path not in OPEN_PATHS:
            _check_token(request, token)
        return await handler(request)

    return check


async def add_headers(_request: web.Request, response: web.StreamResponse) -> None:
    """Signal handler: every response carries them, problems too."""
    response.headers.update(HEADERS)


def _check_host(request: web.Request, names: Collection[str]) -> None:
    """An address cannot be rebound; a name can be made to lead anywhere."""
    host = _host_name(request.headers.get("Host", ""))
    if host == "localhost" or host in names or _is_address(host):
        return
    raise ForbiddenError("The request is for another host.", "Use the address that `frag node status` names.")


def _host_name(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _check_origin(request: web.Request) -> None:
    origin = request.headers.get("Origin")
    site = request.headers.get("Sec-Fetch-Site", "none")
    if origin is not None and origin != f"{request.scheme}://{request.headers.get('Host', '')}":
        raise ForbiddenError("The request comes from another page.", "Use the node's own page.")
    if site not in ("none", "same-origin") and request.path not in OPEN_PATHS:
        raise ForbiddenError("The request comes from another page.", "Use the node's own page.")


def _check_token(request: web.Request, token: str) -> None:
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not hmac.compare_digest(given.strip().encode(), token.encode()):
        raise AuthenticationError(
            "The request carries no token of this node.",
            "Send the header `Authorization: Bearer …` with what is in local.token, or use `frag node open`.",
        )
