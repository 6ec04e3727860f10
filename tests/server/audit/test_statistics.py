"""Intervals and bounds against values worked out by hand or known from the literature."""

import math

import numpy as np
import pytest

from server.audit.statistics import clopper_pearson, epsilon_lower_bound, separation, wilson


def test_wilson_of_no_success_is_the_known_value() -> None:
    assert wilson(0, 250) == (0.0, pytest.approx(0.015133, abs=1e-5))  # z² / (n + z²)
    assert wilson(5, 10) == pytest.approx((0.23659, 0.76341), abs=1e-5)
    assert wilson(0, 0) == (0.0, 1.0)
    assert wilson(7, 7)[1] == 1.0


def test_clopper_pearson_of_the_ends_is_closed_form() -> None:
    assert clopper_pearson(0, 100) == (0.0, pytest.approx(1 - 0.025**0.01))
    assert clopper_pearson(100, 100) == (pytest.approx(0.025**0.01), 1.0)
    assert clopper_pearson(5, 10) == pytest.approx((0.18709, 0.81291), abs=1e-5)


def test_separation_counts_ties_half_and_lets_one_of_a_hundred_pass() -> None:
    outside = np.arange(100.0)
    found = separation(np.array([98.5, 97.0, 200.0]), outside)
    assert found.auc == pytest.approx((99 + 97.5 + 100) / 300)
    assert found.num_true == 2, "above 98, the second largest of the others"
    assert separation(np.ones(5), np.ones(5)).auc == 0.5


def test_the_bound_stays_below_the_truth_and_comes_near_it() -> None:
    """Randomised response: one bit that is true with e^ε / (1 + e^ε)."""
    epsilon, draw = 1.0, np.random.default_rng(0)
    share = math.e / (1 + math.e)
    bounds = [
        epsilon_lower_bound(
            draw.binomial(1, share, 20_000).astype(float), draw.binomial(1, 1 - share, 20_000).astype(float), 0.0
        )
        for _ in range(40)
    ]
    assert np.mean(np.array(bounds) > epsilon) <= 0.1, "95 % of such bounds hold"
    assert min(bounds) > 0.85


def test_what_cannot_be_told_apart_refutes_nothing() -> None:
    same = np.random.default_rng(1).normal(size=(2, 2000))
    assert epsilon_lower_bound(same[0], same[1], 1e-5) < 0.3
