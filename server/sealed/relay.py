"""The coordinator's side: opaque envelopes out, opaque envelopes back. It sees who is asked, when, and how much."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import msgspec
import structlog
from aiohttp import web

from server.coordinator.bodies import json_body, json_response
from server.coordinator.links import NodeFailedError, Registry, WebSocketLink
from server.coordinator.state import STATE
from server.wire.messages import Deadline, NodeId, SealedAsk, SealedAskBytes, SealedId

MAX_SEALED_BODY_BYTES = 4 << 20
MAX_ENVELOPES = 1000
_log = structlog.get_logger()
sealed_routes = web.RouteTableDef()


class SealedRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /v1/sealed`: one envelope a node; bytes are base64 in JSON."""

    sealed_id: SealedId
    envelopes: Annotated[dict[NodeId, SealedAskBytes], msgspec.Meta(min_length=1, max_length=MAX_ENVELOPES)]
    deadline_s: Deadline | None = None


class SealedResponse(msgspec.Struct, frozen=True, kw_only=True):
    """Sealed replies by node, and a code for each node without one."""

    replies: dict[str, bytes]
    failed: dict[str, str]


@dataclass(frozen=True, slots=True)
class SealedRelay:
    """Passes envelopes on; opens nothing."""

    registry: Registry
    default_deadline_s: float

    async def relay(self, request: SealedRequest) -> SealedResponse:
        """Waits for all nodes, but never beyond the deadline; a node that is not there costs its own reply."""
        deadline_s = request.deadline_s or self.default_deadline_s
        outcomes = await asyncio.gather(
            *(self._one(node, request.sealed_id, sealed, deadline_s) for node, sealed in request.envelopes.items())
        )
        by_node: Mapping[str, bytes | str] = dict(zip(request.envelopes, outcomes, strict=True))
        return SealedResponse(
            replies={node: outcome for node, outcome in by_node.items() if isinstance(outcome, bytes)},
            failed={node: outcome for node, outcome in by_node.items() if isinstance(outcome, str)},
        )

    async def _one(self, node_id: str, sealed_id: bytes, envelope: bytes, deadline_s: float) -> bytes | str:
        link = self.registry.link(node_id)
        if link is None:
            return "not_connected"
        if not isinstance(link, WebSocketLink):
            return "not_offered"
        try:
            async with asyncio.timeout(deadline_s):
                return await link.relay_sealed(
                    lambda request_id: SealedAsk(
                        request_id=request_id, sealed_id=sealed_id, envelope=envelope, deadline_s=deadline_s
                    )
                )
        except NodeFailedError as error:
            return error.what
        except TimeoutError:
            return "deadline_exceeded"


@sealed_routes.post("/v1/sealed")
async def sealed(request: web.Request) -> web.Response:
    """Relays envelopes that only nodes can open."""
    state = request.app[STATE]
    await state.gate.admit(request.headers.get("Authorization"), "query")
    asked = await json_body(request.clone(client_max_size=MAX_SEALED_BODY_BYTES), SealedRequest)
    relayed = await SealedRelay(state.registry, state.settings.default_deadline_s).relay(asked)
    _log.info("sealed_query", nodes=len(asked.envelopes), replied=len(relayed.replies), failed=relayed.failed)
    return json_response(relayed)
