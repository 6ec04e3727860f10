"""Integer noise without the gaps of floating point: the discrete Gaussian, sampled exactly from the OS CSPRNG.

Added to an integer query of L2 sensitivity Δ it is (Δ²/2σ²)-zCDP, like the continuous one (Theorem 4 of the source).

Source: Canonne, Kamath and Steinke 2020, "The Discrete Gaussian for Differential Privacy", Algorithms 1 to 3.
"""

import math
import secrets
from fractions import Fraction


def discrete_gaussian(sd: float) -> int:
    """One draw with σ = `sd` > 0. All arithmetic is on integers and fractions. Raises ValueError unless sd > 0."""
    if not sd > 0:
        raise ValueError(f"σ must be positive, got {sd}")
    return with_variance(Fraction(sd) ** 2)


def with_variance(variance: Fraction | int) -> int:
    """One draw with σ² = `variance` > 0. Raises ValueError unless it is."""
    if not variance > 0:
        raise ValueError(f"σ² must be positive, got {variance}")
    scale = math.isqrt(int(variance)) + 1
    while True:
        drawn = _discrete_laplace(scale)
        if _bernoulli_exp(Fraction((abs(drawn) * scale - variance) ** 2) / (2 * variance * scale * scale)):
            return drawn


def _discrete_laplace(scale: int) -> int:
    """Probability proportional to exp(-|x| / scale)."""
    while True:
        rest = secrets.randbelow(scale)
        if not _bernoulli_exp(Fraction(rest, scale)):
            continue
        whole = 0
        while _bernoulli_exp(Fraction(1)):
            whole += 1
        magnitude = rest + scale * whole
        negative = secrets.randbelow(2) == 1
        if negative and magnitude == 0:
            continue
        return -magnitude if negative else magnitude


def _bernoulli_exp(exponent: Fraction) -> bool:
    """True with probability exp(-exponent), exponent ≥ 0."""
    while exponent > 1:
        if not _bernoulli_exp_below_one(Fraction(1)):
            return False
        exponent -= 1
    return _bernoulli_exp_below_one(exponent)


def _bernoulli_exp_below_one(exponent: Fraction) -> bool:
    number = 1
    while _bernoulli(exponent / number):
        number += 1
    return number % 2 == 1


def _bernoulli(probability: Fraction) -> bool:
    return secrets.randbelow(probability.denominator) < probability.numerator
