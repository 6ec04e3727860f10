"""What is measured: recall over source documents, exact match and token F1, percentiles, bootstrap intervals."""

from collections.abc import Sequence

import numpy as np

from frag.answers.scoring import exact_match, token_f1
from server.evaluation.datasets import LabelledQuestion

CUTS = (1, 5, 10)

Citations = Sequence[tuple[str, float]]
"""(source document, cosine of its best chunk) as one node or several cited them."""


def rank_documents(citations: Citations) -> list[str]:
    """Source documents by the cosine of their best chunk, each once; ties by id, so that no order of nodes shows."""
    best: dict[str, float] = {}
    for document_id, score in citations:
        best[document_id] = max(score, best.get(document_id, -2.0))
    return sorted(best, key=lambda document_id: (-best[document_id], document_id))


def recalls(rankings: Sequence[Sequence[str]], questions: Sequence[LabelledQuestion]) -> dict[str, float]:
    """Share of questions whose document is among the first k, for each k of CUTS."""
    found = [
        ranking.index(question.document_id) if question.document_id in ranking else len(ranking) + max(CUTS)
        for ranking, question in zip(rankings, questions, strict=True)
    ]
    return {f"recall@{k}": _mean([place < k for place in found]) for k in CUTS}


def answer_quality(answers: Sequence[str | None], questions: Sequence[LabelledQuestion]) -> dict[str, float]:
    """Exact match, token F1 (an abstention counts as 0), and the share of abstentions."""
    pairs = list(zip(answers, questions, strict=True))
    return {
        "exact_match": _mean([bool(answer) and exact_match(answer or "", q.golds) for answer, q in pairs]),
        "token_f1": _mean(f1_scores(answers, questions)),
        "abstention": _mean([not answer for answer in answers]),
    }


def f1_scores(answers: Sequence[str | None], questions: Sequence[LabelledQuestion]) -> list[float]:
    """Token F1 of each answer; 0 for an abstention."""
    return [token_f1(answer, q.golds) if answer else 0.0 for answer, q in zip(answers, questions, strict=True)]


def percentiles(samples_s: Sequence[float]) -> dict[str, float]:
    """p50 and p95, in the unit of the samples."""
    p50, p95 = np.percentile(np.asarray(samples_s), [50, 95])
    return {"p50": round(float(p50), 4), "p95": round(float(p95), 4)}


def interval_95(differences: Sequence[float], seed: int = 0, num_resamples: int = 2000) -> tuple[float, float]:
    """Paired bootstrap interval of the mean difference (Efron 1979)."""
    values = np.asarray(differences, dtype=np.float64)
    picks = np.random.default_rng(seed).integers(0, len(values), size=(num_resamples, len(values)))
    low, high = np.percentile(values[picks].mean(axis=1), [2.5, 97.5])
    return round(float(low), 4), round(float(high), 4)


def _mean(values: Sequence[float]) -> float:
    return round(float(np.mean(values)), 4) if len(values) else 0.0
