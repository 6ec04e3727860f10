"""A question from request to answer: route, fan out, check the quorum, aggregate."""

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal

import msgspec

from frag.answers.comparable import comparable
from frag.errors import BadRequestError, ForbiddenError, NoNodesError, QuorumError, UnknownNodeError
from frag.privacy.questions import ScrubbedQuestion
from frag.protocols import Aggregator
from frag.types import Aggregate, AnswerMode, NodeAnswer, RetrievalMode
from server.coordinator.answer_views import (
    FailedView,
    QueryResponse,
    WithheldView,
    answered_views,
    promise_for,
    restored,
)
from server.coordinator.consenting import Consenting, note_of
from server.coordinator.fanout import Gathered, fan_out
from server.coordinator.following import Emit, followed, silent
from server.coordinator.links import NodeLink, Question, Registry
from server.coordinator.routing import Router
from server.questions import QuestionScrubber, QuestionView
from server.telemetry.coordinator import CoordinatorWatch
from server.telemetry.observation import stage
from server.wire.messages import MAX_QUESTION_CHARS

__all__ = ["Emit", "Method", "QueryRequest", "QueryService", "check_known", "silent"]

_AT_ONCE = "best"
_LEAST_MERGE_S = 2.0
"""For merging, however late the last node was."""
_LATE = "The coordinator's language model was not done by the deadline: one node's answer stands."
Method = Literal["best", "vote", "medoid", "synthesize"]


class QueryRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /v1/query`. Only `question` is required."""

    question: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_QUESTION_CHARS, pattern=r"\S")]
    top_k: Annotated[int, msgspec.Meta(ge=1, le=100)] = 5
    deadline_s: Annotated[float, msgspec.Meta(gt=0, le=600)] | None = None
    min_nodes: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 1
    nodes: Annotated[list[str], msgspec.Meta(min_length=1, max_length=10_000)] | None = None
    answer_mode: AnswerMode = AnswerMode.SCRUB
    aggregation: Method | None = None
    min_support: Annotated[int, msgspec.Meta(ge=2, le=10_000)] = 2
    retrieval: RetrievalMode | None = None
    retrieve_only: bool = False
    scrub_question: bool = True
    route: Annotated[str, msgspec.Meta(pattern=r"^(all|top:[1-9][0-9]{0,3})$")] = "all"

    @property
    def num_routed(self) -> int | None:
        """At most so many nodes are asked; None: all."""
        return None if self.route == "all" else int(self.route.removeprefix("top:"))

    dp: Literal["decoding", "keywords"] = "decoding"
    """How mode `dp` answers: each node for itself, or from what the units of all nodes vote for."""

    def __repr__(self) -> str:
        return f"QueryRequest({len(self.question)} chars)"


@dataclass(frozen=True, slots=True)
class QueryService:
    """Answers questions over the nodes in `registry`; knows nothing of HTTP."""

    registry: Registry
    aggregators: Mapping[str, Aggregator]
    default_aggregation: str
    default_deadline_s: float
    default_retrieval: RetrievalMode
    consenting: Consenting
    answer_modes: Sequence[AnswerMode]
    router: Router
    scrubber: QuestionScrubber
    by_keywords: Callable[[QueryRequest, Emit], Awaitable[QueryResponse]] | None = None
    expect_writer: Callable[[], None] = lambda: None
    watch: CoordinatorWatch = field(default_factory=CoordinatorWatch)

    async def answer(self, request: QueryRequest, emit: Emit = silent) -> QueryResponse:
        """Asks, waits and merges.

        Raises:
            ForbiddenError: The federation does not allow the mode.
            BadRequestError: The request contradicts itself, or wants more support than there are operators.
            UnknownNodeError: `nodes` names one that is not enrolled.
            NoNodesError: None of the nodes in question is connected.
            QuorumError: Fewer than `min_nodes` replied by the deadline.
        """
        with self.watch.question(request.answer_mode) as note:
            response = await self._answer(request, emit)
            self.watch.answered(note, response)
        return response

    async def _answer(self, request: QueryRequest, emit: Emit) -> QueryResponse:
        self._check_mode(request)
        with stage("scrub"):
            scrubber = self.scrubber.scrub
            scrubbed, seen = await asyncio.to_thread(scrubber, request.question, wanted=request.scrub_question)
        request = msgspec.structs.replace(request, question=scrubbed.text)
        if request.dp == "keywords":
            with stage("keywords"):
                return restored(await self._by_keywords(request, emit), scrubbed, seen)
        started = time.perf_counter()
        query_id = uuid.uuid4().hex
        with stage("route"):
            candidates, absent = self._route(request)
            links = await self._choose(request, candidates)
            if request.answer_mode is AnswerMode.CONSENSUS:
                await self.consenting.check([link.node_id for link in links], request.min_support)
        if self._method(request) == "synthesize":
            self.expect_writer()
        emit("routed", {"query_id": query_id, "nodes": [link.node_id for link in links], "absent": absent})
        question = self._question(request, query_id)
        with stage("fanout"):
            gathered = await fan_out(links, question, lambda n, o: emit("node", {"node": n, "outcome": o}))
        gathered.failed.update(dict.fromkeys(absent, "not_connected"))
        fanned_out = time.perf_counter()
        _require_quorum(gathered, request.min_nodes)
        with stage("aggregate"):
            left_s = (request.deadline_s or self.default_deadline_s) - (fanned_out - started)
            response = await self._merge(request, query_id, gathered, scrubbed, emit, left_s)
        contributors = [view.node for view in response.answered if view.contributed]
        emit("aggregated", {"aggregation": response.aggregation, "contributors": contributors})
        asked = {link.node_id for link in links}
        response.not_asked.extend(sorted({link.node_id for link in candidates} - asked))
        if response.answer is not None:
            self.router.learn(asked, set(contributors))
        response = restored(response, scrubbed, seen)
        ended = time.perf_counter()
        response.timings.update(
            total_ms=_ms(ended - started),
            fanout_ms=_ms(fanned_out - started),
            aggregate_ms=_ms(ended - fanned_out),
        )
        return response

    def check(self, request: QueryRequest) -> None:
        """Raises at once what `answer` would raise before it asks anybody: the mode, the nodes, nobody there."""
        self._check_mode(request)
        self._route(request)

    def _check_mode(self, request: QueryRequest) -> None:
        if request.answer_mode not in self.answer_modes:
            raise ForbiddenError(
                f"This federation does not answer in mode {request.answer_mode}.",
                f"Use one of: {', '.join(self.answer_modes)}.",
            )
        if request.answer_mode is AnswerMode.CONSENSUS and request.aggregation is not None:
            raise BadRequestError("Consensus is an aggregation of its own.", "Leave `aggregation` out.")

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

    async def _choose(self, request: QueryRequest, links: list[NodeLink]) -> list[NodeLink]:
        if request.num_routed is None:
            return links
        return await self.router.choose(request.question, links, request.num_routed)

    def _question(self, request: QueryRequest, query_id: str) -> Question:
        return Question(
            text=request.question,
            top_k=request.top_k,
            answer_mode=request.answer_mode,
            retrieval=request.retrieval or self.default_retrieval,
            retrieve_only=request.retrieve_only,
            deadline_s=request.deadline_s or self.default_deadline_s,
            query_id=query_id,
        )

    async def _merge(
        self,
        request: QueryRequest,
        query_id: str,
        gathered: Gathered,
        scrubbed: ScrubbedQuestion,
        emit: Emit,
        left_s: float,
    ) -> QueryResponse:
        released, scores = comparable([reply for reply in gathered.replies if not reply.withheld])
        candidates = [reply for reply in released if reply.text]
        merged, note = await self._merged(request, candidates, scrubbed, emit, left_s)
        return QueryResponse(
            query_id=query_id,
            answer=merged.text or None,
            answer_mode=request.answer_mode,
            aggregation=merged.method,
            answered=answered_views(released, merged.contributors),
            failed=[FailedView(node, code) for node, code in sorted(gathered.failed.items())],
            withheld=[WithheldView(r.node_id, r.withheld) for r in gathered.replies if r.withheld],
            not_asked=[],
            question=QuestionView(scrub="off", masked={}),
            timings={},
            promise=promise_for(request.answer_mode, released),
            note=note,
            scores=scores,
        )

    async def _merged(
        self,
        request: QueryRequest,
        candidates: Sequence[NodeAnswer],
        scrubbed: ScrubbedQuestion,
        emit: Emit,
        left_s: float,
    ) -> tuple[Aggregate, str]:
        """The merged answer, blank if there is none, and a note to it."""
        if request.answer_mode is AnswerMode.CONSENSUS:
            found = await self.consenting.merge(candidates, request.min_support)
            merged = Aggregate(text=found.text, contributors=found.contributors, method="consensus")
            return merged, note_of(found, request.min_support)
        method = self._method(request)
        if not candidates:
            return Aggregate(text="", contributors=(), method=method), ""
        try:
            async with asyncio.timeout(max(left_s, _LEAST_MERGE_S)):
                return await followed(self.aggregators[method], request.question, candidates, scrubbed, emit), ""
        except TimeoutError:
            if method == _AT_ONCE:
                raise
            return await self.aggregators[_AT_ONCE].aggregate(request.question, candidates), _LATE

    def _method(self, request: QueryRequest) -> str:
        # under dp all scores are equal, so that the best one would be anybody's
        usual = "medoid" if request.answer_mode is AnswerMode.DP else self.default_aggregation
        return request.aggregation or usual


def check_known(wanted: Collection[str], registry: Registry) -> None:
    """Raises UnknownNodeError when one of them is not enrolled."""
    if unknown := sorted(set(wanted) - set(registry.known())):
        raise UnknownNodeError(f"These nodes are not enrolled: {', '.join(unknown[:5])[:300]}.", "See `GET /v1/nodes`.")


def _require_quorum(gathered: Gathered, min_nodes: int) -> None:
    if len(gathered.replies) < min_nodes:
        is_late = "deadline_exceeded" in gathered.failed.values()
        raise QuorumError(
            f"{len(gathered.replies)} of at least {min_nodes} nodes replied{' by the deadline' if is_late else ''}.",
            f"Lower min_nodes, {'raise deadline_s, ' if is_late else ''}or see `failed` for the nodes to mend.",
            failed=[{"node": node, "code": code} for node, code in sorted(gathered.failed.items())],
        )


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)
