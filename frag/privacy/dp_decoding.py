"""One token that says little about any one unit: clipped votes of references on top of public logits.

Source: Vinod, Pillutla and Thakurta 2025, "InvisibleInk: High-Utility and Low-Cost Text Generation with Differential
Privacy", Algorithm 1. Numpy alone, so that audits can run it a hundred thousand times.
"""

import math
import secrets
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from frag.errors import SettingsError
from frag.privacy.accounting import decoding_rho

Logits = npt.NDArray[np.float64]
Uniform = Callable[[], float]
"""Draws from [0, 1)."""


def from_system() -> float:
    """53 bits of the operating system's generator: whoever sees answers must not be able to know the draws."""
    return secrets.randbits(53) * 2.0**-53


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodingRule:
    """All fixed and public before any document is looked at.

    `clip` is C; `references` is S, the divisor, whatever the number of units found; `temperature` is τ; `num_tokens` is
    T. A unit's passage is read up to `passage_tokens`.

    Raises:
        SettingsError: A value is not positive.
    """

    clip: float
    references: int
    temperature: float = 1.1
    top_k: int = 100
    num_tokens: int = 64
    passage_tokens: int = 192

    def __post_init__(self) -> None:
        values = (self.clip, self.references, self.temperature, self.top_k, self.num_tokens, self.passage_tokens)
        if not all(0 < value < math.inf for value in values):
            raise SettingsError("clip, references, temperature, top_k and the numbers of tokens are positive.")

    @property
    def rho(self) -> float:
        """ρ-zCDP of one whole answer, for each unit."""
        return decoding_rho(self.clip, self.references, self.temperature, self.num_tokens)


def mixed_logits(public: Logits, references: Logits, rule: DecodingRule) -> Logits:
    """z_pub + (1/S) Σ clip(z_i − z_pub, ±C), and −∞ outside of the public top-k+.

    One unit moves an entry by at most C/S: the divisor is public, never the number of references.

    Args:
        public: [vocabulary], with no document.
        references: [units, vocabulary], one row a unit; none gives the public logits.
        rule: Public.
    """
    votes = np.clip(references - public, -rule.clip, rule.clip).sum(axis=0) / rule.references
    return np.where(expanded_top_k(public, rule), public + votes, -np.inf)


def expanded_top_k(public: Logits, rule: DecodingRule) -> npt.NDArray[np.bool_]:
    """Tokens that could be among the k largest under any documents: from public values alone (paper, §3, top-k+)."""
    k = min(rule.top_k, len(public))
    least = np.partition(public, -k)[-k]
    found: npt.NDArray[np.bool_] = public >= least - 2 * rule.clip / rule.references
    return found


def draw(logits: Logits, temperature: float, uniform: Uniform = from_system) -> int:
    """One token from softmax(z / τ), by inversion."""
    scaled = (logits - logits.max()) / temperature
    weights = np.exp(scaled)
    reached = np.cumsum(weights)
    place = int(np.searchsorted(reached, uniform() * reached[-1], side="right"))
    return min(place, int(np.flatnonzero(weights)[-1]))


def next_token(public: Logits, references: Logits, rule: DecodingRule, uniform: Uniform = from_system) -> int:
    """The mechanism whole: ½ (C / (S τ))²-zCDP for each unit."""
    return draw(mixed_logits(public, references, rule), rule.temperature, uniform)
