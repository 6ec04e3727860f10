"""What an asker is shown of an answer: the body of the response to a question."""

import math
from collections.abc import Mapping, Sequence

import msgspec

from frag.answers.comparable import COSINE
from frag.privacy.promises import promise_of
from frag.privacy.questions import ScrubbedQuestion
from frag.types import AnswerMode, NodeAnswer
from server.questions import QuestionView


class CitationView(msgspec.Struct, frozen=True):
    document: str
    score: float


class AnsweredView(msgspec.Struct, frozen=True, kw_only=True):
    """What one node released; `contributed` says whether the answer rests on it.

    In mode `consensus` the text stays with the coordinator: only what has support comes out.

    `epsilon` and `delta` bound what one unit may tell through all answers of this node; null: nothing is claimed.
    `embedder` is the fingerprint of what its scores were made with; empty where they follow no document.
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
    promise: str = ""
    embedder: str = ""


class FailedView(msgspec.Struct, frozen=True):
    node: str
    code: str


class WithheldView(msgspec.Struct, frozen=True):
    node: str
    reason: str


class QueryResponse(msgspec.Struct, frozen=True, kw_only=True):
    """`answer` is null when every node that replied withheld its own, or nothing found enough support.

    `promise` says what the mode protects and what not; `note` what the asker should know of this answer; `scores` what
    the scores of nodes and citations are: cosines, or calibrated ones where nodes use different embedders.
    """

    query_id: str
    answer: str | None
    answer_mode: AnswerMode
    aggregation: str
    answered: list[AnsweredView]
    failed: list[FailedView]
    withheld: list[WithheldView]
    not_asked: list[str] = []
    question: QuestionView
    timings: dict[str, float]
    promise: str = ""
    note: str = ""
    scores: str = COSINE

    def __repr__(self) -> str:
        return f"QueryResponse({self.query_id}, {len(self.answered)} answered)"


def restored(response: QueryResponse, scrubbed: ScrubbedQuestion, seen: QuestionView) -> QueryResponse:
    """With the asker's own words again where answers repeat their placeholders, and with what was masked."""
    answered = [msgspec.structs.replace(view, answer=scrubbed.restore(view.answer)) for view in response.answered]
    answer = None if response.answer is None else scrubbed.restore(response.answer)
    return msgspec.structs.replace(response, answer=answer, answered=answered, question=seen)


def answered_views(released: Sequence[NodeAnswer], contributors: Sequence[str]) -> list[AnsweredView]:
    """What each node released, in order."""
    return [
        AnsweredView(
            node=reply.node_id,
            answer="" if reply.mode is AnswerMode.CONSENSUS else reply.text,
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
            promise=promise_for(reply.mode, [reply]),
            embedder=reply.embedder,
        )
        for reply in released
    ]


def promise_for(mode: AnswerMode, replies: Sequence[NodeAnswer]) -> str:
    """That of the node which promises least."""
    weakest = max(replies, key=lambda reply: reply.epsilon, default=None)
    if weakest is None or math.isinf(weakest.epsilon):
        return promise_of(mode)
    return promise_of(mode, epsilon=weakest.epsilon, delta=weakest.delta)
