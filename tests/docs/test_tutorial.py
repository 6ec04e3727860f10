"""Whoever follows the tutorial literally ends with an answer; only the port is one that is free."""

import json
from pathlib import Path

import pytest

from tests.docs.conftest import Followed, tutorial_blocks


@pytest.mark.timeout(300)
def test_whoever_follows_it_ends_with_an_answer(followed: Followed) -> None:
    assert len(tutorial_blocks()) == 6
    asked = followed.parts[4]
    assert "four" in asked.lower(), asked
    assert "✗" not in followed.parts[5]
    _check_logs(followed.folder)


def _check_logs(work: Path) -> None:
    """Every line is an object that can be found by its request, and none holds text of question, document or answer."""
    for name in ("coordinator", "harbour", "castle", "museum"):
        text = (work / f"{name}.log").read_text()
        lines = [json.loads(line) for line in text.splitlines()]
        assert lines
        assert not [word for word in ("ferry", "pier", "minutes", "morning", "ship models") if word in text.lower()]
    query, *_ = [line for line in _lines(work / "coordinator.log") if line["event"] == "query"]
    assert query["request_id"]
    assert query["trace_id"]


def _lines(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.read_text().splitlines()]
