"""The inference benchmark over a scripted model: what it counts, and what it refuses to count."""

import time
from collections.abc import Callable, Mapping, Sequence

import pytest

from frag.errors import FragError
from frag.protocols import TextListener
from frag.types import Adaptation, Generation, GenerationRequest
from server.benchmark import BenchmarkError
from server.benchmark.inference import InferencePlan, InferenceReport, measure_inference
from server.node.inference import InferenceWorker

PREFIX_TOKENS = 40
STEP_S = 0.002


class ScriptedModel:
    """One token a word; a step of the whole batch takes STEP_S, however many rows it has."""

    name = "scripted"

    def __init__(self, writes_at_most: int = 1_000) -> None:
        self.batch_sizes: list[int] = []
        self._writes_at_most = writes_at_most

    def generate(
        self,
        requests: Sequence[GenerationRequest],
        is_cancelled: Callable[[int], bool] = lambda _row: False,
        adaptation: Adaptation | None = None,
        listeners: Mapping[int, TextListener] | None = None,
    ) -> list[Generation]:
        self.batch_sizes.append(len(requests))
        time.sleep(STEP_S * requests[0].max_new_tokens)
        return [
            Generation(
                text="word",
                token_logprob=-1.0,
                num_prompt_tokens=PREFIX_TOKENS + sum(len(passage.split()) for passage in request.passages),
                num_new_tokens=min(request.min_new_tokens, self._writes_at_most),
            )
            for request in requests
        ]


async def measured(model: ScriptedModel, plan: InferencePlan) -> InferenceReport:
    async with InferenceWorker(lambda: model, max_batch=8, gather_s=0.02) as worker:
        return await measure_inference(worker, plan, lambda _stage, _share: None)


async def test_prompts_come_to_the_length_that_was_asked_for() -> None:
    report = await measured(ScriptedModel(), InferencePlan(concurrency=2, prompt_tokens=250, new_tokens=4))
    assert report.prompt_tokens == 250
    assert (report.concurrency, report.new_tokens) == (2, 4)


async def test_together_means_in_one_batch_and_in_sequence_alone() -> None:
    model = ScriptedModel()
    report = await measured(model, InferencePlan(concurrency=8, prompt_tokens=100, new_tokens=16))
    assert set(model.batch_sizes) == {1, 8}
    assert model.batch_sizes.count(8) == 3  # warm-up, one token each, all tokens
    assert report.ratio == pytest.approx(report.concurrent_s / report.sequential_s, abs=0.05)
    assert report.decode_tokens_per_s_single is not None


async def test_a_model_that_stops_early_is_no_measurement() -> None:
    with pytest.raises(BenchmarkError, match="3 of 5 forced tokens"):
        await measured(ScriptedModel(writes_at_most=3), InferencePlan(concurrency=1, new_tokens=5))


async def test_one_token_shows_no_decoding() -> None:
    with pytest.raises(FragError, match="no decoding"):
        await measured(ScriptedModel(), InferencePlan(concurrency=1, new_tokens=1))
