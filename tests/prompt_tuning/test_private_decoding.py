"""What a unit does to others' logits: nothing, to the last bit. And what comes out when votes are loud or silent."""

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from frag.privacy.dp_decoding import DecodingRule, Logits
from frag.types import GenerationRequest
from prompt_tuning.language_model import TransformersLanguageModel
from prompt_tuning.private_decoding import PrivateDecoder
from prompt_tuning.token_layout import Prompt
from tests.tiny_model import write_tiny_model

RULE = DecodingRule(clip=1.0, references=4, num_tokens=5, passage_tokens=24)
QUESTION = GenerationRequest(question="Who keeps the keys?")
PASSAGES = [f"Porter {number} keeps them" + " and waits" * number for number in range(11)]


@pytest.fixture(scope="module", params=["llama", "qwen2"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp(request.param), architecture=request.param)


@pytest.fixture(scope="module")
def rough(folder: Path) -> TransformersLanguageModel:
    """As it serves: two threads, and the dtype in which rounding is easily seen."""
    return TransformersLanguageModel(folder, threads=2, dtype="bfloat16")


@pytest.fixture(scope="module")
def model(folder: Path) -> TransformersLanguageModel:
    return TransformersLanguageModel(folder, threads=1, dtype="float32")


def prompts(model: TransformersLanguageModel, passages: list[str]) -> tuple[Prompt, list[Prompt]]:
    public = model.layout.lay_out(QUESTION, 500)
    room = public.num_tokens + RULE.passage_tokens
    return public, [model.layout.lay_out(replace(QUESTION, passages=(text,)), room) for text in passages]


def seen_logits(model: TransformersLanguageModel, passages: list[str]) -> tuple[list[Logits], dict[str, list[Logits]]]:
    """Logits of the public row and of each passage at every step, for fixed tokens."""
    public: list[Logits] = []
    votes: dict[str, list[Logits]] = {text: [] for text in passages}

    def choose(alone: Logits, rows: Logits, _rule: DecodingRule) -> int:
        public.append(alone)
        for text, row in zip(passages, rows, strict=True):
            votes[text].append(row)
        return 40 + len(public)

    decoder = PrivateDecoder(model.forward, model._decoder, [], RULE, choose)
    assert decoder.decode(*prompts(model, passages)) == [41, 42, 43, 44, 45]
    return public, votes


def test_a_unit_changes_no_bit_of_anybody_elses_logits(rough: TransformersLanguageModel) -> None:
    public, votes = seen_logits(rough, PASSAGES)
    for _ in range(3):
        company = random.sample(PASSAGES, random.randint(0, 9))
        alone, others = seen_logits(rough, company)
        np.testing.assert_array_equal(alone, public)
        for text in company:
            np.testing.assert_array_equal(others[text], votes[text])


def test_without_references_the_model_speaks_by_itself(model: TransformersLanguageModel) -> None:
    quiet = replace(RULE, temperature=1e-6)
    expected = model.generate([replace(QUESTION, max_new_tokens=RULE.num_tokens)])[0].text
    assert model.write_privately(QUESTION, [], quiet) == expected


def test_loud_votes_decide_and_clipped_ones_do_not(model: TransformersLanguageModel) -> None:
    """One reference with C/S beyond all logits and τ near 0 is greedy decoding with that passage."""
    loud = replace(RULE, clip=1e6, references=1, temperature=1e-6, top_k=10**6, passage_tokens=200)
    with_passage = replace(QUESTION, passages=(PASSAGES[0],), max_new_tokens=RULE.num_tokens)
    assert model.write_privately(QUESTION, [PASSAGES[0]], loud) == model.generate([with_passage])[0].text
    mute = replace(loud, clip=1e-12)
    alone = model.generate([replace(QUESTION, max_new_tokens=RULE.num_tokens)])[0].text
    assert model.write_privately(QUESTION, [PASSAGES[0]], mute) == alone


def test_cancelling_stops_between_tokens(model: TransformersLanguageModel) -> None:
    assert model.write_privately(QUESTION, PASSAGES[:1], RULE, is_cancelled=lambda: True) == ""
