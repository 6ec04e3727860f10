"""Keywords without a coordinator that reads: the asker collects the sum of votes itself, each stage sealed.

The relay sees neither question, candidates nor sum; the asker opens the noisy sum alone. What the nodes check, they
check as for a coordinator: terms, session, peers, and that a question is charged once.

Source: Bonawitz et al. 2017, "Practical Secure Aggregation", for the stages; the asker has the part of the server.
"""

import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from frag.errors import BadRequestError, QuorumError, SealingError, SecureSumError
from frag.privacy.keywords import Candidates, KeywordRule, Keywords, choose_candidates, decode
from frag.secagg.parameters import MIN_NODES
from frag.types import AnswerMode
from server.coordinator.answer_views import FailedView, WithheldView
from server.coordinator.keyword_query import METHOD
from server.coordinator.keyword_response import KeywordResponse, KeywordView, answered, promise
from server.coordinator.keyword_terms import strictest, sum_parameters, sum_start, unsummed
from server.coordinator.links import NodeFailedError
from server.coordinator.staged_sum import StagedSum
from server.questions import QuestionView
from server.sealed.channel import Coordinator, SealedChannel, open_channel
from server.sealed.contents import AskTerms, decode_terms
from server.sealed.trust import Trust
from server.wire.messages import KeywordStage, KeywordTerms, SumStageName

_STAGE_SHARE = 1 / 6
"""Of the deadline: terms and five stages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeywordPlan:
    """What is asked of whom. `words` are what may be voted for beside the words of the question: public, or the
    asker's own guesses, best first. `nodes` None: all that the trust allows."""

    question: str = field(repr=False)
    words: Sequence[str] = field(repr=False)
    deadline_s: float
    min_nodes: int = 1
    nodes: Sequence[str] | None = None


@dataclass(slots=True, kw_only=True)
class _Vote:
    terms: dict[str, KeywordTerms]
    rule: KeywordRule
    candidates: Candidates = field(repr=False)
    failed: dict[str, str]
    query_id: str


async def ask_keywords_sealed(
    coordinator: Coordinator, trust: Trust, key: Ed25519PrivateKey, plan: KeywordPlan
) -> KeywordResponse:
    """Has the units of all nodes vote, and writes down what they agree on.

    Raises:
        BadRequestError: Nothing can be voted for.
        NoNodesError: No node has a sealing key that can be trusted.
        QuorumError: Too few nodes vote for keywords, or too few voted.
        SecureSumError: Too few nodes stayed until the end. What their units were charged stays charged.
        CoordinatorError, UnreachableError: As of any sealed question.
    """
    candidates = choose_candidates(plan.question, "", plan.words)
    if len(candidates.words) == candidates.num_asked:
        raise BadRequestError(
            "There is nothing to vote for but the words of the question.", "Name candidates with --candidate WORD."
        )
    started = time.perf_counter()
    async with open_channel(coordinator, trust, key, plan.nodes) as channel:
        vote = await _prepared(channel, plan, candidates)
        keywords, names = await _summed(channel, plan, vote)
    if len(names) < plan.min_nodes:
        raise QuorumError(
            f"{len(names)} of at least {plan.min_nodes} nodes voted.", "See `failed`.", failed=vote.failed
        )
    return _response(vote, keywords, names, total_ms=round((time.perf_counter() - started) * 1000, 3))


async def _prepared(channel: SealedChannel, plan: KeywordPlan, candidates: Candidates) -> _Vote:
    """Who votes, under the strictest of their terms."""
    exchanged = await channel.exchange(dict.fromkeys(channel.cards, AskTerms()), plan.deadline_s * _STAGE_SHARE)
    failed, terms = {**channel.failed, **exchanged.failed}, {}
    for node, content in exchanged.replies.items():
        try:
            terms[node] = decode_terms(node, content)
        except SealingError as error:
            failed[node] = error.code
    needed = max(MIN_NODES, plan.min_nodes)
    if len(terms) < needed:
        raise QuorumError(
            f"Keywords need {needed} connected nodes that vote for them; there are {len(terms)}.",
            "Allow it at more nodes (`[policy.dp] keywords = true`), or ask with --dp decoding.",
            failed=failed,
        )
    rule = strictest(list(terms.values()))
    return _Vote(terms=terms, rule=rule, candidates=candidates, failed=failed, query_id=uuid.uuid4().hex)


async def _summed(channel: SealedChannel, plan: KeywordPlan, vote: _Vote) -> tuple[Keywords, list[str]]:
    """The noisy sum and whose votes are in it."""
    stage_s = plan.deadline_s * _STAGE_SHARE

    async def ask(node: str, stage: SumStageName, content: bytes) -> bytes:
        wanted = KeywordStage(request_id=0, query_id=vote.query_id, stage=stage, content=content)
        exchanged = await channel.exchange({node: wanted}, stage_s)
        if node not in exchanged.replies:
            raise NodeFailedError(exchanged.failed[node])
        return exchanged.replies[node]

    identities = {node: channel.cards[node].identity for node in vote.terms}
    start = sum_start(plan.question, vote.candidates, vote.rule, identities)
    staged = StagedSum(
        identities=identities,
        parameters=sum_parameters(vote.query_id, start, len(identities), vote.candidates),
        start=start,
        ask=ask,
        deadline_s=lambda _stage: stage_s,
        leave_out=vote.failed.__setitem__,
    )
    try:
        total, names = await staged.total()
    except SecureSumError as error:
        raise unsummed(error, vote.failed) from error
    return decode(total, vote.candidates.words, len(names), vote.rule, vote.candidates.num_asked), names


def _response(vote: _Vote, keywords: Keywords, names: Sequence[str], total_ms: float) -> KeywordResponse:
    withheld = [node for node, code in vote.failed.items() if code == "keywords_not_allowed"]
    return KeywordResponse(
        query_id=vote.query_id,
        answer=", ".join(word for word, _ in keywords.found) or None,
        answer_mode=AnswerMode.DP,
        aggregation=METHOD,
        answered=[answered(name, vote.terms[name], used=bool(keywords.found)) for name in names],
        failed=[FailedView(node, code) for node, code in sorted(vote.failed.items()) if node not in withheld],
        withheld=[WithheldView(node, "keywords_not_allowed") for node in sorted(withheld)],
        question=QuestionView(scrub="off", masked={}),
        timings={"total_ms": total_ms},
        keywords=[KeywordView(word, round(votes, 2)) for word, votes in keywords.found],
        noisy_count=round(keywords.count, 2),
        noise_deviation=round(vote.rule.deviation(len(names)), 2),
        documents_used=bool(keywords.found),
        promise=promise(keywords, vote.rule, {name: vote.terms[name] for name in names}),
    )
