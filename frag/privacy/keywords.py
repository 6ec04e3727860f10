"""Keywords that many units agree on, under differential privacy: public candidates, clipped votes, one noisy sum.

Every unit votes for few candidates, each node adds a part of the noise to its own sum, and only the sum over all nodes
is ever opened. Knows nothing of how it is summed.

Source: Wu et al. 2024 (ICLR), "Privacy-Preserving In-Context Learning for Large Language Models", §3.3, keyword space
aggregation; Kairouz et al. 2021, "The Distributed Discrete Gaussian Mechanism for Federated Learning with Secure
Aggregation", for noise in parts.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from frag.errors import SettingsError
from frag.privacy.discrete_gaussian import with_variance
from frag.privacy.words import stem, words
from frag.secagg.parameters import Parameters
from frag.secagg.ring import RingArray

MAX_CANDIDATES = 256
MAX_NOISE_MULTIPLIER = 1000.0
_MIN_LOCAL_VARIANCE = 16**2
"""In steps: from a deviation of 16 steps on, sums of discrete Gaussians are one, but for less than 1e-1000."""
_HALF_RING = 2**30

Tally = npt.NDArray[np.int64]
Noise = Callable[[int], int]
"""A variance to one integer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeywordRule:
    """All fixed and public before any document is looked at.

    Args:
        noise_multiplier: σ: deviation of the noise of all who must be left, over the sensitivity of one unit.
        num_nodes: n, who were asked.
        colluders: c: nodes whose noise the coordinator is assumed to know.
        max_votes: m: candidates that a unit votes for at most.
        num_keywords: k: keywords that come out at most.
        min_count: Noisy number of voting units below which no keyword comes out.
        threshold_deviations: Noisy votes that a keyword needs, in deviations of the noise.

    Raises:
        SettingsError: A value is out of its range, or so few nodes may be left that none is sure to be honest.
    """

    noise_multiplier: float
    num_nodes: int
    colluders: int = 1
    max_votes: int = 10
    num_keywords: int = 5
    min_count: float = 20
    threshold_deviations: float = 3.0

    def __post_init__(self) -> None:
        if not (0.01 <= self.noise_multiplier <= MAX_NOISE_MULTIPLIER and self.max_votes >= 1 and self.colluders >= 0):
            raise SettingsError("noise_multiplier, max_votes or colluders is out of range.")
        if self.min_survivors - self.colluders < 1:
            raise SettingsError(
                f"Of {self.num_nodes} nodes {self.min_survivors} may be left, of whom {self.colluders} may collude: "
                "nobody's noise would be sure.",
                "Ask more nodes, or assume fewer colluders.",
            )

    @property
    def min_survivors(self) -> int:
        """n_min: nodes that every sum holds."""
        return Parameters(session="", num_nodes=self.num_nodes, length=1).min_survivors

    @property
    def rho(self) -> float:
        """ρ-zCDP of one sum, for each unit: 1 / (2σ²)."""
        return 1 / (2 * self.noise_multiplier**2)

    @property
    def sensitivity(self) -> float:
        """Δ₂ in votes: m candidates and the count."""
        return math.sqrt(self.max_votes + 1)

    @property
    def scale(self) -> int:
        """Steps of the ring to one vote: the least with which a node's own noise has a deviation of 16 steps."""
        return max(1, math.ceil(math.sqrt(_MIN_LOCAL_VARIANCE / self._votes_variance)))

    @property
    def local_variance(self) -> int:
        """Of one node's noise, in steps²: σ²Δ² / (n_min − c), rounded up."""
        return max(_MIN_LOCAL_VARIANCE, math.ceil(self._votes_variance * self.scale**2))

    @property
    def _votes_variance(self) -> float:
        return (self.noise_multiplier * self.sensitivity) ** 2 / (self.min_survivors - self.colluders)

    @property
    def max_units(self) -> int:
        """Units that one node's sum can show; all that are more change nothing."""
        return _HALF_RING // (self.num_nodes * self.scale)

    def deviation(self, num_summed: int) -> float:
        """Of the noise in the sum of so many nodes, in votes."""
        return math.sqrt(self.local_variance * num_summed) / self.scale

    def threshold(self, num_summed: int) -> float:
        """Noisy votes that a keyword needs."""
        return self.threshold_deviations * self.deviation(num_summed)


def rule_within(rho: float, *, num_nodes: int, colluders: int = 1) -> KeywordRule:
    """The rule whose sums cost at most ρ."""
    noise_multiplier = math.ceil(math.sqrt(1 / (2 * rho)) * 1e9) / 1e9  # rounding must never bring it over the budget
    return KeywordRule(noise_multiplier=noise_multiplier, num_nodes=num_nodes, colluders=colluders)


class Candidates(NamedTuple):
    """What may be voted for, in the public order; the last `num_asked` are the question's own words."""

    words: tuple[str, ...]
    num_asked: int


def choose_candidates(question: str, answer: str, lexicon: Iterable[str], limit: int = MAX_CANDIDATES) -> Candidates:
    """What may be voted for, from public matter alone; no two of one stem.

    Words of the answer come first. Those of the question come last, since whoever writes the answer knows them and
    nearly every passage that is found mentions them: they get votes, and places, that are left.

    Args:
        question: As it was asked.
        answer: Of a language model that has seen no document; may be empty.
        lexicon: Public words, the closest to the question first.
        limit: Of the candidates in all.
    """
    asked = _by_stem(words(question), limit // 4)
    found = {stem: word for stem, word in _by_stem(words(answer), limit // 2).items() if stem not in asked}
    for word in lexicon:
        if len(found) + len(asked) >= limit:
            break
        if (key := stem(word)) not in asked:
            found.setdefault(key, word)
    return Candidates((*found.values(), *asked.values()), len(asked))


def _by_stem(some: Iterable[str], limit: int) -> dict[str, str]:
    found: dict[str, str] = {}
    for word in some:
        if len(found) < limit:
            found.setdefault(stem(word), word)
    return found


def votes_of(text: str, stems: Sequence[str], max_votes: int) -> list[int]:
    """Places of the candidates that a unit votes for: the first `max_votes`, in the public order, that it mentions.

    Args:
        text: The unit's best passage; nothing else about it is read.
        stems: Of the candidates, in their order.
        max_votes: m.
    """
    mentioned = {stem(word) for word in words(text)}
    return [place for place, key in enumerate(stems) if key in mentioned][:max_votes]


def tally(texts: Iterable[str], candidates: Sequence[str], rule: KeywordRule) -> Tally:
    """[candidates + 1] votes of one node's units, and their number: clear, and for this node alone."""
    stems = [stem(word) for word in candidates]
    total = np.zeros(len(candidates) + 1, np.int64)
    for text in texts:
        total[votes_of(text, stems, rule.max_votes)] += 1
        total[-1] += 1
    return total


def noised(votes: Tally, rule: KeywordRule, draw: Noise = with_variance) -> RingArray:
    """What a node gives to the sum: steps, with its part of the noise on each coordinate, modulo 2^32."""
    noise = np.array([draw(rule.local_variance) for _ in votes], np.int64)
    steps = np.minimum(votes, rule.max_units) * rule.scale + noise
    return steps.astype(np.uint32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Keywords:
    """What a sum says, noisy throughout. `found` holds (word, votes), empty if too few voted; most votes first, and
    the question's own words last."""

    count: float
    found: tuple[tuple[str, float], ...]
    enough: bool


def decode(
    total: RingArray, candidates: Sequence[str], num_summed: int, rule: KeywordRule, num_asked: int = 0
) -> Keywords:
    """Keywords from the opened sum of `num_summed` nodes; reads nothing else.

    The last `num_asked` candidates come out only where the others leave places.
    """
    votes = total.astype(np.int32).astype(np.float64) / rule.scale
    enough = bool(votes[-1] >= rule.min_count)
    if not enough:
        return Keywords(count=float(votes[-1]), found=(), enough=False)
    needed = rule.threshold(num_summed)
    strong = [place for place in np.argsort(-votes[:-1], kind="stable") if votes[place] > needed]
    strong.sort(key=lambda place: place >= len(candidates) - num_asked)
    found = tuple((candidates[place], float(votes[place])) for place in strong[: rule.num_keywords])
    return Keywords(count=float(votes[-1]), found=found, enough=True)
