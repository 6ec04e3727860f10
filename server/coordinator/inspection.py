"""Routes that only read: who one is here, what nodes did, what went live when, and the audit log."""

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec
from aiohttp import web

import frag
from frag.errors import BadRequestError
from server.coordinator.auth import SCOPES, Caller
from server.coordinator.bodies import json_response
from server.coordinator.database import chain_hash
from server.coordinator.state import STATE
from server.coordinator.tables import AuditRow

inspection_routes = web.RouteTableDef()
_MAX_PAGE = 500


async def _admit(request: web.Request, *scopes: str) -> Caller:
    return await request.app[STATE].gate.admit(request.headers.get("Authorization"), *scopes)


@inspection_routes.get("/v1/whoami")
async def whoami(request: web.Request) -> web.Response:
    """The label and scopes of the key, and what this federation lets it choose."""
    state = request.app[STATE]
    caller = await _admit(request, *SCOPES)
    return json_response(
        {
            "label": caller.label,
            "scopes": sorted(caller.scopes),
            "version": frag.__version__,
            "answer_modes": state.settings.answer_modes,
            "default_aggregation": state.settings.default_aggregation,
            "default_deadline_s": state.settings.default_deadline_s,
        }
    )


@inspection_routes.get("/v1/activity")
async def activity(request: web.Request) -> web.Response:
    """Replies by node since the coordinator began, in counts, with the ε and δ that each node stated last."""
    await _admit(request, "admin")
    seen = request.app[STATE].activity
    return json_response({"since": seen.since.isoformat(), "nodes": seen.nodes()})


@inspection_routes.get("/v1/promotions")
async def promotions(request: web.Request) -> web.Response:
    """What went live, oldest first; the last is live. An empty version is the model as it is."""
    await _admit(request, "query", "train")
    rows = await request.app[STATE].versions.promoted()
    return json_response({"promotions": [{"version": row.version, "at": row.at.isoformat()} for row in rows]})


@inspection_routes.get("/v1/admin/audit")
async def audit(request: web.Request) -> web.Response:
    """A page of the audit log, newest first, with whether its chain of hashes holds.

    `limit` entries (1 to 500), those before entry `before` if that is given.
    """
    await _admit(request, "admin")
    limit, before = _number(request, "limit", 100), _number(request, "before", 0)
    if not 1 <= limit <= _MAX_PAGE:
        raise BadRequestError(f"limit is {limit}.", f"Ask for 1 to {_MAX_PAGE} entries.")
    rows = await request.app[STATE].database.audit_entries()
    broken = await asyncio.to_thread(first_break, rows)
    wanted = [row for row in reversed(rows) if not before or row.entry_id < before]
    return json_response(
        {
            "entries": [_view(row) for row in wanted[:limit]],
            "num_entries": len(rows),
            "more": len(wanted) > limit,
            "intact": broken is None,
            "broken_at": broken,
        }
    )


def first_break(rows: Sequence[AuditRow]) -> int | None:
    """The first entry whose hash does not follow from it and the one before; None when the chain holds."""
    previous = bytes(32)
    for row in rows:
        if chain_hash(previous, row.at, row.action, row.subject) != row.entry_hash:
            return row.entry_id
        previous = row.entry_hash
    return None


def _view(row: AuditRow) -> dict[str, Any]:
    shown = {"id": row.entry_id, "at": row.at, "action": row.action, "subject": row.subject}
    return {**shown, "hash": row.entry_hash.hex()}


def _number(request: web.Request, name: str, default: int) -> int:
    try:
        return msgspec.convert(request.query.get(name, default), int, strict=False)
    except msgspec.ValidationError as error:
        raise BadRequestError(f"{name} is not a whole number.", "Give digits.") from error
