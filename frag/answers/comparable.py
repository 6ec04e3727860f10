"""Scores of nodes that use different embedders are never compared as they are: cosines of two embedders do not compare.

Where all nodes share an embedder, its cosines are the best measure there is and stay. Otherwise each node's scores are
read on a scale that all embedders share (`retrievers.scale` says how it is found).
"""

from collections.abc import Sequence
from dataclasses import replace

from frag.answers.calibration import answer_score, evidence_of
from frag.types import AnswerMode, Citation, NodeAnswer, Scale

COSINE = "cosine"
CALIBRATED = "calibrated: nodes use different embedders"
_LEAST = -1.0
"""Evidence of a node that does not say how its scores compare."""


def comparable(answers: Sequence[NodeAnswer]) -> tuple[list[NodeAnswer], str]:
    """The answers with scores that compare, and what these are: `COSINE` or `CALIBRATED`.

    Answers in mode `dp` stay as they are, since their scores follow nothing. A node with another embedder than the rest
    that does not say how its scores compare counts least.
    """
    scored = [answer for answer in answers if answer.mode is not AnswerMode.DP and not answer.withheld]
    if len({answer.embedder for answer in scored}) <= 1:
        return list(answers), COSINE
    return [answer if answer.mode is AnswerMode.DP else _calibrated(answer) for answer in answers], CALIBRATED


def _calibrated(answer: NodeAnswer) -> NodeAnswer:
    score = answer.score
    if answer.text:
        evidence = _on_scale(answer.scale, evidence_of(answer.score, answer.token_logprob))
        score = answer_score(evidence, answer.token_logprob) if answer.scale else 0.0
    citations = tuple(
        Citation(document_alias=c.document_alias, score=_on_scale(answer.scale, c.score)) for c in answer.citations
    )
    return replace(answer, score=score, citations=citations)


def _on_scale(scale: Scale | None, cosine: float) -> float:
    return _LEAST if scale is None else min(max(scale.slope * cosine + scale.offset, -1.0), 1.0)
