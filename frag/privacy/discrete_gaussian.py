"""Exact samples of the discrete Gaussian: integer arithmetic alone, so that no rounding tells of what was noised.

Time depends on the draws. Source: Canonne, Kamath and Steinke 2020, "The Discrete Gaussian for Differential Privacy",
Algorithms 1 to 3.
"""

import math
import secrets
from collections.abc import Callable

Below = Callable[[int], int]
"""Draws from {0, …, n − 1}, uniformly."""


def discrete_gaussian(variance: int, below: Below = secrets.randbelow) -> int:
    """One integer x with probability proportional to exp(−x² / (2 · variance)) (Algorithm 3).

    Args:
        variance: σ², at least 1.
        below: The operating system's generator, unless a test says otherwise.

    Raises:
        ValueError: The variance is below 1.
    """
    if variance < 1:
        raise ValueError(f"a variance of {variance} is below 1")
    scale = math.isqrt(variance) + 1
    while True:
        drawn = discrete_laplace(scale, below)
        distance = abs(drawn) * scale - variance
        if happens_exp(distance * distance, 2 * variance * scale * scale, below):
            return drawn


def discrete_laplace(scale: int, below: Below = secrets.randbelow) -> int:
    """One integer x with probability proportional to exp(−|x| / scale) (Algorithm 2)."""
    while True:
        rest = below(scale)
        if not happens_exp(rest, scale, below):
            continue
        whole = 0
        while happens_exp(1, 1, below):
            whole += 1
        size, is_negative = rest + scale * whole, below(2) == 1
        if size or not is_negative:  # zero has one sign only
            return -size if is_negative else size


def happens_exp(numerator: int, denominator: int, below: Below = secrets.randbelow) -> bool:
    """True with probability exp(−numerator / denominator), for a fraction ≥ 0 (Algorithm 1)."""
    while numerator > denominator:
        if not _happens_exp_at_most_1(1, 1, below):
            return False
        numerator -= denominator
    return _happens_exp_at_most_1(numerator, denominator, below)


def _happens_exp_at_most_1(numerator: int, denominator: int, below: Below) -> bool:
    """The first k for which an event of probability γ/k does not happen is odd with probability exp(−γ)."""
    k = 1
    while below(denominator * k) < numerator:
        k += 1
    return k % 2 == 1
