"""The audit refutes no claim of ours, and catches every planted fault."""

import pytest

from frag.privacy.draws import SecretDraws
from server.audit.training import CONTROLS, PRODUCT, SAMPLED, Audited, audit_training, scores

KEY = bytes(range(32))  # repeats one run: of sound mechanisms the bound refutes a few in a hundred


@pytest.fixture(scope="module")
def audited() -> list[Audited]:
    return audit_training(quick=True, draws=SecretDraws(KEY))


def test_what_we_claim_is_not_refuted(audited: list[Audited]) -> None:
    ours = [case for case in audited if not case.is_control]
    assert len(ours) == 2
    for case in ours:
        assert 0 < case.lower_bound <= case.claimed, case


def test_the_bound_is_near_the_claim_where_it_can_be(audited: list[Audited]) -> None:
    """An attack that sees nothing would pass anything."""
    full = next(case for case in audited if case.name == "full batches")
    assert full.lower_bound > 0.75 * full.claimed


def test_every_control_is_caught(audited: list[Audited]) -> None:
    caught = {case.name for case in audited if case.is_control and case.lower_bound > case.claimed}
    assert caught == CONTROLS.keys()


def test_runs_are_not_repeated_by_themselves() -> None:
    first, second = (scores(SAMPLED, PRODUCT, 10, SecretDraws())[0] for _ in range(2))
    assert (first != second).all()
