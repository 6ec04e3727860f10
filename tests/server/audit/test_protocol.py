"""The attempts are real: each is refused by the product, and a protocol that lets one pass is reported."""

from pathlib import Path

import pytest

from server.audit.abuse import handshake, secure_sum, trust, updates
from server.audit.abuse.case import Case, is_refused
from server.audit.protocol import judged
from server.audit.report import Verdict


@pytest.mark.parametrize("case", [*handshake.cases(), *secure_sum.cases(), *updates.cases()], ids=lambda c: c.name)
def test_abuse_is_refused_and_honesty_is_not(case: Case) -> None:
    assert is_refused(case) is not case.honest


def test_abuse_of_the_roster_is_refused(tmp_path: Path) -> None:
    for case in trust.cases(tmp_path):
        assert is_refused(case) is not case.honest, case.name


def test_one_abuse_that_passes_breaks_the_promise() -> None:
    fine = updates.cases()
    outcome, passed = judged("updates", [*fine, Case("a hole", lambda: None)])
    assert (outcome.verdict, passed) == (Verdict.BROKEN, ["a hole"])
    assert outcome.figures["refused"] == pytest.approx((len(fine) - 2) / (len(fine) - 1))


def test_refusing_everything_is_no_merit() -> None:
    honest_refused = [case._replace(honest=True) for case in updates.cases()[2:4]]
    assert judged("updates", [*updates.cases(), *honest_refused])[0].verdict is Verdict.BROKEN


def test_a_crash_is_no_refusal() -> None:
    with pytest.raises(ZeroDivisionError):
        is_refused(Case("crash", lambda: 1 // 0))
