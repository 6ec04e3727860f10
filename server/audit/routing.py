"""Routing hijack: a node with a forged profile wants to be asked what it has no answer to.

Before: nodes are scored by their counts as they claim them. After: as the product chooses (`frag.routing.Chooser`),
with the evil node's past answers all taken for good, and the honest nodes' unknown.
"""

import random
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from frag.protocols import Progress
from frag.routing import NUM_ANCHORS, Chooser, topic_shares
from server.audit.report import AuditSettings, Outcome, Report, Verdict, verdict

EVIL = "evil"
MAX_CLAIM = 1_000_000_000
_NUM_POPULAR = 10
_NUM_NODES, _TOPICS_OF_A_NODE, _UNITS_OF_A_TOPIC, _NOISE_SD, _ASKED = 6, 8, 40, 4.0, 2
_MOST = 2 * _ASKED / (_NUM_NODES + 1)
"""About what the chooser promises of one node over time: twice an even share."""
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


def run(settings: AuditSettings, progress: Progress) -> Report:
    """Six nodes with topics of their own, and a seventh that forges. Profiles and questions are drawn by the seed."""
    numbers = np.random.default_rng(settings.seed)
    num_questions = 400 if settings.quick else 4_000
    progress(0, 1)
    profiles, topics = _drawn_profiles(numbers)
    right = [f"node-{number}" for number in numbers.integers(0, _NUM_NODES, num_questions)]
    affinity = np.stack([_about(topics[node], numbers) for node in right])
    found = routing_hijack(profiles, affinity, right, _ASKED, settings.seed)
    outcomes = [
        Outcome(
            mode=f"{attack}, {when}",
            figures=figures | {"even_share": found[attack]["even"]["attracted"]},
            claim=f"at most {_MOST:g} of the questions go to one node" if when == "after" else "",
            verdict=verdict(held=figures["attracted"] <= _MOST) if when == "after" else Verdict.MEASURED,
        )
        for attack in found
        for when, figures in found[attack].items()
        if when != "even"
    ]
    return Report(attack="routing", outcomes=outcomes, notes=[f"{_ASKED} of {_NUM_NODES + 1} nodes are asked"])


def _drawn_profiles(numbers: np.random.Generator) -> tuple[dict[str, list[int]], dict[str, npt.NDArray[np.int64]]]:
    profiles, topics = {}, {}
    for number in range(_NUM_NODES):
        topics[f"node-{number}"] = numbers.choice(NUM_ANCHORS, _TOPICS_OF_A_NODE, replace=False)
        counts = numbers.normal(0, _NOISE_SD, NUM_ANCHORS)
        counts[topics[f"node-{number}"]] += _UNITS_OF_A_TOPIC
        profiles[f"node-{number}"] = counts.round().astype(int).tolist()
    return profiles, topics


def _about(topics: npt.NDArray[np.int64], numbers: np.random.Generator) -> _Affinity:
    """A question mostly about one of these topics."""
    shares = numbers.dirichlet(np.full(NUM_ANCHORS, 0.05))
    shares *= 0.4
    shares[numbers.choice(topics)] += 0.6
    return shares
