"""Whether nodes say "not found" when, and only when, the evidence lies at other nodes."""

from collections.abc import Mapping, Sequence
from typing import Any

from frag.privacy.release import WithheldReason

_ABSTAINED = frozenset({WithheldReason.NO_EVIDENCE, WithheldReason.NO_ANSWER})


def abstention(responses: Sequence[Mapping[str, Any] | None], homes: Sequence[str]) -> dict[str, float]:
    """Precision and recall of abstaining over all (question, node) pairs that were answered or withheld.

    A node is right to abstain when the question's document lies elsewhere.

    Args:
        responses: Bodies of `POST /v1/query`, None where the question failed.
        homes: For each question, the node that holds its document.
    """
    right = wrong = missed = 0
    for response, home in zip(responses, homes, strict=True):
        if response is None:
            continue
        abstained = {item["node"] for item in response["withheld"] if item["reason"] in _ABSTAINED}
        right += len(abstained - {home})
        wrong += len(abstained & {home})
        missed += len({item["node"] for item in response["answered"]} - {home})
    return {
        "precision": round(right / (right + wrong), 4) if right + wrong else 0.0,
        "recall": round(right / (right + missed), 4) if right + missed else 0.0,
        "num_abstained": right + wrong,
        "num_elsewhere": right + missed,
    }
