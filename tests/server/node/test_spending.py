"""What an operator reads of the ledger."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from frag.errors import LedgerError
from frag.privacy.accounting import epsilon_of_rho, rho_within
from frag.privacy.ledger import Ledger
from server.cli import app
from server.node.state import NodeFolder
from server.node.terms import hold_to_terms


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "node.toml").write_text(
        'node_id = "alpha"\ncoordinator_url = "http://127.0.0.1:1"\n'
        '[policy]\nanswer_modes = ["dp"]\n[policy.dp]\nepsilon = 4.0\nquestions = 4\n'
        '[[collections]]\nname = "notes"\nfolder = "notes"\n'
    )
    return tmp_path


def test_nothing_spent(folder: Path) -> None:
    shown = CliRunner().invoke(app, ["node", "privacy", "--folder", str(folder)])
    assert shown.exit_code == 0
    assert "ε = 4 (δ = 1e-05) for all answers about a unit of notes" in " ".join(shown.output.split())
    assert "Nothing has been spent." in shown.output
    assert not (folder / "ledger.db").exists(), "looking makes no ledger"


def test_a_node_without_dp_names_no_budget(folder: Path) -> None:
    settings = folder / "node.toml"
    settings.write_text(settings.read_text().replace('["dp"]', '["scrub"]'))
    shown = CliRunner().invoke(app, ["node", "privacy", "--folder", str(folder)]).output
    assert "nothing is claimed" in shown
    assert "ε" not in shown


def test_spends_by_collection_as_figures_table_and_plot(folder: Path) -> None:
    ledger = Ledger.open(folder / "ledger.db")
    limit = rho_within(4.0, 1e-5)
    ledger.charge({"a": "notes", "b": "notes"}, limit / 4, limit)
    for _ in range(3):
        ledger.charge({"a": "notes"}, limit / 4 * (1 - 1e-12), limit)
    ledger.reserve_training("job", "notes", 1.5, 1e-6, 8.0)
    ledger.close()
    found = json.loads(CliRunner().invoke(app, ["node", "privacy", "--folder", str(folder), "--json"]).output)
    (notes,) = found["collections"]
    assert notes["shares"] == pytest.approx([0.25, 1.0])
    assert (notes["num_units"], notes["num_exhausted"], notes["num_answers"]) == (2, 1, 5)
    assert notes["answers_epsilon"] == pytest.approx(epsilon_of_rho(limit), abs=1e-6)
    assert notes["epsilon"] == pytest.approx(4.0 + 1.5, abs=1e-3)
    assert notes["delta"] == pytest.approx(1.1e-5)
    picture = folder / "spent.png"
    shown = CliRunner().invoke(app, ["node", "privacy", "--folder", str(folder), "--plot", str(picture)])
    assert shown.exit_code == 0, shown.output
    assert "notes" in shown.output
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", ["spent.xyz", "absent/spent.png"])
def test_a_picture_that_cannot_be_written_is_refused_in_words(folder: Path, name: str) -> None:
    shown = CliRunner().invoke(app, ["node", "privacy", "--folder", str(folder), "--plot", str(folder / name)])
    assert (shown.exit_code, shown.exception.__class__) == (2, SystemExit)
    assert "--plot" in shown.output


def test_the_table_fits_a_narrow_terminal(folder: Path) -> None:
    ledger = Ledger.open(folder / "ledger.db")
    ledger.charge({"a": "discharge-letters"}, 0.01, 1.0)
    ledger.close()
    shown = CliRunner().invoke(app, ["node", "privacy", "--folder", str(folder)], env={"COLUMNS": "80"}).output
    assert "discharge-letters" in shown
    for header in ("charged", "spent up", "answers", "training"):
        assert header in shown


def test_settings_that_give_units_more_are_refused_until_the_operator_accepts(folder: Path) -> None:
    settings = folder / "node.toml"
    place = NodeFolder(folder)
    before = place.settings()
    hold_to_terms(place.ledger, before.policy, before.collections)
    ledger = Ledger.open(place.ledger)
    ledger.charge({"document:notes/a": "notes"}, 0.01, 1.0)
    ledger.close()
    settings.write_text(settings.read_text().replace("epsilon = 4.0", "epsilon = 9.0"))
    after = place.settings()
    with pytest.raises(LedgerError, match="frag node privacy --accept"):
        hold_to_terms(place.ledger, after.policy, after.collections)
    shown = CliRunner().invoke(app, ["node", "privacy", "--folder", str(folder), "--accept"])
    assert "accepted: notes promised ε = 4" in shown.output
    assert hold_to_terms(place.ledger, after.policy, after.collections) == []
    assert "promised ε = 4" in CliRunner().invoke(app, ["node", "privacy", "--folder", str(folder)]).output
