"""What the operator sees of standing jobs."""

import pytest

from server.standing_tables import print_standing, print_timeline

METRICS = {"f1_old": 0.4, "live_f1_old": 0.5, "f1_new": 0.75, "live_f1_new": 0.25}


def entry(event: str, version: str, **more: object) -> dict[str, object]:
    return {"at": "2026-11-23T10:00:00+00:00", "event": event, "version": version, "cause": "", "reason": "",
            "metrics": {}, **more}  # fmt: skip


def test_the_timeline_lines_up(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    print_timeline(
        [
            entry("live", ""),
            entry("version", "qa-1234-1", metrics=METRICS),
            entry("rolled_back", "qa-1234-1", metrics=METRICS, cause="drift", reason="worse on old data"),
        ]
    )
    header, first, second, third = capsys.readouterr().out.splitlines()
    assert "the model as it is" in first
    assert "0.500 → 0.400" in second
    assert third.rstrip().endswith("drift: worse on old data")
    assert {line.index("2026") for line in (first, second, third)} == {header.index("time")}
    assert len({line.index(name) for line, name in ((header, "version"), (second, "qa-"), (third, "qa-"))}) == 1


def test_a_standing_job_says_what_it_waits_for(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    row = {"job_id": "qa-1", "state": "waiting", "num_runs": 3, "versions": ["qa-1-1"], "run": "", "waiting": "rests"}
    print_standing([row])
    assert capsys.readouterr().out.splitlines()[1].split() == ["qa-1", "waiting", "3", "1", "rests"]
