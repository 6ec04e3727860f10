"""Routing hijack: a node with a forged profile wants to be asked what it has no answer to.

Before: nodes are scored by their counts as they claim them. After: as `frag.routing` bounds them, with the evil node at
the highest weight that lying answers could earn it and the honest ones at that of newcomers.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from frag.anchors import NUM_ANCHORS
from frag.routing import best, scores, topic_shares

EVIL = "evil"
MAX_CLAIM = 1_000_000_000
MAX_WEIGHT = 1.5
"""The highest weight of `server.coordinator.routing`."""

_Affinity = npt.NDArray[np.float64]
Figures = dict[str, float]


def routing_hijack(
    profiles: Mapping[str, Sequence[int]], affinity: _Affinity, right: Sequence[str], number: int
) -> dict[str, dict[str, Figures]]:
    """What one evil node attracts, by attack, before and after the defence.

    Args:
        profiles: Counts of the honest nodes, [64] each.
        affinity: [questions, 64], from `frag.routing.affinities`.
        right: The node that holds the answer, one a question.
        number: m of `top:m`.

    Returns:
        attack → "before" | "after" → `attracted` (share of all questions with the evil node among the m), `on_topic`
        (the same among the questions about the topic that "one_topic" claims) and `recall` (share of questions with
        the right node among the m). A node that is no better than chance attracts m / (nodes + 1).
    """
    topic = int(affinity.sum(axis=0).argmax())
    claims = {
        "everything": [MAX_CLAIM] * NUM_ANCHORS,
        "one_topic": [MAX_CLAIM if number == topic else 0 for number in range(NUM_ANCHORS)],
        "copies_all": np.maximum(np.sum(list(profiles.values()), axis=0), 0).astype(int).tolist(),
    }
    about = affinity.argmax(axis=1) == topic
    found = {}
    for attack, claim in claims.items():
        all_profiles = {**profiles, EVIL: claim}
        found[attack] = {
            "before": _figures(_by_claims(all_profiles, affinity, number), about, right),
            "after": _figures(_by_product(all_profiles, affinity, number), about, right),
        }
    return found


def _by_claims(profiles: Mapping[str, Sequence[int]], affinity: _Affinity, number: int) -> list[list[str]]:
    sizes = {node: np.maximum(np.asarray(counts, dtype=np.float64), 0) for node, counts in profiles.items()}
    return [best(scores(row, sizes, {}), number) for row in affinity]


def _by_product(profiles: Mapping[str, Sequence[int]], affinity: _Affinity, number: int) -> list[list[str]]:
    shares = topic_shares(profiles)
    return [best(scores(row, shares, {EVIL: MAX_WEIGHT}), number) for row in affinity]


def _figures(chosen: Sequence[Sequence[str]], about: npt.NDArray[np.bool_], right: Sequence[str]) -> Figures:
    attracted = np.array([EVIL in nodes for nodes in chosen])
    return {
        "attracted": round(float(attracted.mean()), 4),
        "on_topic": round(float(attracted[about].mean()), 4) if about.any() else 0.0,
        "recall": round(float(np.mean([node in nodes for node, nodes in zip(right, chosen, strict=True)])), 4),
    }
