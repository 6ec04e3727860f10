"""What units were promised holds when the settings change."""

from dataclasses import replace
from pathlib import Path

import pytest

from frag.errors import LedgerError
from frag.privacy.ledger import Ledger
from frag.privacy.terms import UnitTerms

NOTES = UnitTerms(collection="notes", folder="/srv/notes", unit="", epsilon=4.0, delta=1e-5)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    opened = Ledger.open(tmp_path / "ledger.db")
    opened.agree([NOTES])
    opened.charge({"document:notes/a": "notes"}, 0.1, 1.0)
    return opened


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        (replace(NOTES, collection="letters"), "counted as notes"),
        (replace(NOTES, unit="^([^/]+)/"), "found by"),
        (replace(NOTES, epsilon=8.0), "ε = 4"),
        (replace(NOTES, delta=1e-4), "δ = 1e-05"),
    ],
)
def test_units_get_no_new_budget_unless_the_operator_takes_it_on(ledger: Ledger, changed: UnitTerms, word: str) -> None:
    for _ in range(2):
        with pytest.raises(LedgerError, match=word):
            ledger.agree([changed])
    assert len(ledger.agree([changed], accept=True)) == 1
    assert ledger.agree([changed]) == [], "accepted once, it holds"
    ((_, change),) = ledger.accepted()
    assert word in change


def test_documents_that_leave_dp_are_noticed(ledger: Ledger) -> None:
    with pytest.raises(LedgerError, match="were under dp"):
        ledger.agree([], unprotected=["/srv/notes"])
    assert ledger.agree([], unprotected=["/srv/other"]) == []


def test_less_budget_is_fine_and_cannot_be_taken_back_in_silence(ledger: Ledger) -> None:
    assert ledger.agree([replace(NOTES, epsilon=2.0)]) == []
    with pytest.raises(LedgerError, match="promised ε = 2"):
        ledger.agree([NOTES])


def test_where_nothing_was_charged_nothing_was_promised(tmp_path: Path) -> None:
    opened = Ledger.open(tmp_path / "ledger.db")
    opened.agree([NOTES])
    assert opened.agree([replace(NOTES, collection="letters", epsilon=8.0)]) == []


def test_another_folder_under_another_name_is_no_change(ledger: Ledger) -> None:
    assert ledger.agree([NOTES, replace(NOTES, collection="letters", folder="/srv/letters", epsilon=8.0)]) == []
