"""From a frozen past through the trained part to the answer: the one pass that training and serving share.

A request's ids fall into runs that the frozen model computes (and that may be cached) and *live* ids behind the place
where the trained part acts. After the input that is the last token alone, since the first word of the answer is
predicted from it; with virtual tokens it is none, since the last of them takes that part.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from frag.types import Place
from prompt_tuning.kv_cache import ColumnCache
from prompt_tuning.methods.method import Effect
from prompt_tuning.token_layout import Prompt

Ids = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Divided:
    """A prompt at a place: `frozen` runs, in order, none of them empty, then the `live` ids."""

    frozen: tuple[Ids, ...] = field(repr=False)
    live: Ids = field(repr=False)

    @property
    def num_frozen(self) -> int:
        return sum(map(len, self.frozen))


def divide(prompt: Prompt, place: Place, *, adds_tokens: bool) -> Divided:
    """Which ids the frozen model computes, and which are read behind the place."""
    if place is Place.BEFORE:
        return Divided(frozen=(), live=prompt.prefix_ids + prompt.rest_ids)
    kept_back = 0 if adds_tokens or not prompt.question_ids else 1
    end = len(prompt.question_ids) - kept_back
    runs = (prompt.prefix_ids, prompt.passage_ids, prompt.question_ids[:end])
    return Divided(frozen=tuple(run for run in runs if run), live=prompt.question_ids[end:])


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """Hidden states [rows, t, width] that predict the first token behind the prompts and each continuation token but
    the last; `next_positions` [rows, 1] are those behind prompt and first token."""

    hidden: Tensor = field(repr=False)
    next_positions: Tensor = field(repr=False)


def read(
    effect: Effect, cache: ColumnCache, num_frozen: Sequence[int], live: Sequence[Ids], continuations: Sequence[Ids]
) -> Read:
    """Runs the trained part, the live ids and what is known of the answers, over a cache that holds the frozen runs.

    Args:
        effect: Of the method.
        cache: Right-aligned frozen runs; gets the new columns.
        num_frozen: Tokens of each row in `cache`.
        live: Ids behind the place, each row.
        continuations: Answers so far, each row; all empty when decoding begins.
    """
    starts = torch.tensor(num_frozen)
    if effect.past is not None:
        starts = _append_past(effect, cache, starts)
    forward = effect.forward
    num_virtual = 0 if effect.tokens is None else effect.tokens.shape[1]
    ids, positions, visible = left_padded(live, continuations)
    embeddings = forward.embed(ids)
    if effect.tokens is not None:
        embeddings = torch.cat((effect.tokens.expand(len(live), -1, -1), embeddings), dim=1)
        positions = torch.cat((torch.arange(num_virtual).expand(len(live), -1), positions + num_virtual), dim=1)
        visible = torch.cat((torch.ones(len(live), num_virtual, dtype=torch.bool), visible), dim=1)
    hidden = forward.hidden(embeddings, starts[:, None] + positions, visible, cache)
    first = num_virtual + max(map(len, live)) - 1
    ends = starts + num_virtual + torch.tensor([len(row) for row in live])
    return Read(hidden=hidden[:, first:], next_positions=ends[:, None])


def _append_past(effect: Effect, cache: ColumnCache, starts: Tensor) -> Tensor:
    """Puts trained keys and values behind the frozen ones, rotated to each row's positions."""
    past = effect.past
    if past is None:
        return starts
    positions = starts[:, None] + torch.arange(past.num_tokens)
    rows = len(starts)
    keys = torch.stack([effect.forward.rotate(layer.expand(rows, -1, -1, -1), positions) for layer in past.keys])
    cache.append(keys, past.values[:, None].expand(-1, rows, -1, -1, -1))
    return starts + past.num_tokens


def left_padded(runs: Sequence[Ids], continuations: Sequence[Ids] | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """Ids, positions (from 0 at a row's first id) and visibility, each [rows, t].

    Padding stands at the left of the runs, so that they end in one column, and at the right of their continuations.
    """
    behind = continuations or [()] * len(runs)
    turn = max(map(len, runs))
    width = turn + max(map(len, behind))
    ids = torch.zeros(len(runs), width, dtype=torch.long)
    visible = torch.zeros(len(runs), width, dtype=torch.bool)
    positions = torch.zeros(len(runs), width, dtype=torch.long)
    for row, (run, continuation) in enumerate(zip(runs, behind, strict=True)):
        columns = slice(turn - len(run), turn + len(continuation))
        known = torch.tensor([*run, *continuation], dtype=torch.long)
        ids[row, columns] = known
        visible[row, columns] = True
        positions[row, columns] = torch.arange(len(known))
    return ids, positions, visible
