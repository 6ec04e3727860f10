"""Exact integer noise: against the distribution itself, in bins."""

import math
from collections import Counter

import pytest

from frag.privacy.discrete_gaussian import discrete_gaussian


@pytest.mark.parametrize("sd", [0.5, 1.0, 4.0])
def test_draws_follow_the_distribution(sd: float) -> None:
    number, reach = 4000, math.ceil(6 * sd) + 1
    weights = {x: math.exp(-(x**2) / (2 * sd**2)) for x in range(-reach, reach + 1)}
    total = sum(weights.values())
    drawn = Counter(discrete_gaussian(sd) for _ in range(number))
    bins = [x for x in weights if number * weights[x] / total >= 5]
    statistic = sum((drawn[x] - number * weights[x] / total) ** 2 / (number * weights[x] / total) for x in bins)
    # a right sampler exceeds this about once in 10^9 runs (Wilson-Hilferty)
    freedom = len(bins)
    assert statistic < freedom * (1 - 2 / (9 * freedom) + 6 * math.sqrt(2 / (9 * freedom))) ** 3


def test_noise_without_width_is_refused() -> None:
    for sd in (0.0, -1.0, math.nan):
        with pytest.raises(ValueError, match="positive"):
            discrete_gaussian(sd)
