"""HTTP handlers: decode, authorise, call a service, encode. No logic lives here."""

import asyncio

import msgspec
from aiohttp import web
from sqlalchemy.exc import SQLAlchemyError

import frag
from frag.errors import FragError
from server.coordinator.bodies import json_body, json_response
from server.coordinator.enrollment import EnrollRequest, IdentityRequest
from server.coordinator.event_stream import Send, event, stream
from server.coordinator.feedback import FeedbackRequest
from server.coordinator.query import QueryRequest
from server.coordinator.sessions import serve_node
from server.coordinator.state import STATE
from server.sealed.relay import MAX_SEALED_BODY_BYTES
from server.telemetry.metrics import CONTENT_TYPE
from server.wire.messages import Ready

routes = web.RouteTableDef()


@routes.get("/healthz")
async def healthz(_request: web.Request) -> web.Response:
    """The process lives."""
    return json_response({"status": "ok", "version": frag.__version__})


@routes.get("/readyz")
async def readyz(request: web.Request) -> web.Response:
    """The database answers and somebody is connected who can be asked."""
    state = request.app[STATE]
    try:
        await asyncio.wait_for(state.database.check(), timeout=5)
        database = "ok"
    except (SQLAlchemyError, TimeoutError):
        database = "failed"
    connected = state.registry.num_connected()
    ready = database == "ok" and connected > 0
    body = {"status": "ready" if ready else "not_ready", "database": database, "nodes_connected": connected}
    return json_response(body, status=200 if ready else 503)


@routes.get("/metrics")
async def metrics(request: web.Request) -> web.Response:
    """What this process measures, for Prometheus; to whom is a setting."""
    state = request.app[STATE]
    allowed = state.settings.telemetry.metrics
    if allowed == "off":
        raise web.HTTPNotFound
    if allowed == "key":
        await state.gate.admit(request.headers.get("Authorization"), "metrics")
    return web.Response(body=state.watch.exposition(), headers={"Content-Type": CONTENT_TYPE})


@routes.post("/v1/query")
async def query(request: web.Request) -> web.StreamResponse:
    """Answers one question; as server-sent events when the client accepts only those."""
    state = request.app[STATE]
    await state.gate.admit(request.headers.get("Authorization"), "query")
    asked = await json_body(request, QueryRequest)
    if "text/event-stream" in request.headers.get("Accept", ""):
        return await _stream(request, asked)
    answered = await state.query.answer(asked)
    state.log_query(asked, answered)
    return json_response(answered)


@routes.post("/v1/query/{query}/feedback")
async def feedback(request: web.Request) -> web.Response:
    """Takes a rating, and what would have been right, to the nodes that an answer rests on."""
    state = request.app[STATE]
    caller = await state.gate.admit(request.headers.get("Authorization"), "query")
    asked = await json_body(request.clone(client_max_size=MAX_SEALED_BODY_BYTES), FeedbackRequest)
    return json_response(await state.feedback.give(request.match_info["query"], asked, caller.label))


async def _stream(request: web.Request, asked: QueryRequest) -> web.StreamResponse:
    state = request.app[STATE]

    async def produce(send: Send) -> None:
        send(event({}, "accepted"))
        try:
            answered = await state.query.answer(asked, lambda name, payload: send(event(payload, name)))
            state.log_query(asked, answered)
            send(event(answered, "done"))
        except FragError as error:
            body = {"status": error.http_status, "code": error.code, "detail": error.what, "mend": error.mend}
            send(event(body | error.details, "error"))

    return await stream(request, produce)


@routes.get("/v1/nodes")
async def nodes(request: web.Request) -> web.Response:
    """Enrolled nodes, connected or not, with what they say they can do."""
    state = request.app[STATE]
    await state.gate.admit(request.headers.get("Authorization"), "query", "train")
    return json_response({"nodes": [_node_view(state.registry.link(n), n) for n in state.registry.known()]})


def _node_view(link: object, node_id: str) -> dict[str, object]:
    ready: Ready | None = getattr(link, "ready", None)
    return {
        "node": node_id,
        "connected": ready is not None,
        "version": ready.version if ready else None,
        "answer_modes": ready.answer_modes if ready else (),
        "embedder": ready.embedder_fingerprint if ready else None,
        "num_documents": ready.num_documents if ready else None,
        "datasets": ready.datasets if ready else (),
        "prompt_version": ready.prompt_version if ready else None,
        "has_profile": ready is not None and ready.profile is not None,
        "sealing_key": ready.sealing_key if ready else None,
        "personal_gain": ready.personal_gain if ready else None,
        "withholds": ready.withholds if ready else "",
    }


@routes.get("/v1/connect")
async def connect(request: web.Request) -> web.StreamResponse:
    """The WebSocket of a node: handshake, then questions and replies until it ends."""
    return await serve_node(request, request.app[STATE])


@routes.post("/v1/identity")
async def identity(request: web.Request) -> web.Response:
    """Proves the coordinator's key to a node that is about to show its token."""
    asked = await json_body(request, IdentityRequest)
    return json_response(request.app[STATE].enrollment.prove_identity(asked))


@routes.post("/v1/enroll")
async def enroll(request: web.Request) -> web.Response:
    """Puts a node on the list in exchange for its one-time token."""
    asked = await json_body(request, EnrollRequest)
    await request.app[STATE].enrollment.enroll(asked)
    return json_response({"node": asked.node_id}, status=201)


@routes.post("/v1/admin/tokens")
async def make_token(request: web.Request) -> web.Response:
    """Makes an enrollment token for the node named in the body."""
    state = request.app[STATE]
    await state.gate.admit(request.headers.get("Authorization"), "admin")
    asked = await json_body(request, TokenRequest)
    return json_response(await state.enrollment.make_token(asked.node, asked.url, asked.operator), status=201)


@routes.delete("/v1/admin/nodes/{node}")
async def revoke_node(request: web.Request) -> web.Response:
    """Revokes a node and closes its connection at once."""
    state = request.app[STATE]
    await state.gate.admit(request.headers.get("Authorization"), "admin")
    await state.enrollment.revoke(request.match_info["node"])
    return web.Response(status=204)


class TokenRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of `POST /v1/admin/tokens`. `url` is where the node will reach the coordinator, `operator` who runs it."""

    node: str
    url: str
    operator: str = ""
