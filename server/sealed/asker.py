"""The asker's side: seal one question to each node, open what comes back, and merge it here."""

import asyncio
import os
import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import aiohttp
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from frag.answers import make_aggregator
from frag.answers.comparable import comparable
from frag.errors import (
    BadRequestError,
    CoordinatorError,
    NoNodesError,
    ProtocolError,
    QuorumError,
    SealingError,
    UnreachableError,
)
from frag.sealing import REQUEST_ID_BYTES, KeyCard, info_of, require_signature, seal, unseal
from frag.types import AnswerMode, NodeAnswer
from server.coordinator.answer_views import FailedView, QueryResponse, WithheldView, answered_views, promise_for
from server.questions import QuestionView
from server.sealed.contents import MAX_LIFETIME_S, Inquiry, decode_answer, encode_inquiry
from server.sealed.relay import SealedRequest, SealedResponse
from server.sealed.trust import Trust, decode_nodes, usable_cards
from server.wire.messages import MAX_SEALED_REPLY_BYTES, Ask

METHODS = ("best", "vote", "medoid")
"""Those that need no language model, which the asker has not."""

_MARGIN_S = 10
_MAX_LIST_BYTES = 16 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Coordinator:
    """Where the relay is, and the right to use it."""

    url: str
    api_key: str = field(repr=False)
    tls: ssl.SSLContext | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedPlan:
    """How to ask. `nodes` None: all that the trust allows."""

    nodes: Sequence[str] | None = None
    aggregation: str = "best"
    min_nodes: int = 1

    def check(self, mode: AnswerMode) -> None:
        """Raises BadRequestError for what cannot be done without somebody who reads all answers."""
        if mode is AnswerMode.CONSENSUS:
            raise BadRequestError(
                "Sealed answers meet only at the asker, and consensus is to protect against the asker.",
                "Use --mode scrub or dp with --sealed, or ask without --sealed.",
            )
        if self.aggregation not in METHODS:
            raise BadRequestError(
                f"{self.aggregation[:40]!r} cannot be done at the asker.", f"Use one of: {', '.join(METHODS)}."
            )


@dataclass(frozen=True, slots=True)
class _Sent:
    """One node's envelope, and what it takes to open its reply."""

    envelope: bytes = field(repr=False)
    identity: bytes
    reply_key: X25519PrivateKey = field(repr=False)


async def ask_sealed(
    coordinator: Coordinator, trust: Trust, key: Ed25519PrivateKey, ask: Ask, plan: SealedPlan
) -> QueryResponse:
    """Asks through a relay that sees neither question nor answers. `ask.request_id` is not used.

    Raises:
        BadRequestError: The mode or the method needs somebody who reads all answers.
        NoNodesError: No node has a sealing key that can be trusted.
        QuorumError: Fewer than `plan.min_nodes` replied.
        CoordinatorError: The coordinator refused, with its own reason.
        UnreachableError: Nobody answers there.
    """
    plan.check(ask.answer_mode)
    started = time.perf_counter()
    async with _session(coordinator) as session:
        view = decode_nodes(await _call(session, coordinator, "GET", "/v1/nodes", _MAX_LIST_BYTES))
        cards, failed = usable_cards(view, trust, plan.nodes)
        if not cards:
            raise NoNodesError(
                "No node has a sealing key that this asker may trust.",
                "Compare the roster with the nodes; see `failed`.",
                failed=failed,
            )
        sealed_id = os.urandom(REQUEST_ID_BYTES)
        sent = await asyncio.to_thread(_seal_all, cards, key, ask, sealed_id)
        request = SealedRequest(
            sealed_id=sealed_id,
            envelopes={node: item.envelope for node, item in sent.items()},
            deadline_s=ask.deadline_s,
        )
        limit = (1 << 20) + len(sent) * MAX_SEALED_REPLY_BYTES * 4 // 3
        body = await _call(session, coordinator, "POST", "/v1/sealed", limit, msgspec.json.encode(request))
    replies, refused = await asyncio.to_thread(_open_all, body, sent, sealed_id, ask.answer_mode)
    failed |= refused
    if len(replies) < plan.min_nodes:
        raise QuorumError(
            f"{len(replies)} of at least {plan.min_nodes} nodes gave a reply that opens.",
            "See `failed`.",
            failed=failed,
        )
    response = await _merge(ask, plan, sealed_id, replies, failed)
    response.timings["total_ms"] = round((time.perf_counter() - started) * 1000, 3)
    return response


def _seal_all(cards: Mapping[str, KeyCard], key: Ed25519PrivateKey, ask: Ask, sealed_id: bytes) -> dict[str, _Sent]:
    """A reply key of its own for each node, so that none can answer in another's name."""
    now = int(time.time())
    sent = {}
    for node_id, card in cards.items():
        reply_key = X25519PrivateKey.generate()
        inquiry = Inquiry(
            asker=key.public_key().public_bytes_raw(),
            reply_key=reply_key.public_key().public_bytes_raw(),
            issued_at=now,
            expires_at=min(now + int(ask.deadline_s) + 60, now + MAX_LIFETIME_S),
            ask=ask,
        )
        envelope = seal(encode_inquiry(inquiry), key, card.public_key, info_of("ask", node_id, sealed_id))
        sent[node_id] = _Sent(envelope, card.identity, reply_key)
    return sent


def _open_all(
    body: bytes, sent: Mapping[str, _Sent], sealed_id: bytes, mode: AnswerMode
) -> tuple[list[NodeAnswer], dict[str, str]]:
    """Replies that open, are signed by the node and fit; a code for each other node."""
    try:
        relayed = msgspec.json.decode(body, type=SealedResponse)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ProtocolError("The relay's response does not fit.", "Install the same frag on all sides.") from error
    replies = []
    failed = {}
    for node_id, item in sent.items():
        envelope = relayed.replies.get(node_id)
        if envelope is None:
            failed[node_id] = relayed.failed.get(node_id, "bad_reply")[:64]
            continue
        try:
            replies.append(_open(node_id, envelope, item, sealed_id, mode))
        except SealingError:
            failed[node_id] = "bad_reply"
    return replies, failed


def _open(node_id: str, envelope: bytes, item: _Sent, sealed_id: bytes, mode: AnswerMode) -> NodeAnswer:
    info = info_of("reply", node_id, sealed_id)
    opened = unseal(envelope, item.reply_key, info)
    require_signature(opened, item.identity, item.reply_key.public_key().public_bytes_raw(), info)
    answer = decode_answer(node_id, opened.content)
    if answer.mode != mode:
        raise SealingError(f"{node_id} answered in another mode.", code="bad_reply")
    return answer


async def _merge(
    ask: Ask, plan: SealedPlan, sealed_id: bytes, replies: Sequence[NodeAnswer], failed: Mapping[str, str]
) -> QueryResponse:
    released, scores = comparable([reply for reply in replies if not reply.withheld])
    candidates = [reply for reply in released if reply.text]
    merged = await make_aggregator(plan.aggregation).aggregate(ask.question, candidates) if candidates else None
    return QueryResponse(
        query_id=sealed_id.hex(),
        answer=merged.text if merged else None,
        answer_mode=ask.answer_mode,
        aggregation=merged.method if merged else plan.aggregation,
        answered=answered_views(released, merged.contributors if merged else ()),
        failed=[FailedView(node, code) for node, code in sorted(failed.items())],
        withheld=[WithheldView(r.node_id, r.withheld) for r in replies if r.withheld],
        not_asked=[],
        question=QuestionView(scrub="off", masked={}),
        timings={},
        promise=promise_for(ask.answer_mode, released),
        scores=scores,
    )


def _session(coordinator: Coordinator) -> aiohttp.ClientSession:
    timeout = aiohttp.ClientTimeout(total=MAX_LIFETIME_S + _MARGIN_S, sock_connect=10)
    headers = {"Authorization": f"Bearer {coordinator.api_key}"} if coordinator.api_key else {}
    return aiohttp.ClientSession(coordinator.url, timeout=timeout, headers=headers)


async def _call(
    session: aiohttp.ClientSession, coordinator: Coordinator, method: str, path: str, limit: int, data: bytes = b""
) -> bytes:
    """The body of a response, bounded: the relay is not trusted with the asker's memory."""
    try:
        async with session.request(method, path, data=data or None, ssl=coordinator.tls or True) as answer:
            body = bytearray()
            async for piece in answer.content.iter_any():
                body += piece
                if len(body) > limit:
                    raise ProtocolError(f"The coordinator sent more than {limit} bytes.")
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        raise UnreachableError(
            f"No coordinator answers: {error or type(error).__name__}.", "Check that it runs and the address (--url)."
        ) from error
    if answer.status >= 400:
        raise CoordinatorError(_problem(bytes(body), answer.status))
    return bytes(body)


def _problem(body: bytes, status: int) -> dict[str, object]:
    try:
        return msgspec.json.decode(body, type=dict[str, object])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {"status": status, "detail": f"The coordinator answered with HTTP {status}."}
