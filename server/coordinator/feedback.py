"""Feedback on its way to the nodes that an answer rests on. Nothing of it is kept here, and nothing is logged.

What is remembered, in memory alone and for the newest answers, is which nodes an answer rests on; an asker who names
them needs not even that.
"""

import asyncio
import hmac
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from frag.errors import (
    BadRequestError,
    ConflictError,
    FeedbackExpiredError,
    FeedbackNotTakenError,
    ForbiddenError,
    FragError,
    NotFoundError,
    RateLimitedError,
    SealingError,
)
from frag.feedback import MAX_CORRECTION_CHARS, Rating, rating_of, seal_remark
from frag.sealing import check_card
from frag.types import AnswerMode
from server.coordinator.answer_views import FailedView
from server.coordinator.contributors import Contributors
from server.coordinator.links import NodeFailedError, Registry, WebSocketLink
from server.wire.messages import Feedback, FeedbackBytes, NodeId

_DEADLINE_S = 20.0
_MAX_NODES = 1000
_QueryId = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}$")]
_LABEL = b"frag-feedback-key-v1\0"


class FeedbackRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /v1/query/{query}/feedback`: a rating with or without a correction, or envelopes that were sealed
    already (`frag.feedback`; bytes are base64). `nodes` defaults to those that the answer rests on."""

    rating: Literal[-1, 0, 1, "down", "up"] | None = None
    correction: Annotated[str, msgspec.Meta(max_length=MAX_CORRECTION_CHARS)] = ""
    nodes: Annotated[list[NodeId], msgspec.Meta(min_length=1, max_length=_MAX_NODES)] | None = None
    sealed: Annotated[dict[NodeId, FeedbackBytes], msgspec.Meta(min_length=1, max_length=_MAX_NODES)] | None = None

    def __repr__(self) -> str:
        return "FeedbackRequest()"

    def __post_init__(self) -> None:
        if (self.rating is None) == (self.sealed is None):
            raise ValueError("give either a rating or sealed envelopes")
        if self.sealed is not None and (self.correction or self.nodes):
            raise ValueError("what is sealed names its nodes and holds its correction")
        if "\0" in self.correction:
            raise ValueError("a correction is text without zeros")


class FeedbackResponse(msgspec.Struct, frozen=True, kw_only=True):
    """Nodes that have it durably, and a code for each other. What becomes of it is each node's own affair."""

    taken: list[str]
    failed: list[FailedView]


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedbackService:
    """Seals feedback to nodes and passes it on.

    Args:
        registry: Who is connected.
        identities: Raw public identities of enrolled nodes.
        contributors: Whom answers rest on.
        key: Signs what is sealed here.
        secret: Makes a pseudonym of an API key's label, another one for each node.
    """

    registry: Registry
    identities: Callable[[Sequence[str]], Awaitable[dict[str, bytes]]]
    contributors: Contributors
    key: Ed25519PrivateKey = field(repr=False)
    secret: bytes = field(repr=False)

    async def give(self, query_id: str, request: FeedbackRequest, label: str) -> FeedbackResponse:
        """Has every node take it, or say why not.

        Raises:
            BadRequestError: The id is none.
            NotFoundError: Nobody knows the question.
            FeedbackExpiredError: The nodes keep it no longer.
            ForbiddenError: The answer's mode takes no feedback.
        """
        name = _id_bytes(query_id)
        envelopes, failed = await self._envelopes(query_id, name, request)
        outcomes = await asyncio.gather(*(self._one(n, name, e, label) for n, e in envelopes.items()))
        failed |= {node: code for node, code in zip(envelopes, outcomes, strict=True) if code}
        taken = sorted(envelopes.keys() - failed.keys())
        if not taken:
            raise _refusal(failed)
        return FeedbackResponse(taken=taken, failed=[FailedView(node, code) for node, code in sorted(failed.items())])

    async def _envelopes(
        self, query_id: str, name: bytes, request: FeedbackRequest
    ) -> tuple[Mapping[str, bytes], dict[str, str]]:
        known = self.contributors.of(query_id)
        if known is not None and known.mode is AnswerMode.DP:
            raise ForbiddenError(
                "An answer in mode dp takes no feedback: nodes keep nothing of what it was made from.",
                "Ask in another mode.",
            )
        if request.sealed is not None:
            return request.sealed, {}
        nodes = request.nodes or (known.nodes if known else ())
        if not nodes:
            raise NotFoundError(
                "No answer with this id is remembered here, or it rests on no node.",
                "Name the nodes that contributed in `nodes`; the answer lists them.",
            )
        return await self._sealed(sorted(set(nodes)), name, request)

    async def _sealed(
        self, nodes: Sequence[str], name: bytes, request: FeedbackRequest
    ) -> tuple[dict[str, bytes], dict[str, str]]:
        identities = await self.identities(nodes)
        rating = rating_of(request.rating or 0)
        sealed, failed = {}, {}
        for node in nodes:
            try:
                sealed[node] = await asyncio.to_thread(
                    self._seal, node, identities.get(node), name, rating, request.correction
                )
            except SealingError as error:
                failed[node] = error.code
        return sealed, failed

    def _seal(self, node: str, identity: bytes | None, name: bytes, rating: Rating, correction: str) -> bytes:
        link = self.registry.link(node)
        if link is None or identity is None:
            raise SealingError(f"{node} is not there.", code=self._absence(node, identity))
        card = link.ready.sealing_key
        if card is None:
            raise SealingError(f"{node} has no sealing key.", code="not_offered")
        check_card(card, node, identity, time.time())
        return seal_remark(rating, correction, signer=self.key, recipient=card.public_key, node_id=node, query_id=name)

    def _absence(self, node: str, identity: bytes | None) -> str:
        if node not in self.registry.known():
            return "unknown_node"
        return "not_connected" if identity else "not_offered"

    async def _one(self, node: str, name: bytes, envelope: bytes, label: str) -> str:
        """Empty when the node has it, else a code."""
        link = self.registry.link(node)
        if not isinstance(link, WebSocketLink):
            return "not_connected" if link is None else "not_offered"
        key = self._pseudonym(node, label)
        try:
            async with asyncio.timeout(_DEADLINE_S):
                await link.give(lambda number: Feedback(request_id=number, query_id=name, key=key, envelope=envelope))
        except NodeFailedError as error:
            return error.what
        except TimeoutError:
            return "deadline_exceeded"
        return ""

    def _pseudonym(self, node: str, label: str) -> bytes:
        """16 bytes; nodes cannot tell that two of them stand for one key."""
        return hmac.digest(self.secret, _LABEL + node.encode() + b"\0" + label.encode(), "sha256")[:16]


def _id_bytes(query_id: str) -> bytes:
    try:
        return bytes.fromhex(msgspec.convert(query_id, _QueryId))
    except msgspec.ValidationError as error:
        raise BadRequestError("A query id has 32 hex digits.", "Use the query_id of an answer.") from error


def _refusal(failed: Mapping[str, str]) -> FragError:
    """What it comes to when no node has it: the reason that says most."""
    codes = set(failed.values())
    details = {"failed": [{"node": node, "code": code} for node, code in sorted(failed.items())]}
    if "feedback_expired" in codes:
        mend = "Ask the question again, and say it of the new answer."
        return FeedbackExpiredError("The nodes keep this question no longer.", mend, **details)
    if "rate_limited" in codes:
        return RateLimitedError("The nodes have had enough feedback of this key for now.", "Go on later.", **details)
    if "conflict" in codes:
        return ConflictError("What this key said of this answer is decided already.", "Ask it again.", **details)
    if codes == {"not_found"}:
        return NotFoundError(
            "These nodes keep no such question.", "See `contributed` in the answer; mode dp keeps none.", **details
        )
    named = ", ".join(f"{node} ({code})" for node, code in sorted(failed.items()))
    return FeedbackNotTakenError(f"No node took it: {named}.", "Each node's operator decides whom it hears.", **details)
