"""Masked before it leaves the coordinator, put back for the asker, and kept nowhere."""

from pathlib import Path

import pytest

from frag.types import NodeAnswer
from server.wire.messages import Ask
from tests.conftest import LoopGuard
from tests.server.in_process import in_process

QUESTION = "Is my son Ben Okafor on the list, under 078-05-1120?"
SENT = "Is my son <PERSON_Q1> on the list, under <US_SSN_Q1>?"


async def repeats(ask: Ask) -> NodeAnswer:
    names = " ".join(word for word in ask.question.replace(",", " ").replace("?", " ").split() if word[0] == "<")
    return NodeAnswer(node_id="", mode=ask.answer_mode, text=f"Yes, {names} <PERSON_1>", score=0.5)


async def test_nodes_get_placeholders_and_the_asker_gets_the_words(
    tmp_path: Path, unblocked_loop: LoopGuard, capsys: pytest.CaptureFixture[str]
) -> None:
    async with in_process(tmp_path) as federation:
        node = await federation.join("a", repeats)
        with unblocked_loop():
            status, body = await federation.ask(question=QUESTION)
    assert status == 200
    assert [ask.question for ask in node.asked] == [SENT]
    assert body["answer"] == "Yes, Ben Okafor 078-05-1120 <PERSON_1>"
    assert body["answered"][0]["answer"] == body["answer"]
    assert body["question"] == {"scrub": "patterns", "masked": {"PERSON": 1, "US_SSN": 1}}
    logged = "".join(capsys.readouterr())
    assert "question_hash" in logged
    assert not [text for text in ("Okafor", "078-05", "on the list") if text in logged]


async def test_the_asker_and_the_operator_can_switch_it_off(tmp_path: Path) -> None:
    async with in_process(tmp_path / "asker") as federation:
        node = await federation.join("a", repeats)
        _, body = await federation.ask(question=QUESTION, scrub_question=False)
    assert [ask.question for ask in node.asked] == [QUESTION]
    assert body["question"] == {"scrub": "off", "masked": {}}
    async with in_process(tmp_path / "operator", {"questions": {"scrub": "off"}}) as federation:
        node = await federation.join("a", repeats)
        await federation.ask(question=QUESTION)
    assert [ask.question for ask in node.asked] == [QUESTION]
