"""Greedy decoding of a batch: all rows step together, and a row that is done no longer costs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from prompt_tuning.forward import Forward, prefill_alone
from prompt_tuning.kv_cache import BatchCache, KeyValues, PrefixCache
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

    @property
    def mean_logprob(self) -> float:
        return sum(self.logprobs) / len(self.logprobs) if self.logprobs else 0.0


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
    def decode(self, jobs: Sequence[Job], is_cancelled: Callable[[int], bool] = lambda _row: False) -> list[Written]:
        """Writes a continuation of every job; order is kept. A cancelled row returns what it has."""
        written = [Written() for _ in jobs]
        cache, logits = self._prefill(jobs)
        positions = torch.tensor([[job.prompt.num_tokens] for job in jobs])
        rows = list(range(len(jobs)))
        while True:
            tokens = self._choose(logits, jobs, written, rows)
            for slot in reversed(range(len(rows))):
                if self._is_done(jobs[rows[slot]], written[rows[slot]]) or is_cancelled(rows[slot]):
                    _drop(slot, rows, tokens, positions, cache)
            if not rows:
                return written
            kept = len(rows)
            hidden = self._forward.hidden(
                self._forward.embed(tokens[:kept, None]),
                positions[:kept],
                torch.ones(kept, 1, dtype=torch.bool),
                cache,
            )
            logits = self._forward.logits(hidden[:, -1])
            positions += 1

    @torch.inference_mode()
    def prompt_logits(self, prompts: Sequence[Prompt]) -> Tensor:
        """Float32 logits of the token after each prompt, [prompts, vocabulary]."""
        return self._prefill([Job(prompt=prompt, min_new_tokens=0, max_new_tokens=1) for prompt in prompts])[1]

    def _prefill(self, jobs: Sequence[Job]) -> tuple[BatchCache, Tensor]:
        """Runs the prompts, padded at the left; prefixes come from their cache."""
        prefixes = [self._prefixes.get(job.prompt.prefix_ids) for job in jobs]
        width = max(len(job.prompt.rest_ids) for job in jobs)
        capacity = width + max(len(job.prompt.prefix_ids) + job.max_new_tokens for job in jobs)
        cache = BatchCache(self._forward.cache_shape, num_rows=len(jobs), capacity=capacity)
        cache.start_with(prefixes)
        ids = torch.zeros(len(jobs), width, dtype=torch.long)
        positions = torch.zeros_like(ids)
        visible = torch.zeros_like(ids, dtype=torch.bool)
        for row, job in enumerate(jobs):
            start = width - len(job.prompt.rest_ids)
            ids[row, start:] = torch.tensor(job.prompt.rest_ids)
            positions[row, start:] = torch.arange(len(job.prompt.prefix_ids), job.prompt.num_tokens)
            visible[row, start:] = True
        hidden = self._forward.hidden(self._forward.embed(ids), positions, visible, cache)
        return cache, self._forward.logits(hidden[:, -1])

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


def _drop(slot: int, rows: list[int], tokens: Tensor, positions: Tensor, cache: BatchCache) -> None:
    """Removes one decoding row everywhere; the last takes its slot."""
    last = len(rows) - 1
    tokens[slot] = tokens[last]
    positions[slot] = positions[last]
    rows[slot] = rows[last]
    rows.pop()
    cache.drop_row(slot)
