"""Errors in OpenAI's form: `{"error": {"message", "type", "param", "code"}}`, made from problem documents."""

from collections.abc import Mapping
from typing import Any

import msgspec
from aiohttp import web

from frag.errors import BadRequestError, FragError, NotFoundError
from server.problems import Handler

PATHS = ("/v1/models", "/v1/chat/", "/v1/responses")
_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
_CODES = {"not_authenticated": "invalid_api_key", "rate_limited": "rate_limit_exceeded"}
"""Where OpenAI's clients know a code of their own; all others keep frag's."""
_WORTH_REPEATING = frozenset({"rate_limited", "no_nodes", "not_ready"})
"""OpenAI's clients repeat 429 and 5xx by themselves; what nodes were already asked for must not be paid for twice."""


class UnsupportedError(BadRequestError):
    """A parameter that would change the answer and that a federation cannot follow."""

    code = "unsupported_parameter"

    def __init__(self, param: str, what: str, mend: str) -> None:
        super().__init__(what, mend, param=param)


class UnknownModelError(NotFoundError):
    code = "model_not_found"

    def __init__(self, model: str) -> None:
        super().__init__(f"The model {model[:80]!r} does not exist here.", "See `GET /v1/models`.", param="model")


def error_of(problem: Mapping[str, Any]) -> dict[str, Any]:
    """The body for a problem document."""
    status, code = int(problem["status"]), str(problem["code"])
    message = f"{problem['detail']} {problem['mend']}".strip()
    kind = _TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
    return {"error": {"message": message, "type": kind, "param": problem.get("param"), "code": _CODES.get(code, code)}}


def error_in_stream(error: FragError) -> dict[str, Any]:
    """The same for an error that comes when events are under way."""
    return error_of(
        {"status": error.http_status, "code": error.code, "detail": error.what, "mend": error.mend} | error.details
    )


@web.middleware
async def openai_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Stands outside of `problems`, so that every error of these routes, whoever raised it, has OpenAI's form."""
    response = await handler(request)
    ours = request.path.startswith(PATHS) and isinstance(response, web.Response)
    if not ours or response.content_type != "application/problem+json":
        return response
    body = response.body if isinstance(response, web.Response) else b""
    problem = msgspec.json.decode(body if isinstance(body, bytes) else b"", type=dict[str, Any])
    headers = {name: response.headers[name] for name in ("Retry-After", "Allow") if name in response.headers}
    headers["x-should-retry"] = "true" if problem["code"] in _WORTH_REPEATING else "false"
    if response.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return web.Response(
        status=400 if response.status == 422 else response.status,
        body=msgspec.json.encode(error_of(problem)),
        content_type="application/json",
        headers=headers,
    )
