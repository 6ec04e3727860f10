"""A question answered from keywords: nodes sum the votes of their units in secret, and the coordinator sees the sum.

Candidates are public; what is opened is noisy already; whatever is written afterwards reads that alone.
"""

import asyncio
import contextlib
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from frag.errors import BadRequestError, FragError, QuorumError, SecureSumError
from frag.privacy.keywords import (
    MAX_CANDIDATES,
    Candidates,
    KeywordRule,
    Keywords,
    choose_candidates,
    decode,
)
from frag.secagg.parameters import MAX_COMPLETE, MIN_NODES
from frag.types import AnswerMode, Generation, GenerationRequest
from server.coordinator.answer_views import FailedView, WithheldView
from server.coordinator.keyword_response import KeywordResponse, KeywordView, answered, promise
from server.coordinator.keyword_terms import strictest, sum_parameters, sum_start, unsummed
from server.coordinator.links import Registry, WebSocketLink
from server.coordinator.query import Emit, QueryRequest, check_known
from server.coordinator.staged_sum import StagedSum
from server.questions import QuestionView
from server.wire.messages import KeywordStage, KeywordTerms, SumStageName

METHOD = "keywords"
_ALONE = "You are a helpful assistant. Answer in a few words."
_FROM_KEYWORDS = (
    "You are a helpful assistant. The keywords are what many documents say on the question. "
    "Answer in a few words, with the help of the keywords."
)
_SHARES = {"lexicon": 0.2, "alone": 0.2, "keys": 0.2, "shares": 0.06, "masked": 0.06, "confirm": 0.06, "unmask": 0.06}
"""Of the deadline; what is left is for writing."""

Write = Callable[[GenerationRequest], Awaitable[Generation]]


class FindsWords(Protocol):
    """The public lexicon."""

    async def closest(self, question: str, limit: int, within_s: float) -> list[str]: ...


class _Clock:
    """Time until the asker's deadline, in shares."""

    def __init__(self, total_s: float) -> None:
        self._total_s = total_s
        self._end = time.monotonic() + total_s

    def share(self, of: str) -> float:
        return max(0.01, min(_SHARES[of] * self._total_s, self.left()))

    def left(self) -> float:
        return max(0.01, self._end - time.monotonic())


@dataclass(slots=True, kw_only=True)
class _Voting:
    """Who is asked, under which rule, and what became of them."""

    links: dict[str, WebSocketLink]
    identities: dict[str, bytes]
    terms: dict[str, KeywordTerms]
    rule: KeywordRule
    failed: dict[str, str]
    withheld: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeywordService:
    """Answers questions of mode `dp` by keywords; knows nothing of HTTP.

    Args:
        registry: Who is connected.
        identities: Raw public identities of enrolled nodes.
        lexicon: Public words.
        write: The coordinator's language model, which has seen no document; None where there is none.
        default_deadline_s: Of a question that names none.
    """

    registry: Registry
    identities: Callable[[Sequence[str]], Awaitable[dict[str, bytes]]]
    lexicon: FindsWords
    write: Write | None
    default_deadline_s: float

    async def answer(self, request: QueryRequest, emit: Emit) -> KeywordResponse:
        """Has the units vote, and writes from what they agree on.

        Raises:
            BadRequestError: The request does not fit, or names too many nodes.
            UnknownNodeError: `nodes` names one that is not enrolled.
            QuorumError: Too few nodes are connected that vote, or too few voted.
            NotReadyError, ModelError: There is no lexicon yet, or no model. Nothing was spent.
            SecureSumError: Too few nodes stayed until the end. What their units were charged stays charged.
        """
        started = time.perf_counter()
        clock, query_id = _Clock(request.deadline_s or self.default_deadline_s), uuid.uuid4().hex
        voting = await self._voting(request)
        emit("routed", {"query_id": query_id, "nodes": sorted(voting.links), "absent": sorted(voting.failed)})
        lexicon = await self.lexicon.closest(request.question, 2 * MAX_CANDIDATES, clock.share("lexicon"))
        alone = await self._written(GenerationRequest(question=request.question, instruction=_ALONE), clock)
        candidates = choose_candidates(request.question, alone, lexicon)
        if not candidates.words:
            raise BadRequestError("Nothing can be voted for: the question has no words.", "Ask in words.")
        asked = time.perf_counter()
        keywords, names = await self._sum(request, query_id, candidates, voting, clock, emit)
        for name in names:
            emit("node", {"node": name, "outcome": "voted"})
        summed = time.perf_counter()
        _require_quorum(len(names), request.min_nodes, voting.failed)
        response = KeywordResponse(
            query_id=query_id,
            answer=await self._text(request.question, keywords, alone, clock),
            answer_mode=AnswerMode.DP,
            aggregation=METHOD,
            answered=[answered(name, voting.terms[name], used=bool(keywords.found)) for name in names],
            failed=[FailedView(node, code) for node, code in sorted(voting.failed.items())],
            withheld=[WithheldView(node, "keywords_not_allowed") for node in voting.withheld],
            question=QuestionView(scrub="off", masked={}),
            timings={},
            keywords=[KeywordView(word, round(votes, 2)) for word, votes in keywords.found],
            noisy_count=round(keywords.count, 2),
            noise_deviation=round(voting.rule.deviation(len(names)), 2),
            documents_used=bool(keywords.found),
            promise=promise(keywords, voting.rule, {name: voting.terms[name] for name in names}),
        )
        emit("aggregated", {"aggregation": METHOD, "contributors": names if keywords.found else []})
        response.timings.update(
            total_ms=_ms(time.perf_counter() - started),
            candidates_ms=_ms(asked - started),
            sum_ms=_ms(summed - asked),
            write_ms=_ms(time.perf_counter() - summed),
        )
        return response

    async def _voting(self, request: QueryRequest) -> _Voting:
        """Who can vote now, under the strictest of their terms."""
        if request.retrieve_only:
            raise BadRequestError("Mode dp shows no passages.", "Leave retrieve_only out.")
        wanted = set(self.registry.known() if request.nodes is None else request.nodes)
        check_known(wanted, self.registry)
        silos = {link.node_id: link for link in self.registry.silos() if link.node_id in wanted}
        offered = {name: link.ready.keywords for name, link in silos.items() if link.ready.keywords is not None}
        identities = await self.identities(sorted(offered))
        terms = {name: offered[name] for name in identities}
        withheld = sorted(wanted - terms.keys() if request.nodes else silos.keys() - terms.keys())
        withheld = [name for name in withheld if self.registry.link(name) is not None]
        failed = {name: "not_connected" for name in wanted if self.registry.link(name) is None}
        needed = max(MIN_NODES, request.min_nodes)
        if len(terms) < needed:
            raise QuorumError(
                f"Keywords need {needed} connected nodes that vote for them; there are {len(terms)}.",
                'Allow it at more nodes (`[policy.dp] keywords = true`), or ask with dp = "decoding".',
                failed=[{"node": node, "code": code} for node, code in sorted(failed.items())],
            )
        if len(terms) > MAX_COMPLETE:
            raise BadRequestError(f"Keywords are for {MAX_COMPLETE} nodes at most.", "Name fewer in nodes.")
        return _Voting(
            links={name: silos[name] for name in sorted(terms)},
            identities=identities,
            terms=terms,
            rule=strictest(list(terms.values())),
            failed=failed,
            withheld=withheld,
        )

    async def _sum(
        self,
        request: QueryRequest,
        query_id: str,
        candidates: Candidates,
        voting: _Voting,
        clock: _Clock,
        emit: Emit,
    ) -> tuple[Keywords, list[str]]:
        start = sum_start(request.question, candidates, voting.rule, voting.identities)

        async def ask(node: str, stage: SumStageName, content: bytes) -> bytes:
            return await voting.links[node].sum_stage(
                lambda request_id: KeywordStage(request_id=request_id, query_id=query_id, stage=stage, content=content)
            )

        def leave_out(node: str, reason: str) -> None:
            voting.failed[node] = reason
            emit("node", {"node": node, "outcome": reason})

        staged = StagedSum(
            identities=voting.identities,
            parameters=sum_parameters(query_id, start, len(voting.identities), candidates),
            start=start,
            ask=ask,
            deadline_s=clock.share,
            leave_out=leave_out,
        )
        try:
            total, names = await staged.total()
        except SecureSumError as error:
            raise unsummed(error, voting.failed) from error
        return decode(total, candidates.words, len(names), voting.rule, candidates.num_asked), names

    async def _text(self, question: str, keywords: Keywords, alone: str, clock: _Clock) -> str | None:
        words = ", ".join(word for word, _ in keywords.found)
        if not words:
            return alone or None
        request = GenerationRequest(question=question, passages=(f"Keywords: {words}",), instruction=_FROM_KEYWORDS)
        with contextlib.suppress(FragError):
            return await self._written(request, clock) or words
        return words  # what was paid for is not lost with the writer

    async def _written(self, request: GenerationRequest, clock: _Clock) -> str:
        """Empty where there is no language model, or it is late."""
        if self.write is None:
            return ""
        within_s = clock.left() if request.passages else clock.share("alone")
        try:
            return (await asyncio.wait_for(self.write(request), within_s)).text.strip()
        except TimeoutError:
            return ""


def _require_quorum(num_summed: int, min_nodes: int, failed: dict[str, str]) -> None:
    if num_summed < min_nodes:
        raise QuorumError(
            f"{num_summed} of at least {min_nodes} nodes voted by the deadline.",
            "Lower min_nodes, raise deadline_s, or see `failed` for the nodes to mend.",
            failed=[{"node": node, "code": code} for node, code in sorted(failed.items())],
        )


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)
