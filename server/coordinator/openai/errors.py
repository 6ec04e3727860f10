"""Errors in OpenAI's form: `{"error": {"message", "type", "param", "code"}}`, made from problem documents."""

from collections.abc import Mapping
from typing import Any

import msgspec
from aiohttp import web

from frag.errors import BadRequestError, FragError, NotFoundError
from server.problems import Handler

PATHS = ("/v1/models", "/v1/chat/", "/v1/responses")
_NOT_SERVED = frozenset(
    {
        "assistants", "audio", "batches", "chatkit", "completions", "containers", "conversations", "edits",
        "embeddings", "engines", "evals", "files", "fine_tuning", "images", "moderations", "organization",
        "realtime", "rerank", "skills", "threads", "uploads", "vector_stores", "videos",
    }
)  # fmt: skip
"""What OpenAI's clients, or those of servers like it, call beside that, as `/v1/NAME` or below."""
_MISPLACED = ("/chat/", "/responses", "/models", "/completions", "/embeddings", "/v1/v1/")
"""Where a client knocks whose base URL ends too early, or too late."""
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


class NobodyForModelError(NotFoundError):
    """The federation allows it, and nobody who is connected could answer."""

    code = "model_not_found"

    def __init__(self, model: str) -> None:
        mend = "See `GET /v1/models`, or try again when more nodes are connected."
        super().__init__(f"No connected node answers as {model[:80]!r} now.", mend, param="model")


class UnknownUrlError(NotFoundError):
    """A request that OpenAI would take."""

    code = "unknown_url"

    def __init__(self, method: str, path: str) -> None:
        mend = "A federation answers questions and stores nothing: use POST /v1/chat/completions or POST /v1/responses."
        if path.startswith(_MISPLACED):
            mend = "Let the client's base URL end in /v1, as in http://127.0.0.1:8470/v1."
        super().__init__(f"Unknown request URL: {method} {path[:120]}.", mend)


def error_of(problem: Mapping[str, Any]) -> dict[str, Any]:
    """The body for a problem document."""
    status, code = int(problem["status"]), str(problem["code"])
    message = f"{problem['detail']} {problem['mend']}".strip()
    kind = _TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
    return {"error": {"message": message, "type": kind, "param": problem.get("param"), "code": _CODES.get(code, code)}}


def error_in_stream(error: FragError) -> dict[str, Any]:
    """The same for an error that comes when events are under way."""
    return error_of(_problem_of(error))


def _problem_of(error: FragError) -> dict[str, Any]:
    return {"status": error.http_status, "code": error.code, "detail": error.what, "mend": error.mend} | error.details


@web.middleware
async def openai_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Stands outside of `problems`, so that every error of these routes, whoever raised it, has OpenAI's form."""
    response = await handler(request)
    if not isinstance(response, web.Response) or not _is_ours(request.path):
        return response
    if response.content_type != "application/problem+json" or not isinstance(response.body, bytes):
        return response
    problem = msgspec.json.decode(response.body, type=dict[str, Any])
    if request.match_info.http_exception is not None and response.status == 404:
        problem = _problem_of(UnknownUrlError(request.method, request.path))
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


def _is_ours(path: str) -> bool:
    name = path.removeprefix("/v1/").partition("/")[0]
    return path.startswith((*PATHS, *_MISPLACED)) or (path.startswith("/v1/") and name in _NOT_SERVED)
