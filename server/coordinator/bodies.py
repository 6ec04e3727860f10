"""Bodies of requests and responses: JSON, bounded, checked."""

from typing import TypeVar

import msgspec
from aiohttp import web

from frag.errors import BadRequestError, PayloadTooLargeError

_B = TypeVar("_B")
MAX_BODY_BYTES = 256 * 1024


def json_response(body: object, status: int = 200) -> web.Response:
    """JSON with a status."""
    return web.Response(status=status, body=msgspec.json.encode(body), content_type="application/json")


async def json_body(request: web.Request, kind: type[_B]) -> _B:
    """The JSON body as `kind`. Raises BadRequestError naming the place, or PayloadTooLargeError."""
    try:
        return msgspec.json.decode(await request.read(), type=kind)
    except web.HTTPRequestEntityTooLarge as error:
        raise PayloadTooLargeError(f"The body is over {MAX_BODY_BYTES} bytes.", "Send a shorter question.") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadRequestError(
            f"The body does not fit: {error}.", "Mend the place that it names; README.md lists the fields."
        ) from error
