"""DP-SGD against its worst neighbour: one canary gradient, and an attacker who knows every other unit and every result.

Sampling, clipping and noise are the product's own, run many times at once. Controls are the same steps with a known
fault under the same claim: an audit that does not catch them proves nothing.

Source: Nasr et al. 2021, "Adversary Instantiation: Lower Bounds for Differentially Private Machine Learning", §4;
Jagielski, Ullman and Oprea 2020, "Auditing Differentially Private Machine Learning", §3, for the bound.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from frag.privacy.accounting import DELTA, plan_epsilon
from frag.privacy.draws import Floats, SecretDraws
from frag.privacy.noised_sum import clipped, noised_mean, taking_part
from frag.protocols import Progress
from server.audit.report import AuditSettings, Outcome, Report, verdict

NUM_RUNS, NUM_QUICK_RUNS = 100_000, 10_000
_RUNS_AT_ONCE = 20_000
_CLIP = 1.0


@dataclass(frozen=True, slots=True)
class Design:
    """A plan, the gradients that make it look worst (those of other units, and the canary's), and δ of the claim."""

    noise_multiplier: float
    rate: float
    steps: int
    others: tuple[tuple[float, float], ...]
    canary: tuple[float, float]
    delta: float = DELTA

    @property
    def epsilon(self) -> float:
        """What the product's accounting says of it."""
        return plan_epsilon(self.noise_multiplier, self.rate, self.steps, self.delta)

    @property
    def expected(self) -> float:
        """By the public N, which counts the others alone."""
        return self.rate * len(self.others)


SAMPLED = Design(2.0, 0.25, 10, others=((0.0, 30.0),) * 4, canary=(30.0, 0.0))
"""Batches are drawn; the others say nothing in the canary's direction."""

FULL = Design(1.0, 1.0, 1, others=((1.0, 0.0),) * 8, canary=(-1.0, 0.0), delta=0.05)
"""Every unit takes part, and the canary stands against all others: what divides by their number shows it twice. A claim
holds for every δ; at a large one few runs tell 2 / σ from 1 / σ."""


@dataclass(frozen=True, slots=True)
class Steps:
    """The parts of a step that a fault may replace; without one, the product's.

    `mean` takes the sums of clipped rows [runs, d], how many took part [runs, 1], the design and the draws.
    """

    clip: Callable[[Floats, float], Floats]
    mean: Callable[[Floats, Floats, Design, SecretDraws], Floats]


def _mean(total: Floats, _count: Floats, design: Design, draws: SecretDraws) -> Floats:
    return noised_mean(
        total, clip_norm=_CLIP, noise_multiplier=design.noise_multiplier, expected=design.expected, draws=draws
    )


def _mean_of_batch(total: Floats, count: Floats, design: Design, draws: SecretDraws) -> Floats:
    sigma = design.noise_multiplier
    noised = noised_mean(total, clip_norm=_CLIP, noise_multiplier=sigma, expected=design.expected, draws=draws)
    return noised * design.expected / np.maximum(count, 1.0)


def _quarter_noise(total: Floats, _count: Floats, design: Design, draws: SecretDraws) -> Floats:
    sigma = design.noise_multiplier / 4
    return noised_mean(total, clip_norm=_CLIP, noise_multiplier=sigma, expected=design.expected, draws=draws)


PRODUCT = Steps(clipped, _mean)
CONTROLS: Mapping[str, tuple[Design, Steps]] = {
    "noise / 4": (SAMPLED, Steps(clipped, _quarter_noise)),
    "no clip": (SAMPLED, Steps(lambda rows, _clip: rows, _mean)),
    "divide by the batch": (FULL, Steps(clipped, _mean_of_batch)),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Audited:
    """`lower_bound` is an ε that the runs refute at 95 %: over `claimed` it breaks the claim, or catches a control."""

    name: str
    is_control: bool
    claimed: float
    lower_bound: float
    delta: float
    num_runs: int


def audit_training(*, quick: bool = False, draws: SecretDraws | None = None) -> list[Audited]:
    """The product under both designs, then every control. Blocking, for seconds.

    Draws are the operating system's unless `draws` repeats others. Of sound mechanisms, up to one in twenty is refuted.
    """
    draws = draws or SecretDraws()
    num_runs = NUM_QUICK_RUNS if quick else NUM_RUNS
    cases = [("sampled batches", SAMPLED, PRODUCT), ("full batches", FULL, PRODUCT)]
    cases += [(name, design, steps) for name, (design, steps) in CONTROLS.items()]
    return [
        Audited(
            name=name,
            is_control=steps is not PRODUCT,
            claimed=design.epsilon,
            lower_bound=epsilon_lower_bound(*scores(design, steps, num_runs, draws), design.delta),
            delta=design.delta,
            num_runs=num_runs,
        )
        for name, design, steps in cases
    ]


def scores(design: Design, steps: Steps, num_runs: int, draws: SecretDraws) -> tuple[Floats, Floats]:
    """The attacker's score of `num_runs` runs with the canary, and of as many without it."""
    others = np.array(design.others)
    inside = np.vstack([others, design.canary])
    parts = [min(_RUNS_AT_ONCE, num_runs - start) for start in range(0, num_runs, _RUNS_AT_ONCE)]
    played = [np.concatenate([_played(rows, design, steps, n, draws) for n in parts]) for rows in (inside, others)]
    return played[0], played[1]


def _played(rows: Floats, design: Design, steps: Steps, num_runs: int, draws: SecretDraws) -> Floats:
    """The log-likelihood ratio of the canary over all steps, as it would be without a fault."""
    found = np.zeros(num_runs)
    direction = clipped(design.canary, 1.0)
    known = float(clipped(np.array(design.others), _CLIP).sum(axis=0) @ direction) * design.rate
    for _ in range(design.steps):
        takes_part = taking_part(draws, design.rate, num_runs, len(rows)).astype(np.float64)
        total = takes_part @ steps.clip(rows, _CLIP)
        mean = steps.mean(total, takes_part.sum(axis=1, keepdims=True), design, draws)
        seen = (mean @ direction) * design.expected - known
        ratio = (2 * seen - _CLIP) * _CLIP / (2 * (design.noise_multiplier * _CLIP) ** 2)
        found += np.logaddexp(np.log1p(-design.rate) if design.rate < 1 else -np.inf, math.log(design.rate) + ratio)
    return found


def epsilon_lower_bound(inside: Floats, outside: Floats, delta: float) -> float:
    """ln((p − δ) / q) for the best threshold, p and q at their Clopper–Pearson bounds, which hold at 95 % together.

    The threshold is chosen on the first half of the runs and its rates are counted on the second.
    """
    half = len(inside) // 2
    thresholds = np.unique(np.quantile(np.concatenate([inside[:half], outside[:half]]), np.linspace(0.01, 1, 400)))
    best = max(thresholds, key=lambda t: _bound(inside[:half], outside[:half], float(t), delta))
    return max(0.0, _bound(inside[half:], outside[half:], float(best), delta))


def _bound(inside: Floats, outside: Floats, threshold: float, delta: float) -> float:
    from scipy.special import betaincinv

    hits, false = int((inside >= threshold).sum()), int((outside >= threshold).sum())
    least = float(betaincinv(hits, len(inside) - hits + 1, 0.025)) if hits else 0.0
    most = float(betaincinv(false + 1, len(outside) - false, 0.975)) if false < len(outside) else 1.0
    return math.log((least - delta) / most) if least > delta else -math.inf


def run(settings: AuditSettings, progress: Progress) -> Report:
    """DP-SGD and its controls."""
    progress(0, 1)
    outcomes = [
        Outcome(
            mode=f"control: {found.name}" if found.is_control else found.name,
            figures={
                "epsilon_lower_bound": found.lower_bound,
                "epsilon_claimed": found.claimed,
                "runs": float(2 * found.num_runs),
            },
            claim="the audit catches this fault"
            if found.is_control
            else f"({found.claimed:.3g}, {found.delta:g})-DP for one unit",
            verdict=verdict(held=(found.lower_bound > found.claimed) == found.is_control),
        )
        for found in audit_training(quick=settings.quick)
    ]
    return Report(attack="training", outcomes=outcomes, notes=["one canary gradient against the product's own steps"])
