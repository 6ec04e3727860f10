"""What is spent: (ε, δ) of training plans, zCDP of answers. All composition is dp-accounting's."""

import math
from functools import lru_cache
from typing import TYPE_CHECKING

from frag.errors import SettingsError

if TYPE_CHECKING:
    from dp_accounting import DpEvent

DELTA = 1e-5
"""Of all claims unless said otherwise."""

NOISE_RANGE = (0.2, 1e4)
"""σ; with less an accountant takes minutes to say that nothing is protected."""
MAX_STEPS = 10_000_000
MIN_DELTA = 1e-10
"""Below it the accountant's own truncation is larger."""

_LEAST_NOISE, _MOST_NOISE = 0.25, 1024.0


def sampled_gaussian(noise_multiplier: float, sampling_rate: float, steps: int) -> "DpEvent":
    """`steps` Gaussian mechanisms, each on a Poisson sample: the plan of DP-SGD.

    Source: Abadi et al. 2016, "Deep Learning with Differential Privacy", Algorithm 1.

    Args:
        noise_multiplier: σ, the noise's standard deviation over the clipping norm.
        sampling_rate: q in (0, 1], with which each unit takes part in a step, independently.
        steps: T.

    Raises:
        SettingsError: A value is out of its range.
    """
    from dp_accounting import GaussianDpEvent, PoissonSampledDpEvent, SelfComposedDpEvent

    low, high = NOISE_RANGE
    if not (low <= noise_multiplier <= high and 0 < sampling_rate <= 1 and 1 <= steps <= MAX_STEPS):
        raise SettingsError(
            f"noise_multiplier {noise_multiplier}, sampling_rate {sampling_rate}, steps {steps} are no plan.",
            f"Use σ from {low:g} to {high:g}, 0 < q ≤ 1 and 1 to {MAX_STEPS:,} steps.",
        )
    return SelfComposedDpEvent(PoissonSampledDpEvent(sampling_rate, GaussianDpEvent(noise_multiplier)), steps)


def epsilon_by_pld(event: "DpEvent", delta: float = DELTA) -> float:
    """ε by privacy loss distributions. Source: Koskela et al. 2020, "Computing Tight DP Guarantees Using FFT"."""
    from dp_accounting.pld import PLDAccountant

    return float(PLDAccountant().compose(event).get_epsilon(_checked(delta)))


@lru_cache(maxsize=256)
def plan_epsilon(noise_multiplier: float, sampling_rate: float, steps: int, delta: float = DELTA) -> float:
    """ε by PLD of a fixed plan of DP-SGD; 0 without a step. Takes up to seconds the first time."""
    return epsilon_by_pld(sampled_gaussian(noise_multiplier, sampling_rate, steps), delta) if steps else 0.0


def steps_within(epsilon: float, noise_multiplier: float, sampling_rate: float, most: int, delta: float = DELTA) -> int:
    """The largest number of steps, up to `most`, whose ε by PLD stays within the budget."""
    low, high = 0, min(1, most)  # plans far over the budget take long to account for
    while low < high and plan_epsilon(noise_multiplier, sampling_rate, high, delta) <= epsilon:
        low, high = high, min(2 * high, most)
    while high - low > 1:
        middle = (low + high) // 2
        if plan_epsilon(noise_multiplier, sampling_rate, middle, delta) <= epsilon:
            low = middle
        else:
            high = middle
    return low


def noise_within(epsilon: float, sampling_rate: float, steps: int, delta: float = DELTA) -> float:
    """A σ whose plan costs at most ε by PLD, at most 1 % above the smallest one and at least 0.25.

    Raises:
        SettingsError: ε is no budget, or σ = 1024 is not enough.
    """
    if not 0 < epsilon < math.inf:
        raise SettingsError(f"ε = {epsilon} is no budget.", "Use a positive number.")

    def is_enough(noise: float) -> bool:
        return plan_epsilon(noise, sampling_rate, steps, delta) <= epsilon

    if not is_enough(_MOST_NOISE):
        raise SettingsError(f"No noise brings this plan to ε = {epsilon:g}.", "Use fewer steps or more units.")
    high = _MOST_NOISE
    while high > _LEAST_NOISE and is_enough(high / 2):
        high /= 2
    low = high / 2
    while high > _LEAST_NOISE and high - low > 0.01 * high:
        middle = (low + high) / 2
        low, high = (low, middle) if is_enough(middle) else (middle, high)
    return high


def epsilon_by_rdp(event: "DpEvent", delta: float = DELTA) -> float:
    """ε by Rényi divergences, never below the tight one. Source: Mironov 2017, "Rényi Differential Privacy"."""
    from dp_accounting.rdp import RdpAccountant

    return float(RdpAccountant().compose(event).get_epsilon(_checked(delta)))


def epsilon_of_rho(rho: float, delta: float = DELTA) -> float:
    """ε of ρ-zCDP. Source: Bun and Steinke 2016, "Concentrated Differential Privacy", by way of Rényi divergences."""
    from dp_accounting import ZCDpEvent

    return 0.0 if rho == 0 else epsilon_by_rdp(ZCDpEvent(rho), delta)


def rho_within(epsilon: float, delta: float = DELTA) -> float:
    """The largest ρ whose ε stays within the budget, to 1e-9 of it. Raises SettingsError unless ε > 0."""
    if not 0 < epsilon < math.inf:
        raise SettingsError(f"ε = {epsilon} is no budget.", "Use a positive number.")
    low, high = 0.0, 1.0
    while epsilon_of_rho(high, delta) <= epsilon:
        low, high = high, 2 * high
    while high - low > 1e-9 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if epsilon_of_rho(middle, delta) <= epsilon else (low, middle)
    return low


def decoding_rho(clip: float, references: int, temperature: float, tokens: int) -> float:
    """ρ of one answer: T · ½ (C / (S τ))². Source: Vinod et al. 2025, "InvisibleInk", §4.

    Args:
        clip: C, the bound on what one unit adds to a logit, before division by S.
        references: S, fixed and public, whatever the number of units found.
        temperature: τ of the softmax that a token is drawn from.
        tokens: T, the length of an answer.
    """
    return tokens * (clip / (references * temperature)) ** 2 / 2


def allowed_clip(rho: float, references: int, temperature: float, tokens: int) -> float:
    """The C for which one answer costs `rho`: the inverse of `decoding_rho`."""
    if min(rho, references, temperature, tokens) <= 0:
        raise SettingsError("ρ, references, temperature and tokens are positive numbers.")
    return references * temperature * math.sqrt(2 * rho / tokens)


def _checked(delta: float) -> float:
    if not MIN_DELTA <= delta < 1:
        raise SettingsError(f"δ = {delta} cannot be accounted for.", f"Use {MIN_DELTA:g} to 1, for example 1e-5.")
    return delta
