"""HTTP handlers of the API's own description. They need no key: nothing in them is secret."""

from dataclasses import dataclass

import msgspec
from aiohttp import web

from server.coordinator.openapi.document import make_document
from server.coordinator.openapi.page import CSP, STYLE, render

openapi_routes = web.RouteTableDef()


@dataclass(frozen=True, slots=True)
class Description:
    """Made once, when all routes are known."""

    document: bytes
    page: str


DESCRIPTION = web.AppKey("DESCRIPTION", Description)
_SAFE = {"Content-Security-Policy": CSP, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}


async def describe(app: web.Application) -> None:
    """For `app.on_startup`."""
    document = make_document(app)
    app[DESCRIPTION] = Description(msgspec.json.encode(document), render(document))


@openapi_routes.get("/openapi.json")
async def openapi(request: web.Request) -> web.Response:
    """This API as an OpenAPI 3.1 document."""
    return web.Response(body=request.app[DESCRIPTION].document, content_type="application/json", headers=_SAFE)


@openapi_routes.get("/docs")
async def docs(request: web.Request) -> web.Response:
    """The same as a page for people."""
    return web.Response(text=request.app[DESCRIPTION].page, content_type="text/html", headers=_SAFE)


@openapi_routes.get("/docs/style.css")
async def style(_request: web.Request) -> web.Response:
    """How that page looks."""
    return web.Response(text=STYLE, content_type="text/css", headers=_SAFE)
