"""The audit of decoding: the product's mechanism passes, each known fault is caught."""

import pytest

from frag.privacy.dp_decoding import next_token
from server.audit.decoding import CONTROLS, audited, rule_for
from server.audit.membership_dp import _log_ratios, _toy_steps, scores, unbounded
from server.audit.statistics import separation


def test_the_mechanism_keeps_its_claim() -> None:
    assert audited(next_token, 1.0, 3_000, with_others=True) <= 1.0


@pytest.mark.parametrize("name", [name for name in CONTROLS if CONTROLS[name].effort == 1])
def test_a_fault_is_caught(name: str) -> None:
    control = CONTROLS[name]
    assert audited(control.mechanism, 1.0, 2_000 * control.effort, with_others=control.with_others) > 1.0


def test_a_likelihood_ratio_is_within_what_a_unit_can_do() -> None:
    """Pure ε of one token is 2 C / (S τ)."""
    rule = rule_for(1.0)
    for step in _toy_steps(rule, seed=1):
        assert abs(_log_ratios(step, rule)).max() <= 2 * rule.clip / (rule.references * rule.temperature) + 1e-9


def test_an_unbounded_unit_gives_itself_away() -> None:
    rule = rule_for(1.0)
    steps = _toy_steps(rule, seed=1)
    kept, broken = (
        separation(*(scores(steps, used, 300, with_unit=side) for side in (True, False))).auc
        for used in (rule, unbounded(rule))
    )
    assert kept < 0.75 < 0.95 < broken
