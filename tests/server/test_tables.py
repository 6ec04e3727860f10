"""Tables on narrow terminals and in pipes: whatever is in a cell can be read in full."""

import re

import pytest

from server.node.operating import print_journal
from server.tables import plain_table, print_table
from server.training_client import print_jobs

HASH = "3f" * 32
NAME = "a-very-long-name-of-a-training-job-1f0c22aa"
ESCAPES = re.compile(r"\x1b\[[0-9;]*m")


def shown(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return ESCAPES.sub("", capsys.readouterr().out).splitlines()


def wide() -> None:
    table = plain_table("name", "hash", "why")
    table.add_column("no wrap", no_wrap=True)
    table.add_row(NAME, HASH, "because [it] is so", "2026-11-24 10:00")
    print_table(table)


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> int:
    """A terminal of this many columns."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "48")
    return 48


def test_a_narrow_terminal_folds_and_loses_nothing(capsys: pytest.CaptureFixture[str], narrow: int) -> None:
    wide()
    lines = shown(capsys)
    assert max(map(len, lines)) <= narrow
    text = "".join("".join(lines).split())
    assert "…" not in text
    assert text.count("3f") == 32
    assert sum(text.count(letter) for letter in "[]") == 2


def test_a_pipe_gets_a_row_on_one_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    monkeypatch.setenv("COLUMNS", "48")
    wide()
    (row,) = [line for line in shown(capsys) if HASH in line]
    assert NAME in row
    assert "because [it] is so" in row
    assert row.rstrip().endswith("2026-11-24 10:00")


def test_hashes_of_the_journal_can_be_copied(capsys: pytest.CaptureFixture[str], narrow: int) -> None:
    del narrow
    entry = {"kind": "answer", "mode": "scrub", "num_chars": 143, "content_hash": HASH}
    written = {"entry_id": 1, "at": "2026-11-24T10:00:00.123456+00:00", "entry": entry, "entry_hash": "00"}
    print_journal({"entries": [written], "verdict": {"num_entries": 1, "broken_at": None, "head": "ab" * 32}})
    lines = [line.strip() for line in shown(capsys)]
    assert {HASH, "ab" * 32} <= set(lines)
    assert "2026-11-24 10:00:00  answer" in "\n".join(lines)


def test_names_of_jobs_are_shown_whole(capsys: pytest.CaptureFixture[str], narrow: int) -> None:
    del narrow
    job = {
        "job_id": NAME,
        "job": {"method": {"kind": "lora", "place": "after"}},
        "state": "failed",
        "num_rounds": 6,
        "created_at": "2026-11-24T10:00:00",
        "error": "[/] of a node",
    }
    print_jobs([job])
    text = "".join("".join(shown(capsys)).split())
    words = ["job", "state", "method", "rounds", "since(UTC)", "error"]
    words += [NAME, "failed", "loraafter", "6", "2026-11-2410:00", "[/]ofanode"]
    assert sorted(text) == sorted("".join(words)), "no letter is lost"
