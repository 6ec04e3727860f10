"""Liars among honest nodes: the mean is carried off, robust rules hold, and refused updates stop nothing."""

import pytest

from server.audit.byzantine import LIES, Federation
from server.audit.intents import Intents, load_intents
from server.audit.report import AuditSettings


@pytest.fixture(scope="module")
def intents() -> Intents:
    return load_intents(AuditSettings(quick=True))


def accuracy(intents: Intents, rule: str, lie: str, num_liars: int) -> float:
    return Federation(intents, rule, num_liars, seed=0).play(lie, 15) / len(intents.test_labels)


def test_the_task_can_be_learnt_and_only_by_learning(intents: Intents) -> None:
    assert accuracy(intents, "plain", "nan", 0) > 0.95
    assert Federation(intents, "plain", 0, 0).play("nan", 0) / len(intents.test_labels) < 0.3


def test_the_mean_is_carried_off_and_a_robust_rule_is_not(intents: Intents) -> None:
    assert accuracy(intents, "plain", "inner product x10", 3) < 0.3
    assert accuracy(intents, "multi_krum", "inner product x10", 3) > 0.95


@pytest.mark.parametrize("rule", ["median", "krum", "multi_krum"])
@pytest.mark.parametrize("lie", ["nan", "wrong shape"])
def test_updates_that_are_refused_do_not_stop_a_robust_round(intents: Intents, rule: str, lie: str) -> None:
    assert lie in LIES
    assert accuracy(intents, rule, lie, 3) > 0.6
