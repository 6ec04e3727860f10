"""The asker's side of a sealed question: one to each node, and the answers merged here."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from frag.answers import make_aggregator
from frag.answers.comparable import comparable
from frag.errors import BadRequestError, QuorumError, SealingError
from frag.types import AnswerMode, NodeAnswer
from server.coordinator.answer_views import FailedView, QueryResponse, WithheldView, answered_views, promise_for
from server.questions import QuestionView
from server.sealed.channel import Coordinator, Exchanged, open_channel
from server.sealed.contents import decode_answer
from server.sealed.trust import Trust
from server.wire.messages import Ask

METHODS = ("best", "vote", "medoid")
"""Those that need no language model, which the asker has not."""


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
    async with open_channel(coordinator, trust, key, plan.nodes) as channel:
        exchanged = await channel.exchange(dict.fromkeys(channel.cards, ask), ask.deadline_s)
        failed = dict(channel.failed)
    replies = _answers(exchanged, ask.answer_mode)
    failed |= exchanged.failed
    if len(replies) < plan.min_nodes:
        raise QuorumError(
            f"{len(replies)} of at least {plan.min_nodes} nodes gave a reply that opens.",
            "See `failed`.",
            failed=failed,
        )
    response = await _merge(ask, plan, exchanged.sealed_id, replies, failed)
    response.timings["total_ms"] = round((time.perf_counter() - started) * 1000, 3)
    return response


def _answers(exchanged: Exchanged, mode: AnswerMode) -> list[NodeAnswer]:
    """Those that fit; the others are moved to `exchanged.failed`."""
    answers = []
    for node_id, content in exchanged.replies.items():
        try:
            answer = decode_answer(node_id, content)
        except SealingError:
            exchanged.failed[node_id] = "bad_reply"
            continue
        if answer.mode == mode:
            answers.append(answer)
        else:
            exchanged.failed[node_id] = "bad_reply"
    return answers


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
