"""The command: registry, kept results, exit code, one JSON object."""

import json
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from typer.testing import CliRunner

from frag.errors import BadRequestError, SettingsError
from frag.protocols import Progress
from server.audit import run as running
from server.audit.registry import ATTACKS
from server.audit.report import AuditSettings, Outcome, Report, Verdict
from server.cli import app


def stub(monkeypatch: pytest.MonkeyPatch, verdict: Verdict = Verdict.HELD) -> list[AuditSettings]:
    calls: list[AuditSettings] = []

    def attack(settings: AuditSettings, progress: Progress) -> Report:
        calls.append(settings)
        progress(1, 2)
        outcome = Outcome(
            mode="scrub", figures={"share": 0.5}, intervals={"share": (0.2, 0.8)}, claim="never", verdict=verdict
        )
        return Report(attack="stub", outcomes=[outcome], notes=["of no account"])

    monkeypatch.setattr(running, "ATTACKS", MappingProxyType({"stub": attack}))
    return calls


def invoke(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["audit", *arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout


def test_one_object_and_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stub(monkeypatch)
    code, text = invoke("--quick", "--json", "--out", str(tmp_path))
    figures = json.loads(text)["stub"]["scrub"]
    assert (code, figures["share"], figures["verdict"]) == (0, 0.5, "held")
    assert figures["interval_95"] == {"share": [0.2, 0.8]}
    assert json.loads((tmp_path / "audit.json").read_bytes()) == json.loads(text)
    assert (tmp_path / "stub.png").read_bytes().startswith(b"\x89PNG")


def test_a_broken_promise_is_exit_code_1(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stub(monkeypatch, Verdict.BROKEN)
    code, text = invoke("--out", str(tmp_path))
    assert code == 1
    assert "broken: stub (scrub)" in text


def test_what_is_done_is_not_done_again_unless_settings_change(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    calls = stub(monkeypatch)
    for seed in ("0", "0", "1", "1"):
        invoke("--seed", seed, "--out", str(tmp_path), "--json")
    assert [call.seed for call in calls] == [0, 1]
    (tmp_path / "stub.json").write_text("{torn")
    invoke("--seed", "1", "--out", str(tmp_path), "--json")
    assert len(calls) == 3


def test_the_written_object_holds_what_other_runs_left(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stub(monkeypatch)
    invoke("--out", str(tmp_path), "--json")
    both = MappingProxyType({**running.ATTACKS, "other": running.ATTACKS["stub"]})
    monkeypatch.setattr(running, "ATTACKS", both)
    invoke("--seed", "1", "--attack", "other", "--out", str(tmp_path), "--json")
    assert [kept.seconds >= 0 for kept in running.kept_in(tmp_path, AuditSettings(seed=1))] == [True]
    assert len(running.kept_in(tmp_path, AuditSettings(seed=0))) == 1


def test_an_unknown_attack_and_a_missing_folder_are_said_so(tmp_path: Path) -> None:
    with pytest.raises(BadRequestError, match="no attack nonsense"):
        invoke("--attack", "nonsense", "--out", str(tmp_path))
    with pytest.raises(SettingsError, match="no folder"):
        invoke("--data", str(tmp_path / "absent"))


@pytest.mark.timeout(300)
def test_the_quick_audit_breaks_no_promise(quick_audit: dict[str, Any]) -> None:
    assert quick_audit.keys() == ATTACKS.keys()
    broken = [
        (attack, mode) for attack, modes in quick_audit.items() for mode in modes if modes[mode]["verdict"] == "broken"
    ]
    assert broken == []
    extracted = quick_audit["extraction"]["none, obedient model"]
    assert extracted["EMAIL leaked"] == 1.0, "the attack works where nothing stops it"
    assert quick_audit["membership"]["none"]["auc"] > 0.95
