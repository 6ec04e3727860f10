"""The operator's requests about feedback: what waits, and what becomes of it."""

import asyncio
from typing import Annotated

import msgspec
from aiohttp import web

from frag.errors import BadRequestError, NotFoundError
from server.coordinator.bodies import json_body, json_response
from server.node.feedback.desk import FeedbackDesk
from server.node.local.routes import STATE

feedback_routes = web.RouteTableDef()
_MAX_LISTED = 1000


class Decide(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /feedback/accept` and `/feedback/reject`: numbers, or all of one key by its pseudonym."""

    ids: Annotated[list[int], msgspec.Meta(max_length=10_000)] = []
    key: Annotated[str, msgspec.Meta(pattern=r"^([0-9a-f]{32})?$")] = ""

    def __post_init__(self) -> None:
        if bool(self.ids) == bool(self.key):
            raise ValueError("give either ids or a key")


def _desk(request: web.Request) -> FeedbackDesk:
    desk = request.app[STATE].feedback
    if desk is None:
        raise NotFoundError(
            "This node takes no feedback.", "It needs a language model, [policy] training and [feedback] keep_days."
        )
    return desk


@feedback_routes.get("/feedback")
async def listed(request: web.Request) -> web.Response:
    """Feedback, newest first, with its text while it waits; and how answers of each prompt version were rated."""
    desk = _desk(request)
    limit = request.query.get("limit", "100")
    if not (limit.isascii() and limit.isdigit() and 1 <= int(limit[:9]) <= _MAX_LISTED):
        raise BadRequestError(f"`limit` is not a number from 1 to {_MAX_LISTED}.", "Mend it.")
    ratings = await asyncio.to_thread(desk.quarantine.ratings)
    return json_response({"feedback": await desk.listed(int(limit)), "ratings": ratings})


@feedback_routes.post("/feedback/accept")
async def accept(request: web.Request) -> web.Response:
    """Makes examples of corrections."""
    asked = await json_body(request, Decide)
    return json_response(await _desk(request).accept(asked.ids, asked.key))


@feedback_routes.post("/feedback/reject")
async def reject(request: web.Request) -> web.Response:
    """Rejects corrections; accepted ones leave the data set."""
    asked = await json_body(request, Decide)
    return json_response(await _desk(request).reject(asked.ids, asked.key))
