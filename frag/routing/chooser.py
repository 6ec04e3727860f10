"""The choice of m nodes for a question, from claims that may be forged.

Three bounds, none of which needs to know who lies. A node's share of the question's topics is divided by its share of
what is asked at all: who claims everything is above average nowhere. Past answers change a score by a quarter at most.
And over time no node is sent more than twice its even share of the questions, whatever it claims.
"""

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

import numpy as np

from frag.routing.anchors import NUM_ANCHORS
from frag.routing.profiles import Shares

EXPLORE = 0.1
"""Share of questions whose last place goes to a node outside the best, so that a new node is asked at all."""

QUOTA = 2.0
"""A node is sent at most this multiple of its even share, m / n, of the questions it could have been sent."""

MIN_WEIGHT, MAX_WEIGHT = 0.75, 1.25
_SLACK = 5.0
"""Questions beyond the quota: runs of one topic are usual."""

_KEEP = 0.999
"""How much of the past counts at the next question: about the last thousand."""

_PRIOR_QUESTIONS = 50.0
"""Weight, in questions, of the assumption that all topics are asked alike."""


class Chooser:
    """Learns from released answers and from which topics are asked; keeps no question. Not thread-safe."""

    def __init__(self, random_source: random.Random | None = None, explore: float = EXPLORE) -> None:
        self._random = random_source or random.SystemRandom()
        self._explore = explore
        self._topics = np.full(NUM_ANCHORS, _PRIOR_QUESTIONS / NUM_ANCHORS)
        self._allowed: defaultdict[str, float] = defaultdict(float)
        self._sent: defaultdict[str, float] = defaultdict(float)
        self._asked: Counter[str] = Counter()
        self._helped: Counter[str] = Counter()

    def choose(self, affinity: Shares, shares: Mapping[str, Shares], number: int) -> list[str]:
        """The nodes to ask, at most `number`, best first.

        Args:
            affinity: What the question is about, [64], from `affinities`.
            shares: By node, from `topic_shares`.
            number: m ≥ 1.
        """
        scores = self._scores(affinity, shares)
        for node in shares:
            self._allowed[node] = _KEEP * self._allowed[node] + QUOTA * number / len(shares)
            self._sent[node] *= _KEEP
        ranked = sorted(shares, key=lambda node: (self._is_over(node), -scores[node], self._sent[node], node))
        chosen = self._explored(ranked, number)
        for node in chosen:
            self._sent[node] += 1
        self._topics = _KEEP * self._topics + affinity
        return chosen

    def _scores(self, affinity: Shares, shares: Mapping[str, Shares]) -> dict[str, float]:
        asked = self._topics / self._topics.sum()
        return {
            node: self.weight(node) * float(affinity @ share) / max(float(asked @ share), 1e-12)
            for node, share in shares.items()
        }

    def _is_over(self, node: str) -> bool:
        return self._sent[node] + 1 > self._allowed[node] + _SLACK

    def _explored(self, ranked: list[str], number: int) -> list[str]:
        chosen, others = ranked[:number], ranked[number:]
        if others and self._random.random() < self._explore:
            return [*chosen[:-1], self._random.choice(others)]
        return chosen

    def learn(self, asked: Iterable[str], helped: Iterable[str]) -> None:
        """Notes who was asked, and whose released answer the merged one rests on."""
        self._asked.update(asked)
        self._helped.update(helped)

    def weight(self, node: str) -> float:
        """Between 0.75 and 1.25; a node that was never asked has 1."""
        success = (self._helped[node] + 1) / (self._asked[node] + 2)
        return MIN_WEIGHT + (MAX_WEIGHT - MIN_WEIGHT) * success
