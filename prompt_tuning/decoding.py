"""Greedy decoding of a batch: all rows step together, and a row that is done no longer costs."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import chain

import torch
from torch import Tensor

from prompt_tuning.adapted_pass import Ids, divide, left_padded, read
from prompt_tuning.forward import Forward, prefill_alone
from prompt_tuning.kv_cache import BatchCache, KeyValues, PrefixCache, joined
from prompt_tuning.methods.method import Effect
from prompt_tuning.token_layout import Prompt


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One row to decode. Between `min_new_tokens` and `max_new_tokens` are written, the end token counted."""

    prompt: Prompt
    min_new_tokens: int
    max_new_tokens: int


@dataclass(slots=True, kw_only=True)
class Written:
    """What a row wrote so far, and the natural log-probability of each token. The end token is included."""

    ids: list[int] = field(default_factory=list, repr=False)
    logprobs: list[float] = field(default_factory=list, repr=False)
    prefill_s: float = 0.0

    @property
    def mean_logprob(self) -> float:
        return sum(self.logprobs) / len(self.logprobs) if self.logprobs else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A prompt that was read: keys and values, float32 logits [vocabulary] of the next token, and its position."""

    past: KeyValues
    logits: Tensor = field(repr=False)
    next_position: int


class GreedyDecoder:
    """Decodes with one model. Not thread-safe.

    Args:
        forward: The model.
        end_ids: Tokens that end a text.
    """

    def __init__(self, forward: Forward, end_ids: Sequence[int]) -> None:
        self._forward = forward
        self._end_ids = list(end_ids)
        self._prefixes = PrefixCache(self._compute_prefix)

    def forget_prefixes(self) -> None:
        """Needed whenever the weights change."""
        self._prefixes.clear()

    @torch.inference_mode()
    def decode(
        self,
        jobs: Sequence[Job],
        is_cancelled: Callable[[int], bool] = lambda _row: False,
        effect: Effect | None = None,
        frozen: Sequence[Sequence[KeyValues]] | None = None,
        on_ids: Callable[[int, Sequence[int]], None] | None = None,
    ) -> list[Written]:
        """Writes a continuation of every job; order is kept. A cancelled row returns what it has.

        Args:
            jobs: At least one.
            is_cancelled: Asked for each row between two steps.
            effect: Of a trained method; virtual tokens of each row are in the order of the jobs.
            frozen: Keys and values of each job's frozen runs at the effect's place, where they are known already.
            on_ids: Called after each step with every row still decoding and all ids that it wrote; must be cheap.
        """
        started = time.perf_counter()
        cache, logits, positions = self._prefill_adapted(jobs, effect, frozen) if effect else self._prefill(jobs)
        written = [Written(prefill_s=time.perf_counter() - started) for _ in jobs]
        forward = effect.forward if effect else self._forward
        rows = list(range(len(jobs)))
        while True:
            tokens = self._choose(logits, jobs, written, rows)
            if on_ids:
                for row in rows:
                    on_ids(row, written[row].ids)
            for slot in reversed(range(len(rows))):
                if self._is_done(jobs[rows[slot]], written[rows[slot]]) or is_cancelled(rows[slot]):
                    _drop(slot, rows, tokens, positions, cache)
            if not rows:
                return written
            kept = len(rows)
            hidden = forward.hidden(
                forward.embed(tokens[:kept, None]),
                positions[:kept],
                torch.ones(kept, 1, dtype=torch.bool),
                cache,
            )
            logits = forward.logits(hidden[:, -1])
            positions += 1

    @torch.inference_mode()
    def begin(self, prompt: Prompt, effect: Effect | None = None) -> "Begun":
        """Reads one prompt by itself, so that nothing but its own tokens has a part in the result."""
        job = Job(prompt=prompt, min_new_tokens=0, max_new_tokens=1)
        cache, logits, positions = self._prefill_adapted([job], effect) if effect else self._prefill([job])
        return Begun(past=cache.of_row(0), logits=logits[0], next_position=int(positions[0, 0]))

    @torch.inference_mode()
    def prompt_logits(self, prompts: Sequence[Prompt], effect: Effect | None = None) -> Tensor:
        """Float32 logits of the token after each prompt, [prompts, vocabulary]."""
        jobs = [Job(prompt=prompt, min_new_tokens=0, max_new_tokens=1) for prompt in prompts]
        return (self._prefill_adapted(jobs, effect) if effect else self._prefill(jobs))[1]

    def _prefill(self, jobs: Sequence[Job]) -> tuple[BatchCache, Tensor, Tensor]:
        """Cache, logits and position of the first new token."""
        prefixes, rests = [job.prompt.prefix_ids for job in jobs], [job.prompt.rest_ids for job in jobs]
        cache = self._start(prefixes, max(map(len, rests)), jobs)
        hidden = self._fill(cache, list(map(len, prefixes)), rests)
        ends = torch.tensor([[job.prompt.num_tokens] for job in jobs])
        return cache, self._forward.logits(hidden[:, -1]), ends

    def _prefill_adapted(
        self, jobs: Sequence[Job], effect: Effect, frozen: Sequence[Sequence[KeyValues]] | None = None
    ) -> tuple[BatchCache, Tensor, Tensor]:
        """The same, first what the frozen model computes, then what stands behind the effect's place."""
        parts = [divide(job.prompt, effect.place, adds_tokens=effect.tokens is not None) for job in jobs]
        room = effect.num_columns + max(len(part.live) for part in parts)
        if frozen is None:
            prefixes = [job.prompt.prefix_ids if part.frozen else () for job, part in zip(jobs, parts, strict=True)]
            rests = [_after(part.frozen, prefix) for part, prefix in zip(parts, prefixes, strict=True)]
            cache = self._start(prefixes, max(map(len, rests)) + room, jobs)
            if any(rests):
                self._fill(cache, list(map(len, prefixes)), rests)
        else:
            room += max(part.num_frozen for part in parts) + max(job.max_new_tokens for job in jobs)
            cache = BatchCache(self._forward.cache_shape, num_rows=len(jobs), capacity=room)
            cache.start_with([joined(runs) for runs in frozen])
        first = read(
            effect, cache, [part.num_frozen for part in parts], [part.live for part in parts], [()] * len(jobs)
        )
        return cache, effect.forward.logits(first.hidden[:, -1]), first.next_positions

    def _start(self, prefixes: Sequence[Ids], num_more: int, jobs: Sequence[Job]) -> BatchCache:
        """A cache with the prefixes, and room for `num_more` columns and the answers."""
        capacity = max(map(len, prefixes)) + num_more + max(job.max_new_tokens for job in jobs)
        cache = BatchCache(self._forward.cache_shape, num_rows=len(jobs), capacity=capacity)
        cache.start_with([self._prefixes.get(prefix) for prefix in prefixes])
        return cache

    def _fill(self, cache: BatchCache, starts: Sequence[int], runs: Sequence[Ids]) -> Tensor:
        """Runs ids through the frozen model, padded at the left. Returns hidden states [rows, t, width]."""
        ids, positions, visible = left_padded(runs)
        return self._forward.hidden(self._forward.embed(ids), torch.tensor(starts)[:, None] + positions, visible, cache)

    def _choose(self, logits: Tensor, jobs: Sequence[Job], written: Sequence[Written], rows: Sequence[int]) -> Tensor:
        """Appends the likeliest token of every row still decoding and returns them, [rows]."""
        for slot, row in enumerate(rows):
            if len(written[row].ids) < jobs[row].min_new_tokens:
                logits[slot, self._end_ids] = -torch.inf
        best, tokens = logits.max(dim=-1)
        logprobs = (best - logits.logsumexp(dim=-1)).tolist()
        for row, token, logprob in zip(rows, tokens.tolist(), logprobs, strict=True):
            written[row].ids.append(token)
            written[row].logprobs.append(min(logprob, 0.0))
        return tokens

    def _is_done(self, job: Job, written: Written) -> bool:
        return len(written.ids) >= job.max_new_tokens or written.ids[-1] in self._end_ids

    def _compute_prefix(self, prefix_ids: tuple[int, ...]) -> KeyValues:
        return prefill_alone(self._forward, prefix_ids).of_row(0)


def _after(runs: Sequence[Ids], prefix: Ids) -> Ids:
    """The ids of all runs behind a prefix that they begin with."""
    return tuple(chain.from_iterable(runs))[len(prefix) :]


def _drop(slot: int, rows: list[int], tokens: Tensor, positions: Tensor, cache: BatchCache) -> None:
    """Removes one decoding row everywhere; the last takes its slot."""
    last = len(rows) - 1
    tokens[slot] = tokens[last]
    positions[slot] = positions[last]
    rows[slot] = rows[last]
    rows.pop()
    cache.drop_row(slot)
