"""Figures of the specification, hand-computed prices, and that budgets and prices are inverses."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frag.errors import SettingsError
from frag.privacy.accounting import (
    allowed_clip,
    decoding_rho,
    epsilon_by_pld,
    epsilon_by_rdp,
    epsilon_of_rho,
    noise_within,
    plan_epsilon,
    rho_within,
    sampled_gaussian,
    steps_within,
)


def test_a_known_plan_by_both_accountants() -> None:
    plan = sampled_gaussian(1.0, 0.1, 100)
    assert 7.03 <= epsilon_by_pld(plan) <= 7.06
    assert epsilon_by_rdp(plan) == pytest.approx(7.9039, abs=1e-3)


@pytest.mark.parametrize(("sigma", "num_units", "epsilon"), [(1, 50, 37), (2, 50, 12.8), (1, 150, 10.7), (2, 320, 1.6)])
def test_record_level_plans_of_small_nodes(sigma: float, num_units: int, epsilon: float) -> None:
    assert epsilon_by_pld(sampled_gaussian(sigma, 16 / num_units, 200)) == pytest.approx(epsilon, rel=0.03)


def test_the_price_of_an_answer_by_hand() -> None:
    # T · C² / (2 S² τ²) = 64 · 4 / (2 · 64 · 1.21)
    assert decoding_rho(clip=2.0, references=8, temperature=1.1, tokens=64) == pytest.approx(
        1.652892561983471, abs=1e-9
    )


@pytest.mark.parametrize(
    ("references", "questions", "clip"), [(8, 1, 1.72), (16, 1, 3.45), (8, 10, 0.55), (16, 10, 1.09)]
)
def test_the_clip_that_a_budget_allows(references: int, questions: int, clip: float) -> None:
    rho = rho_within(8.0) / questions
    assert allowed_clip(rho, references, 1.1, 64) == pytest.approx(clip, abs=0.006)


@given(st.floats(0.1, 20.0), st.integers(1, 64), st.integers(1, 256))
def test_budget_and_price_are_inverses(epsilon: float, references: int, tokens: int) -> None:
    rho = rho_within(epsilon)
    assert epsilon_of_rho(rho) <= epsilon
    assert epsilon_of_rho(rho * 1.001) > epsilon
    clip = allowed_clip(rho, references, 1.1, tokens)
    assert decoding_rho(clip, references, 1.1, tokens) == pytest.approx(rho, rel=1e-9)


@pytest.mark.parametrize(("sigma", "rate", "steps"), [(0, 0.1, 1), (1, 0, 1), (1, 1.5, 1), (1, 0.5, 0), (-1, 0.1, 5)])
def test_what_is_no_plan_is_refused(sigma: float, rate: float, steps: int) -> None:
    with pytest.raises(SettingsError):
        sampled_gaussian(sigma, rate, steps)


def test_what_is_no_budget_is_refused() -> None:
    for epsilon in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(SettingsError):
            rho_within(epsilon)
    with pytest.raises(SettingsError):
        epsilon_of_rho(1.0, delta=0.0)
    assert epsilon_of_rho(0.0) == 0.0


def test_steps_end_just_within_the_budget() -> None:
    steps = steps_within(1.0, 3.0, 0.1, 1000)
    assert 1 < steps < 1000
    assert plan_epsilon(3.0, 0.1, steps) <= 1.0 < plan_epsilon(3.0, 0.1, steps + 1)
    assert [steps_within(1.0, 3.0, 0.1, most) for most in (0, 1, 5)] == [0, 1, 5]
    assert steps_within(0.001, 3.0, 0.1, 5) == 0
    assert plan_epsilon(3.0, 0.1, 0) == 0


def test_noise_is_within_the_budget_and_not_much_more_than_it_takes() -> None:
    sigma = noise_within(1.0, 0.1, 20)
    assert plan_epsilon(sigma, 0.1, 20) <= 1.0 < plan_epsilon(0.98 * sigma, 0.1, 20)
    with pytest.raises(SettingsError, match="budget"):
        noise_within(0.0, 0.1, 100)
    with pytest.raises(SettingsError, match="No noise"):
        noise_within(1e-5, 1.0, 10_000)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
def test_another_accountant_agrees() -> None:
    """Opacus' by privacy random variables; its own bound of the error is 0.01."""
    from opacus.accountants import PRVAccountant

    accountant = PRVAccountant()
    accountant.history = [(1.0, 0.1, 100)]
    other = accountant.get_epsilon(delta=1e-5, eps_error=0.01, delta_error=1e-8)
    assert epsilon_by_pld(sampled_gaussian(1.0, 0.1, 100)) == pytest.approx(other, abs=0.02)
