"""Routing hijack: a node with a forged profile wants to be asked what it has no answer to.

Before: nodes are scored by their counts as they claim them. After: as the product chooses (`frag.routing.Chooser`),
with the evil node's past answers all taken for good, and the honest nodes' unknown.
"""

import random
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from frag.routing import NUM_ANCHORS, Chooser, topic_shares

EVIL = "evil"
MAX_CLAIM = 1_000_000_000
_NUM_POPULAR = 10
_TRUSTED_ANSWERS = 100_000

_Affinity = npt.NDArray[np.float64]
_Choose = Callable[[_Affinity], Sequence[str]]
Figures = dict[str, float]


def routing_hijack(
    profiles: Mapping[str, Sequence[int]], affinity: _Affinity, right: Sequence[str], number: int, seed: int = 0
) -> dict[str, dict[str, Figures]]:
    """What one evil node attracts, by attack, before and after the defence.

    Args:
        profiles: Counts of the honest nodes, [64] each.
        affinity: [questions, 64], from `frag.routing.affinities`, in the order of asking.
        right: The node that holds the answer, one a question.
        number: m of `top:m`.
        seed: Of the exploration.

    Returns:
        attack → "before" | "after" → `attracted` (share of all questions with the evil node among the m), `on_topic`
        (the same among the questions about the topic that is asked most) and `recall` (share of questions with the
        right node among the m). A node that is no better than chance attracts m / (nodes + 1), which is `even`.
    """
    popularity = affinity.sum(axis=0)
    popular = np.argsort(-popularity)
    claims = {
        "everything": np.full(NUM_ANCHORS, MAX_CLAIM),
        "one_topic": _claim(popularity, popular[:1]),
        "popular_topics": _claim(popularity, popular[:_NUM_POPULAR]),
        "copies_all": np.maximum(np.sum(list(profiles.values()), axis=0), 0).astype(np.int64),
    }
    about = affinity.argmax(axis=1) == popular[0]
    found = {}
    for attack, claim in claims.items():
        forged = {**profiles, EVIL: claim.tolist()}
        found[attack] = {
            "before": _figures([_by_claims(forged, number)(row) for row in affinity], about, right),
            "after": _figures(list(map(_by_product(forged, number, seed), affinity)), about, right),
            "even": {"attracted": round(number / len(forged), 4)},
        }
    return found


def _claim(popularity: npt.NDArray[np.float64], topics: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The topics named, in the proportions in which they are asked."""
    claim = np.zeros(NUM_ANCHORS, dtype=np.int64)
    claim[topics] = (MAX_CLAIM * popularity[topics] / popularity[topics].max()).astype(np.int64)
    return claim


def _by_claims(profiles: Mapping[str, Sequence[int]], number: int) -> _Choose:
    sizes = {node: np.maximum(np.asarray(counts, dtype=np.float64), 0) for node, counts in profiles.items()}
    return lambda row: sorted(sizes, key=lambda node: (-float(row @ sizes[node]), node))[:number]


def _by_product(profiles: Mapping[str, Sequence[int]], number: int, seed: int) -> _Choose:
    chooser = Chooser(random.Random(seed))  # noqa: S311 - a reproducible figure, no secret
    chooser.learn([EVIL] * _TRUSTED_ANSWERS, [EVIL] * _TRUSTED_ANSWERS)
    shares = topic_shares(profiles)
    return lambda row: chooser.choose(row, shares, number)


def _figures(chosen: Sequence[Sequence[str]], about: npt.NDArray[np.bool_], right: Sequence[str]) -> Figures:
    attracted = np.array([EVIL in nodes for nodes in chosen])
    return {
        "attracted": round(float(attracted.mean()), 4),
        "on_topic": round(float(attracted[about].mean()), 4) if about.any() else 0.0,
        "recall": round(float(np.mean([node in nodes for node, nodes in zip(right, chosen, strict=True)])), 4),
    }
