"""Errors as RFC 9457 problem documents: the one place where an exception becomes an HTTP response."""

from collections.abc import Awaitable, Callable

import msgspec
import structlog
from aiohttp import web

from frag.errors import FragError

_log = structlog.get_logger()
_MENDS = {
    404: "Check the path: `/openapi.json` of a coordinator lists those that exist.",
    413: "Send a smaller body.",
}
_MAX_SHOWN = 120
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def problem(status: int, code: str, what: str, mend: str = "", **details: object) -> web.Response:
    """A problem document; `code` is stable, `detail` says what is wrong and `mend` what to do."""
    body = {"type": f"urn:frag:problem:{code}", "title": code, "status": status, "code": code}
    body |= {"detail": what, "mend": mend, **details}
    headers = {"Retry-After": str(details["retry_after_s"])} if "retry_after_s" in details else {}
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return web.Response(
        status=status,
        body=msgspec.json.encode(body),
        content_type="application/problem+json",
        headers=headers,
    )


def _wrong_method(request: web.Request, code: str, allowed: str) -> web.Response:
    what = f"{request.path[:_MAX_SHOWN]} does not take {request.method[:_MAX_SHOWN]}."
    answer = problem(405, code, what, f"Use {allowed.replace(',', ' or ')}.")
    answer.headers["Allow"] = allowed
    return answer


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Renders what handlers raise. An unforeseen error is logged by type only, since its text may quote a question."""
    try:
        return await handler(request)
    except FragError as error:
        return problem(error.http_status, error.code, error.what, error.mend, **error.details)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        code = error.reason.lower().replace(" ", "_")
        if isinstance(error, web.HTTPMethodNotAllowed):
            return _wrong_method(request, code, error.headers["Allow"])
        what = error.text or error.reason
        if error.status == 404 and request.match_info.http_exception is error:
            what = f"There is no {request.path[:_MAX_SHOWN]} here."
        return problem(error.status, code, what, _MENDS.get(error.status, ""))
    except Exception as error:  # noqa: BLE001 - the outermost edge: a stranger gets a problem document, never a trace
        place = error.__traceback__
        while place and place.tb_next:
            place = place.tb_next
        where = f"{place.tb_frame.f_code.co_filename}:{place.tb_lineno}" if place else ""
        _log.error("internal_error", error=type(error).__name__, where=where, path=request.path)
        return problem(500, "internal", "The coordinator failed on this request.", "See its log; report this.")
