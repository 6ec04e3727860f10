"""A question from request to answer: route, fan out, check the quorum, aggregate."""

import math
import time
import uuid
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec

from frag.errors import BadRequestError, NoNodesError, QuorumError, UnknownNodeError
from frag.protocols import Aggregator
from frag.types import AnswerMode, NodeAnswer, RetrievalMode
from server.coordinator.fanout import Gathered, fan_out
from server.coordinator.links import NodeLink, Question, Registry
from server.wire.messages import MAX_QUESTION_CHARS

Method = Literal["best", "vote", "medoid", "synthesize"]
Emit = Callable[[str, object], None]
"""Called with (event name, JSON-able payload) while a question is under way."""


class QueryRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /v1/query`. Only `question` is required."""

    question: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_QUESTION_CHARS, pattern=r"\S")]
    top_k: Annotated[int, msgspec.Meta(ge=1, le=100)] = 5
    deadline_s: Annotated[float, msgspec.Meta(gt=0, le=600)] | None = None
    min_nodes: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 1
    nodes: Annotated[list[str], msgspec.Meta(min_length=1, max_length=10_000)] | None = None
    answer_mode: AnswerMode = AnswerMode.SCRUB
    aggregation: Method | None = None
    retrieval: RetrievalMode | None = None
    retrieve_only: bool = False
    dp: Literal["decoding", "keywords"] = "decoding"
    """How mode `dp` answers: each node for itself, or from what the units of all nodes vote for."""

    def __repr__(self) -> str:
        return f"QueryRequest({len(self.question)} chars)"


class CitationView(msgspec.Struct, frozen=True):
    document: str
    score: float


class AnsweredView(msgspec.Struct, frozen=True, kw_only=True):
    """What one node released; `contributed` says whether the answer rests on it.

    `epsilon` and `delta` bound what one unit may tell through all answers of this node; null: nothing is claimed.
    """

    node: str
    answer: str
    contributed: bool
    answer_mode: AnswerMode
    score: float
    token_logprob: float
    prompt_version: str
    redactions: Mapping[str, int]
    citations: list[CitationView]
    timings: Mapping[str, float]
    epsilon: float | None = None
    delta: float | None = None


class FailedView(msgspec.Struct, frozen=True):
    node: str
    code: str


class WithheldView(msgspec.Struct, frozen=True):
    node: str
    reason: str


class QueryResponse(msgspec.Struct, frozen=True, kw_only=True):
    """`answer` is null when every node that replied withheld its own."""

    query_id: str
    answer: str | None
    answer_mode: AnswerMode
    aggregation: str
    answered: list[AnsweredView]
    failed: list[FailedView]
    withheld: list[WithheldView]
    timings: dict[str, float]

    def __repr__(self) -> str:
        return f"QueryResponse({self.query_id}, {len(self.answered)} answered)"


@dataclass(frozen=True, slots=True)
class QueryService:
    """Answers questions over the nodes in `registry`; knows nothing of HTTP."""

    registry: Registry
    aggregators: Mapping[str, Aggregator]
    default_aggregation: str
    default_deadline_s: float
    default_retrieval: RetrievalMode
    by_keywords: Callable[[QueryRequest, Emit], Awaitable[QueryResponse]] | None = None

    async def answer(self, request: QueryRequest, emit: Emit = lambda _name, _payload: None) -> QueryResponse:
        """Asks, waits and merges.

        Raises:
            UnknownNodeError: `nodes` names one that is not enrolled.
            NoNodesError: None of the nodes in question is connected.
            QuorumError: Fewer than `min_nodes` replied by the deadline.
        """
        if request.dp == "keywords":
            return await self._by_keywords(request, emit)
        started = time.perf_counter()
        query_id = uuid.uuid4().hex
        links, absent = self._route(request)
        emit("routed", {"query_id": query_id, "nodes": [link.node_id for link in links], "absent": absent})
        question = self._question(request)
        gathered = await fan_out(links, question, lambda n, o: emit("node", {"node": n, "outcome": o}))
        gathered.failed.update(dict.fromkeys(absent, "not_connected"))
        fanned_out = time.perf_counter()
        _require_quorum(gathered, request.min_nodes)
        response = await self._merge(request, query_id, gathered)
        ended = time.perf_counter()
        response.timings.update(
            total_ms=_ms(ended - started),
            fanout_ms=_ms(fanned_out - started),
            aggregate_ms=_ms(ended - fanned_out),
        )
        return response

    async def _by_keywords(self, request: QueryRequest, emit: Emit) -> QueryResponse:
        if request.answer_mode is not AnswerMode.DP or self.by_keywords is None:
            raise BadRequestError("Keywords are a way of mode dp alone.", 'Ask with answer_mode = "dp".')
        return await self.by_keywords(request, emit)

    def _route(self, request: QueryRequest) -> tuple[list[NodeLink], list[str]]:
        known = self.registry.known()
        wanted = known if request.nodes is None else sorted(set(request.nodes))
        check_known(wanted, self.registry)
        links = [link for node_id in wanted if (link := self.registry.link(node_id))]
        if not links:
            raise NoNodesError(
                "None of the nodes in question is connected.",
                "Enroll and start nodes (`frag node enroll`, `frag node run`), or try again shortly.",
                failed=[{"node": node_id, "code": "not_connected"} for node_id in wanted],
            )
        live = {link.node_id for link in links}
        return links, [node_id for node_id in wanted if node_id not in live]

    def _question(self, request: QueryRequest) -> Question:
        return Question(
            text=request.question,
            top_k=request.top_k,
            answer_mode=request.answer_mode,
            retrieval=request.retrieval or self.default_retrieval,
            retrieve_only=request.retrieve_only,
            deadline_s=request.deadline_s or self.default_deadline_s,
        )

    async def _merge(self, request: QueryRequest, query_id: str, gathered: Gathered) -> QueryResponse:
        method = request.aggregation or self.default_aggregation
        released = [reply for reply in gathered.replies if not reply.withheld]
        candidates = [reply for reply in released if reply.text]
        merged = await self.aggregators[method].aggregate(request.question, candidates) if candidates else None
        return QueryResponse(
            query_id=query_id,
            answer=merged.text if merged else None,
            answer_mode=request.answer_mode,
            aggregation=merged.method if merged else method,
            answered=_answered(released, merged.contributors if merged else ()),
            failed=[FailedView(node, code) for node, code in sorted(gathered.failed.items())],
            withheld=[WithheldView(r.node_id, r.withheld) for r in gathered.replies if r.withheld],
            timings={},
        )


def check_known(wanted: Collection[str], registry: Registry) -> None:
    """Raises UnknownNodeError when one of them is not enrolled."""
    if unknown := sorted(set(wanted) - set(registry.known())):
        raise UnknownNodeError(f"These nodes are not enrolled: {', '.join(unknown[:5])[:300]}.", "See `GET /v1/nodes`.")


def _require_quorum(gathered: Gathered, min_nodes: int) -> None:
    if len(gathered.replies) < min_nodes:
        raise QuorumError(
            f"{len(gathered.replies)} of at least {min_nodes} nodes replied by the deadline.",
            "Lower min_nodes, raise deadline_s, or see `failed` for the nodes to mend.",
            failed=[{"node": node, "code": code} for node, code in sorted(gathered.failed.items())],
        )


def _answered(released: Sequence[NodeAnswer], contributors: Sequence[str]) -> list[AnsweredView]:
    return [
        AnsweredView(
            node=reply.node_id,
            answer=reply.text,
            contributed=reply.node_id in contributors,
            answer_mode=reply.mode,
            score=reply.score,
            token_logprob=reply.token_logprob,
            prompt_version=reply.prompt_version,
            redactions=dict(reply.redactions),
            citations=[CitationView(c.document_alias, c.score) for c in reply.citations],
            timings=dict(reply.timings_ms),
            epsilon=reply.epsilon if math.isfinite(reply.epsilon) else None,
            delta=reply.delta if math.isfinite(reply.epsilon) else None,
        )
        for reply in released
    ]


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)
