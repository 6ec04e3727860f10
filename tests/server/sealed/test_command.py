"""`frag ask --sealed`: scrubbed at the asker, and refused before anything is sent where it cannot be done."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from frag.errors import BadRequestError, RosterError
from frag.types import NodeAnswer
from server.sealed.command import SealedOptions, ask_sealed_from_command
from server.wire.messages import Ask
from tests.server.sealed.federation import sealed_federation


def options(folder: Path, url: str = "http://127.0.0.1:9", key: str = "") -> SealedOptions:
    return SealedOptions(
        url=url,
        api_key=key,
        tls=None,
        nodes=None,
        top_k=5,
        deadline_s=5.0,
        min_nodes=1,
        mode="scrub",
        aggregation="best",
        retrieve_only=False,
        roster=None,
        operators=(),
        asker_key=folder / "asker.key",
        trust_coordinator=True,
        scrub_question=True,
    )


async def repeats(ask: Ask) -> NodeAnswer:
    return NodeAnswer(node_id="", mode=ask.answer_mode, text=f"You asked: {ask.question}", score=0.5)


async def test_the_question_is_masked_before_it_is_sealed_and_restored_in_the_answer(tmp_path: Path) -> None:
    async with sealed_federation(tmp_path) as federation:
        await federation.join("a", repeats)
        typed = options(tmp_path, federation.coordinator.url, federation.coordinator.api_key)
        question = "Is my son Ben Okafor on the list?"
        shown = await asyncio.to_thread(ask_sealed_from_command, question, typed)
        unmasked = await asyncio.to_thread(ask_sealed_from_command, question, replace(typed, scrub_question=False))
        asked = [ask.question for ask in federation.answers["a"].asked]
    assert asked == ["Is my son <PERSON_Q1> on the list?", question]
    assert shown["answer"] == unmasked["answer"] == f"You asked: {question}"
    assert shown["question"] == {"scrub": "patterns", "masked": {"PERSON": 1}}
    assert (tmp_path / "asker.key").stat().st_mode & 0o777 == 0o600


def test_what_cannot_be_done_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    typed = options(tmp_path)
    with pytest.raises(RosterError, match="signed roster"):
        ask_sealed_from_command("q", replace(typed, trust_coordinator=False))
    for wrong in ({"mode": "loud"}, {"deadline_s": 1e6}, {"mode": "consensus"}, {"aggregation": "synthesize"}):
        with pytest.raises(BadRequestError):
            ask_sealed_from_command("q", replace(typed, **wrong))  # type: ignore[arg-type]
