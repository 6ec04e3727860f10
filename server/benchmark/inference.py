"""What one node's language model does alone and under load, through the node's own inference worker.

Times are differences, so that nothing is counted twice: prefill by prompts with and without passages, decoding by
answers of one token and of many.
"""

import asyncio
import random
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from frag.types import Generation, GenerationRequest
from server.benchmark import BenchmarkError, OnProgress
from server.node.inference import InferenceWorker

_TEXT = (
    "the ward keeps a list of every patient who came in the last year and each nurse can read it at night when the "
    "doctor is away from the house so that no one has to wait for an answer about the dose or the time of a visit"
)
_FEWEST_DECODED = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class InferencePlan:
    """`concurrency` requests, once in sequence and once all together. Lengths are in model tokens."""

    concurrency: int = 16
    prompt_tokens: int = 250
    new_tokens: int = 32
    threads: int = 2


class InferenceReport(msgspec.Struct, frozen=True, kw_only=True):
    """`ratio` is `concurrent_s` over `sequential_s`; `prompt_tokens` is the mean length that the prompts came to.

    The prefix that all prompts share is in the cache, and not in the rate of the prefill. A rate is null when the
    machine is too unsteady for the difference that it rests on.
    """

    concurrency: int
    prompt_tokens: float
    new_tokens: int
    threads: int
    sequential_s: float
    concurrent_s: float
    ratio: float
    decode_tokens_per_s_single: float | None
    decode_tokens_per_s_batched: float | None
    prefill_tokens_per_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """Wall time of one series, and the tokens of all its prompts."""

    wall_s: float
    prompt_tokens: int


async def measure_inference(worker: InferenceWorker, plan: InferencePlan, on_progress: OnProgress) -> InferenceReport:
    """Measures over a running worker.

    Raises:
        BenchmarkError: `new_tokens` is too small, or the model did not write as many.
        FragError: The model failed.
    """
    if plan.new_tokens < _FEWEST_DECODED:
        raise BenchmarkError("One new token shows no decoding.", f"Ask for {_FEWEST_DECODED} or more.")
    on_progress("warming up", 0.0)
    num_words = await _words_for(worker, plan.prompt_tokens)
    series = _Series(worker, plan.concurrency)
    await series.together(num_words, 1)
    on_progress("prompts without passages", 0.05)
    bare = await series.in_turn(0, 1)
    on_progress("prefill, in sequence", 0.1)
    prefill = await series.in_turn(num_words, 1)
    on_progress("prefill, together", 0.25)
    prefill_together = await series.together(num_words, 1)
    on_progress("answers, together", 0.4)
    concurrent = await series.together(num_words, plan.new_tokens)
    on_progress("answers, in sequence", 0.55)
    sequential = await series.in_turn(num_words, plan.new_tokens)
    num_decoded = plan.concurrency * (plan.new_tokens - 1)
    return InferenceReport(
        concurrency=plan.concurrency,
        prompt_tokens=round(sequential.prompt_tokens / plan.concurrency, 1),
        new_tokens=plan.new_tokens,
        threads=plan.threads,
        sequential_s=round(sequential.wall_s, 3),
        concurrent_s=round(concurrent.wall_s, 3),
        ratio=round(concurrent.wall_s / sequential.wall_s, 3),
        decode_tokens_per_s_single=_rate(num_decoded, sequential.wall_s - prefill.wall_s),
        decode_tokens_per_s_batched=_rate(num_decoded, concurrent.wall_s - prefill_together.wall_s),
        prefill_tokens_per_s=_rate(prefill.prompt_tokens - bare.prompt_tokens, prefill.wall_s - bare.wall_s),
    )


class _Series:
    """The same requests in turn or together, each with words of its own, so that no answer helps another."""

    def __init__(self, worker: InferenceWorker, num_requests: int) -> None:
        self._worker = worker
        self._num_requests = num_requests

    async def in_turn(self, num_words: int, new_tokens: int) -> _Run:
        requests = self._requests(num_words, new_tokens)
        started = time.perf_counter()
        written = [await self._worker.generate(request) for request in requests]
        return _run(time.perf_counter() - started, written, new_tokens)

    async def together(self, num_words: int, new_tokens: int) -> _Run:
        requests = self._requests(num_words, new_tokens)
        started = time.perf_counter()
        written = await asyncio.gather(*map(self._worker.generate, requests))
        return _run(time.perf_counter() - started, written, new_tokens)

    def _requests(self, num_words: int, new_tokens: int) -> list[GenerationRequest]:
        return [_request(number, num_words, new_tokens) for number in range(self._num_requests)]


def _request(seed: int, num_words: int, new_tokens: int) -> GenerationRequest:
    words = random.Random(seed).choices(_TEXT.split(), k=num_words)  # noqa: S311 - reproducible filler
    return GenerationRequest(
        question="What does the ward keep?",
        passages=(" ".join(words),) if words else (),
        min_new_tokens=new_tokens,
        max_new_tokens=new_tokens,
    )


def _run(wall_s: float, written: Sequence[Generation], new_tokens: int) -> _Run:
    if short := [row.num_new_tokens for row in written if row.num_new_tokens != new_tokens]:
        raise BenchmarkError(f"The model wrote {short[0]} of {new_tokens} forced tokens.")
    return _Run(wall_s=wall_s, prompt_tokens=sum(row.num_prompt_tokens for row in written))


async def _words_for(worker: InferenceWorker, prompt_tokens: int) -> int:
    """How many words of filler make a prompt of about that many tokens, by what two probes came to."""
    probes = 0, 100
    bare, probed = [
        statistics.mean([(await worker.generate(_request(seed, words, 1))).num_prompt_tokens for seed in range(3)])
        for words in probes
    ]
    per_word = (probed - bare) / probes[1]
    return max(1, round((prompt_tokens - bare) / per_word))


def _rate(num_tokens: int, seconds: float) -> float | None:
    return round(num_tokens / seconds, 1) if seconds > 0 else None
