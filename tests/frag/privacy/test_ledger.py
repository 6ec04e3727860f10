"""No spend is lost, whatever dies when; nobody spends more than the limit; what was spent stays spent."""

import random
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from frag.errors import LedgerError
from frag.privacy.ledger import Ledger

WRITER = """
import sys
from pathlib import Path
from frag.privacy.ledger import Ledger
ledger = Ledger.open(Path(sys.argv[1]))
number = 0
while True:
    able = ledger.charge({"ann": "notes", f"unit-{number % 7}": "notes"}, 0.25, 1e9)
    print(len(able), flush=True)  # only now may anything be said of them
    number += 1
"""


def in_notes(*units: str) -> dict[str, str]:
    return dict.fromkeys(units, "notes")


def test_charges_by_hand_and_who_cannot_pay_takes_no_part(tmp_path: Path) -> None:
    ledger = Ledger.open(tmp_path / "ledger.db")
    assert ledger.charge(in_notes("ann", "bob"), 0.4, limit=1.0) == ["ann", "bob"]
    assert ledger.charge(in_notes("ann"), 0.4, limit=1.0) == ["ann"]
    assert ledger.charge(in_notes("ann", "bob"), 0.4, limit=1.0) == ["bob"]
    assert ledger.charge({"ann": "letters"}, 0.4, limit=1.0) == [], "a unit has one budget, wherever it is found"
    assert (ledger.spent_by("ann"), ledger.spent_by("bob"), ledger.spent_by("eve")) == (0.8, 0.8, 0.0)
    ledger.close()
    again = Ledger.open(tmp_path / "ledger.db")
    assert again.charge(in_notes("ann", "bob", "eve"), 0.4, limit=1.0) == ["eve"]
    (notes,) = again.summary()
    assert (notes.num_units, notes.max_rho, notes.num_answers) == (3, 0.8, 5)
    assert again.spends("notes") == [0.4, 0.8, 0.8]


def test_no_name_of_a_unit_is_in_the_file(tmp_path: Path) -> None:
    ledger = Ledger.open(tmp_path / "ledger.db")
    ledger.charge(in_notes("document:ann-smith.txt"), 0.4, limit=1.0)
    ledger.close()
    assert b"ann-smith" not in (tmp_path / "ledger.db").read_bytes()


@pytest.mark.parametrize("rho", [0.0, -1.0, float("nan")])
def test_a_charge_of_nothing_is_refused(tmp_path: Path, rho: float) -> None:
    with pytest.raises(LedgerError):
        Ledger.open(tmp_path / "ledger.db").charge(in_notes("ann"), rho, 1.0)


def test_a_question_is_charged_once_also_after_a_restart(tmp_path: Path) -> None:
    ledger = Ledger.open(tmp_path / "ledger.db")
    assert ledger.charge(in_notes("ann"), 0.25, 1.0, "q1") == ["ann"]
    for again in (ledger, Ledger.open(tmp_path / "ledger.db")):
        with pytest.raises(LedgerError, match="charged before"):
            again.charge(in_notes("ann", "bob"), 0.25, 1.0, "q1")
        assert (again.spent_by("ann"), again.spent_by("bob")) == (0.25, 0.0), "a refusal spends nothing"
    assert ledger.charge({}, 0.25, 1.0, "q2") == []
    with pytest.raises(LedgerError, match="charged before"):
        ledger.charge({}, 0.25, 1.0, "q2")
    assert ledger.charge(in_notes("ann"), 0.25, 1.0) == ledger.charge(in_notes("ann"), 0.25, 1.0) == ["ann"]


def test_a_training_plan_is_reserved_once_and_within_the_limit(tmp_path: Path) -> None:
    ledger = Ledger.open(tmp_path / "ledger.db")
    for _ in range(2):
        ledger.reserve_training("job-1", "qa", 3.0, 1e-5, limit=4.0)
    with pytest.raises(LedgerError, match="1 of 4 are left"):
        ledger.reserve_training("job-2", "qa", 1.5, 1e-5, limit=4.0)
    ledger.reserve_training("job-2", "qa", 1.0, 1e-5, limit=4.0)
    (spent,) = ledger.summary()
    assert (spent.training_epsilon, spent.training_delta) == (4.0, 2e-5)


def test_threads_never_spend_one_budget_twice(tmp_path: Path) -> None:
    ledger = Ledger.open(tmp_path / "ledger.db")
    other = Ledger.open(tmp_path / "ledger.db")
    granted: list[int] = []

    def spend(through: Ledger) -> None:
        granted.extend(len(through.charge(in_notes("ann"), 0.1, limit=1.05)) for _ in range(10))

    threads = [threading.Thread(target=spend, args=(through,)) for through in (ledger, other) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(granted) == 10
    assert ledger.spent_by("ann") == pytest.approx(1.0)


def test_kills_lose_no_spend(tmp_path: Path) -> None:
    """Forty SIGKILLs at random moments of charging; the evaluation with 200 kills of a whole node is a benchmark."""
    path = tmp_path / "ledger.db"
    acknowledged = 0
    for _ in range(40):
        process = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        acknowledged += 1
        threading.Event().wait(random.uniform(0.0, 0.03))
        process.kill()
        acknowledged += len(process.stdout.read().split())
        process.stdout.close()
        process.wait()
        spent = Ledger.open(path).spent_by("ann")
        assert spent >= 0.25 * acknowledged, "what was acknowledged is there"
    assert spent <= 0.25 * (acknowledged + 40), "each kill wastes one charge at most"


def test_a_file_that_is_no_ledger_stops_answers(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").write_bytes(b"no ledger" * 1000)
    with pytest.raises(LedgerError, match="cannot be used"):
        Ledger.open(tmp_path / "ledger.db")
