"""Intervals of shares, how well two samples can be told apart, and what that says of ε."""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from server.audit.report import Interval

Scores = npt.NDArray[np.float64]
_CONFIDENCE = 0.95


def wilson(successes: int, trials: int) -> Interval:
    """95 % interval of a share; (0, 1) without trials. Source: Wilson 1927."""
    if not trials:
        return 0.0, 1.0
    z = 1.959963984540054
    share = successes / trials
    middle = share + z * z / (2 * trials)
    spread = z * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    low, high = ((middle + side * spread) / (1 + z * z / trials) for side in (-1, 1))
    # at the ends the formula is exact, its rounding is not
    return 0.0 if successes == 0 else low, 1.0 if successes == trials else high


def clopper_pearson(successes: int, trials: int, confidence: float = _CONFIDENCE) -> Interval:
    """Exact interval of a share, two-sided. Source: Clopper and Pearson 1934."""
    from scipy.special import betaincinv

    tail = (1 - confidence) / 2
    low = float(betaincinv(successes, trials - successes + 1, tail)) if successes else 0.0
    high = float(betaincinv(successes + 1, trials - successes, 1 - tail)) if successes < trials else 1.0
    return low, high


class Separation(NamedTuple):
    """How an attacker's score separates members from others."""

    auc: float
    tpr: float
    """True positives at a false-positive rate of at most 1 %."""
    num_true: int


def separation(inside: Scores, outside: Scores, rate: float = 0.01) -> Separation:
    """AUC with ties counted half, and the true positives above the threshold that lets `rate` of the others pass."""
    order = np.sort(outside)
    below = np.searchsorted(order, inside, side="left")
    ties = np.searchsorted(order, inside, side="right") - below
    auc = float((below + ties / 2).mean() / len(outside))
    threshold = order[len(order) - 1 - int(rate * len(order))]
    num_true = int((inside > threshold).sum())
    return Separation(auc, num_true / len(inside), num_true)


def epsilon_lower_bound(inside: Scores, outside: Scores, delta: float) -> float:
    """The largest ε that the scores refute at 95 %: the mechanism behind them is (ε, δ)-DP for no smaller one.

    The event is chosen on the first half of the runs and counted on the second, so that choosing costs nothing.
    Clopper–Pearson bounds of both shares hold together (Bonferroni).

    Source: Jagielski, Ullman and Oprea 2020, "Auditing Differentially Private Machine Learning", §3; Nasr et al. 2021,
    "Adversary Instantiation", §4.

    Args:
        inside: The attacker's score of each run with the unit.
        outside: Of each run without it.
        delta: δ of the claim.
    """
    worlds = (inside, outside)
    chosen = [world[: len(world) // 2] for world in worlds]
    counted = [world[len(world) // 2 :] for world in worlds]
    best, event = 0.0, None
    for threshold in _thresholds(chosen):
        for above in (True, False):
            for first in (0, 1):
                found = _bound(chosen[first], chosen[1 - first], float(threshold), delta, above=above)
                if found > best:
                    best, event = found, (first, float(threshold), above)
    if event is None:
        return 0.0
    first, threshold, above = event
    return max(0.0, _bound(counted[first], counted[1 - first], threshold, delta, above=above))


def _thresholds(worlds: list[Scores]) -> Scores:
    found: Scores = np.unique(np.quantile(np.concatenate(worlds), np.linspace(0, 1, 201)))
    return found


def _bound(likely: Scores, unlikely: Scores, threshold: float, delta: float, *, above: bool) -> float:
    """ln((p − δ) / q) with the lower bound of p and the upper bound of q."""
    p, q = (
        clopper_pearson(int((world >= threshold if above else world < threshold).sum()), len(world))
        for world in (likely, unlikely)
    )
    # both intervals are two-sided at 95 %, of which one side each is used: together they hold at 95 %
    return math.log((p[0] - delta) / q[1]) if p[0] > delta else 0.0
