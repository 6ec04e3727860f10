"""The contract of the language model on a tiny random one, in fp32: caching and batching change nothing."""

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from frag.errors import BadRequestError
from frag.types import GenerationRequest
from prompt_tuning.decoding import GreedyDecoder, Job
from prompt_tuning.forward import TransformersForward
from prompt_tuning.language_model import TransformersLanguageModel
from prompt_tuning.llama_forward import LlamaForward
from prompt_tuning.token_layout import Prompt
from tests.tiny_model import write_tiny_model

QUESTIONS = (
    GenerationRequest(question="Why?", max_new_tokens=12),
    GenerationRequest(question="What is the colour of the old house?", passages=("It is green.",), max_new_tokens=12),
    GenerationRequest(
        question="Who keeps the keys, and where?",
        passages=("The porter keeps them. " * 4, "Keys hang behind the door of the porter's room."),
        max_new_tokens=12,
    ),
)


@pytest.fixture(scope="module", params=["llama", "qwen2"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`llama` takes our own forward, `qwen2` that of transformers."""
    return write_tiny_model(tmp_path_factory.mktemp(request.param), architecture=request.param)


@pytest.fixture(scope="module")
def model(folder: Path) -> Iterator[TransformersLanguageModel]:
    return TransformersLanguageModel(folder, threads=1, dtype="float32")


def test_only_llama_takes_our_own_forward(model: TransformersLanguageModel, folder: Path) -> None:
    expected = LlamaForward if folder.name.startswith("llama") else TransformersForward
    assert type(model._decoder._forward) is expected


def prompts(model: TransformersLanguageModel) -> list[Prompt]:
    return [model.layout.lay_out(request, 1500) for request in QUESTIONS]


def test_logits_equal_those_of_transformers_without_cache_or_batch(
    model: TransformersLanguageModel, folder: Path
) -> None:
    reference = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    batched = model._decoder.prompt_logits(prompts(model))
    for row, prompt in enumerate(prompts(model)):
        ids = torch.tensor([[*prompt.prefix_ids, *prompt.rest_ids]])
        with torch.inference_mode():
            expected = reference(input_ids=ids).logits[0, -1]
        torch.testing.assert_close(batched[row], expected, atol=1e-3, rtol=0)


def test_cached_equals_uncached(model: TransformersLanguageModel) -> None:
    cached = model._decoder.prompt_logits(prompts(model))
    whole = [Prompt(prefix_ids=(), passage_ids=(), question_ids=(*p.prefix_ids, *p.rest_ids)) for p in prompts(model)]
    torch.testing.assert_close(cached, model._decoder.prompt_logits(whole), atol=1e-3, rtol=0)


def test_batched_equals_single_over_mixed_lengths(model: TransformersLanguageModel) -> None:
    together = model.generate(QUESTIONS)
    alone = [model.generate([request])[0] for request in QUESTIONS]
    assert [g.text for g in together] == [g.text for g in alone]
    for ours, theirs in zip(together, alone, strict=True):
        assert ours.token_logprob == pytest.approx(theirs.token_logprob, abs=1e-3)
        assert ours.num_prompt_tokens == theirs.num_prompt_tokens


def test_greedy_text_and_logprob_equal_those_of_transformers(model: TransformersLanguageModel, folder: Path) -> None:
    reference = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    (ours,) = model.generate([QUESTIONS[1]])
    prompt = prompts(model)[1]
    ids = [*prompt.prefix_ids, *prompt.rest_ids]
    logprobs = []
    for _ in range(QUESTIONS[1].max_new_tokens):
        with torch.inference_mode():
            scores = reference(input_ids=torch.tensor([ids])).logits[0, -1].log_softmax(-1)
        ids.append(int(scores.argmax()))
        logprobs.append(float(scores.max()))
        if ids[-1] == reference.generation_config.eos_token_id:
            break
    assert ours.num_new_tokens == len(logprobs)
    assert ours.token_logprob == pytest.approx(sum(logprobs) / len(logprobs), abs=1e-3)


def test_each_row_keeps_its_own_lengths(model: TransformersLanguageModel) -> None:
    requests = [
        GenerationRequest(question=f"q{n}", min_new_tokens=low, max_new_tokens=high)
        for n, (low, high) in enumerate([(7, 7), (1, 3), (0, 1), (20, 20), (5, 9), (9, 4)])
    ]
    written = model.generate(requests)
    assert [g.num_new_tokens for g in written][::3] == [7, 20]
    assert written[5].num_new_tokens <= 4, "the maximum wins"
    for request, generation in zip(requests[:5], written[:5], strict=True):
        assert request.min_new_tokens <= generation.num_new_tokens <= request.max_new_tokens
        assert generation.token_logprob <= 0


def test_a_row_that_ends_early_leaves_the_others_as_they_were(model: TransformersLanguageModel) -> None:
    """The end tokens are those that the rows write anyway, so that they end at different steps."""
    jobs = [Job(prompt=prompt, min_new_tokens=0, max_new_tokens=30) for prompt in prompts(model)]
    endless = [GreedyDecoder(model._decoder._forward, []).decode([job])[0].ids for job in jobs]
    ends = [endless[0][3], endless[1][9]]
    written = GreedyDecoder(model._decoder._forward, ends).decode(jobs)
    assert written[0].ids[-1] in ends
    for row, whole in zip(written, endless, strict=True):
        end = next((index + 1 for index, token in enumerate(whole) if token in ends), 30)
        assert row.ids == whole[:end]
        assert len(row.logprobs) == len(row.ids)


def test_no_end_before_the_least_length(model: TransformersLanguageModel) -> None:
    (prompt, *_) = prompts(model)
    first = (
        GreedyDecoder(model._decoder._forward, [])
        .decode([Job(prompt=prompt, min_new_tokens=0, max_new_tokens=1)])[0]
        .ids
    )
    decoder = GreedyDecoder(model._decoder._forward, first)
    assert decoder.decode([Job(prompt=prompt, min_new_tokens=0, max_new_tokens=9)])[0].ids == first
    (longer,) = decoder.decode([Job(prompt=prompt, min_new_tokens=5, max_new_tokens=9)])
    assert not set(first) & set(longer.ids[:5])


def test_different_instructions_share_a_batch(model: TransformersLanguageModel) -> None:
    """Prefixes of different length, one of them from the cache."""
    requests = [replace(QUESTIONS[1], instruction=text) for text in ("", "Be brief. " * 5, "Rhyme.")]
    alone = [model.generate([request])[0] for request in requests]
    model._decoder.forget_prefixes()
    model.generate(requests[:1])
    together = model.generate(requests)
    assert [g.text for g in together] == [g.text for g in alone]
    assert [g.token_logprob for g in together] == pytest.approx([g.token_logprob for g in alone], abs=1e-3)


def test_a_cancelled_row_stops_and_the_others_go_on(model: TransformersLanguageModel) -> None:
    requests = [GenerationRequest(question=f"q{n}", min_new_tokens=15, max_new_tokens=15) for n in range(3)]
    steps = 0

    def is_cancelled(row: int) -> bool:
        nonlocal steps
        steps += row == 1
        return row == 1 and steps > 4

    written = model.generate(requests, is_cancelled)
    assert [g.num_new_tokens for g in written] == [15, 5, 15]
    assert written[0].text == model.generate([requests[0]])[0].text


def test_a_batch_cancelled_whole_returns_what_it_has(model: TransformersLanguageModel) -> None:
    assert [g.num_new_tokens for g in model.generate(QUESTIONS, lambda _row: True)] == [1, 1, 1]


def test_nothing_is_asked_of_nobody(model: TransformersLanguageModel) -> None:
    assert model.generate([]) == []


def test_a_length_that_cannot_fit_is_refused(model: TransformersLanguageModel) -> None:
    for max_new_tokens in (0, 5000):
        with pytest.raises(BadRequestError):
            model.generate([GenerationRequest(question="q", max_new_tokens=max_new_tokens)])


def test_bfloat16_runs(folder: Path) -> None:
    model = TransformersLanguageModel(folder, threads=1)
    assert len(model.generate(QUESTIONS)) == 3


def test_a_listener_hears_the_text_grow_to_what_is_returned(model: TransformersLanguageModel) -> None:
    heard: list[str] = []
    alone = model.generate([QUESTIONS[1]])
    written = model.generate(QUESTIONS, listeners={1: heard.append})
    assert written[1].text == alone[0].text, "listening changes nothing"
    assert len(heard) > 3
    assert written[1].text.startswith(heard[-1])
    assert all(later.startswith(earlier) for earlier, later in itertools.pairwise(heard))
