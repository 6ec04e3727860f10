"""Exact samples: their distribution against the formula, and wrong samplers that the same test catches."""

import math
import random
from collections import Counter
from collections.abc import Callable, Mapping

import pytest
from scipy import stats

from frag.privacy.discrete_gaussian import discrete_gaussian, discrete_laplace, happens_exp


def p_value(draws: list[int], weight: Callable[[int], float], reach: int) -> float:
    """Chi-square of draws against probabilities proportional to `weight`, the tails in two bins of their own."""
    whole = {x: weight(x) for x in range(-20 * reach, 20 * reach + 1)}
    total = sum(whole.values())
    counts: Mapping[int, int] = Counter(max(-reach, min(reach, x)) for x in draws)
    expected = {x: whole[x] / total * len(draws) for x in range(-reach + 1, reach)}
    tail = sum(value for x, value in whole.items() if x >= reach) / total * len(draws)
    expected |= {-reach: tail, reach: tail}
    return float(stats.chisquare([counts[x] for x in expected], list(expected.values()), sum_check=False).pvalue)


def gaussian(variance: float) -> Callable[[int], float]:
    return lambda x: math.exp(-x * x / (2 * variance))


@pytest.mark.parametrize(("variance", "reach"), [(1, 3), (3, 5), (20, 12)])
def test_draws_are_of_the_discrete_gaussian(variance: int, reach: int) -> None:
    below = random.Random(variance).randrange
    draws = [discrete_gaussian(variance, below) for _ in range(20_000)]
    assert p_value(draws, gaussian(variance), reach) > 1e-3


def test_wrong_samplers_are_caught() -> None:
    chance = random.Random(1)
    rounded = [math.floor(chance.gauss(0, math.sqrt(3))) for _ in range(20_000)]
    quarter = [discrete_gaussian(2, chance.randrange) for _ in range(20_000)]
    assert p_value(rounded, gaussian(3), 5) < 1e-6
    assert p_value(quarter, gaussian(3), 5) < 1e-6


def test_draws_are_of_the_discrete_laplace() -> None:
    below = random.Random(3).randrange
    draws = [discrete_laplace(3, below) for _ in range(20_000)]
    assert p_value(draws, lambda x: math.exp(-abs(x) / 3), 10) > 1e-3


@pytest.mark.parametrize(("numerator", "denominator"), [(0, 1), (1, 3), (1, 1), (5, 2)])
def test_an_event_happens_with_probability_exp(numerator: int, denominator: int) -> None:
    below = random.Random(7).randrange
    share = sum(happens_exp(numerator, denominator, below) for _ in range(20_000)) / 20_000
    wanted = math.exp(-numerator / denominator)
    assert abs(share - wanted) <= 4 * math.sqrt(wanted * (1 - wanted) / 20_000)


def test_the_systems_generator_gives_the_variance_that_was_asked_for() -> None:
    draws = [discrete_gaussian(300) for _ in range(4000)]
    assert abs(sum(draws) / 4000) < 5 * math.sqrt(300 / 4000)
    assert abs(sum(x * x for x in draws) / 4000 / 300 - 1) < 5 * math.sqrt(2 / 4000)


def test_no_variance_is_refused() -> None:
    with pytest.raises(ValueError, match="below 1"):
        discrete_gaussian(0)
