"""The confidence that makes answers of different nodes comparable.

Evidence counts most: the cosine of the question with the best passage is on one scale at all nodes that share
an embedder. The log-probability of the written tokens breaks ties between equally good passages. A logistic
curve joins them; its constants are fixed, so that no node can tell another's scores from its own.
"""

import math

_COSINE_WEIGHT = 8.0
_LOGPROB_WEIGHT = 1.0
_OFFSET = -4.0
"""Chosen so that cosine 0.35 (the default limit) with an unsure model gives 0.1, 0.8 with a sure one 0.9."""

_LOGPROB_RANGE = (-10.0, 0.0)
_LEAST_SCORE = 1e-12


def answer_score(evidence_cosine: float, token_logprob: float) -> float:
    """The logistic of 8 · cosine + log-probability - 4, in [0, 1] and growing in both.

    Args:
        evidence_cosine: Best cosine of question and passage in [-1, 1].
        token_logprob: Mean natural log-probability per written token, ≤ 0; less than -10 counts as -10.

    Returns:
        The score; 0.0 when either argument is not a number.
    """
    if math.isnan(evidence_cosine) or math.isnan(token_logprob):
        return 0.0
    cosine = min(max(evidence_cosine, -1.0), 1.0)
    logprob = min(max(token_logprob, _LOGPROB_RANGE[0]), _LOGPROB_RANGE[1])
    return 1 / (1 + math.exp(-(_COSINE_WEIGHT * cosine + _LOGPROB_WEIGHT * logprob + _OFFSET)))


def evidence_of(score: float, token_logprob: float) -> float:
    """The cosine that `answer_score` made `score` from, in [-1, 1]; 0.0 when either is not a number."""
    if math.isnan(score) or math.isnan(token_logprob):
        return 0.0
    likely = min(max(score, _LEAST_SCORE), 1 - _LEAST_SCORE)
    logprob = min(max(token_logprob, _LOGPROB_RANGE[0]), _LOGPROB_RANGE[1])
    cosine = (math.log(likely / (1 - likely)) - _LOGPROB_WEIGHT * logprob - _OFFSET) / _COSINE_WEIGHT
    return min(max(cosine, -1.0), 1.0)
