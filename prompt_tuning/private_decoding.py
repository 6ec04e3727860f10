"""Decodes one answer from the votes of many references, so that none of them decides much.

Differential privacy asks that a unit changes nothing but its own vote, to the last bit: its neighbours' logits must not
depend on its length, its place or its being there. So every prompt is read by itself, and decoding steps in blocks of
one fixed shape, on one thread, since products of several threads round by a row's place.

Source: Vinod, Pillutla and Thakurta 2025, "InvisibleInk: High-Utility and Low-Cost Text Generation with Differential
Privacy", Algorithm 1.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch

from frag.privacy.dp_decoding import DecodingRule, Logits, next_token
from prompt_tuning.decoding import Begun, GreedyDecoder
from prompt_tuning.forward import Forward
from prompt_tuning.kv_cache import BatchCache
from prompt_tuning.methods.method import Effect
from prompt_tuning.token_layout import Prompt

Choose = Callable[[Logits, Logits, DecodingRule], int]

BLOCK_ROWS = 8
"""Rows that step together; blocks are filled up with copies of the public row."""


class PrivateDecoder:
    """Decodes with one model and one rule. Not thread-safe.

    Args:
        forward: The frozen model.
        reader: Reads prompts with the same model.
        end_ids: Tokens that end a text.
        rule: Fixed and public.
        choose: The mechanism of one token, given the public logits and those of the references; another in tests.
    """

    def __init__(
        self,
        forward: Forward,
        reader: GreedyDecoder,
        end_ids: Sequence[int],
        rule: DecodingRule,
        choose: Choose = next_token,
    ) -> None:
        self._forward = forward
        self._reader = reader
        self._end_ids = frozenset(end_ids)
        self._rule = rule
        self._choose = choose

    @torch.inference_mode()
    def decode(
        self,
        public: Prompt,
        references: Sequence[Prompt],
        effect: Effect | None = None,
        is_cancelled: Callable[[], bool] = lambda: False,
    ) -> list[int]:
        """Token ids of the answer, the end token left out. Costs `rule.rho` for each reference, however short it is.

        Args:
            public: The question alone.
            references: The question with one unit's passage each, at most `rule.passage_tokens` longer than `public`.
            effect: Of a prompt that is public, or whose own bound is added to the claim.
            is_cancelled: Asked between two tokens.
        """
        with _one_thread():
            begun = [self._reader.begin(prompt, effect) for prompt in (public, *references)]
            width = begun[0].past.num_tokens + self._rule.passage_tokens
            starts = range(0, len(begun), BLOCK_ROWS)
            blocks = [self._block(begun[start : start + BLOCK_ROWS], begun[0], width, effect) for start in starts]
            logits = np.stack([_numbers(row.logits) for row in begun])
            written: list[int] = []
            while True:
                token = self._choose(logits[0], logits[1:], self._rule)
                if token in self._end_ids or is_cancelled():
                    return written
                written.append(token)
                if len(written) == self._rule.num_tokens:
                    return written
                logits = np.concatenate([block.step(token) for block in blocks])[: len(begun)]

    def _block(self, rows: Sequence[Begun], filler: Begun, width: int, effect: Effect | None) -> "_Block":
        filled = [*rows, *[filler] * (BLOCK_ROWS - len(rows))]
        return _Block(effect.forward if effect else self._forward, filled, width, self._rule.num_tokens)


class _Block:
    """`BLOCK_ROWS` rows of one fixed width."""

    def __init__(self, forward: Forward, rows: Sequence[Begun], width: int, num_more: int) -> None:
        self._forward = forward
        self._cache = BatchCache(forward.cache_shape, num_rows=len(rows), capacity=width + num_more)
        self._cache.start_with([row.past for row in rows], width)
        self._positions = torch.tensor([[row.next_position] for row in rows])
        self._visible = torch.ones(len(rows), 1, dtype=torch.bool)

    def step(self, token: int) -> Logits:
        """Appends `token` to every row; logits of the next, [rows, vocabulary]."""
        column = torch.full((len(self._positions), 1), token)
        hidden = self._forward.hidden(self._forward.embed(column), self._positions, self._visible, self._cache)
        self._positions = self._positions + 1
        return _numbers(self._forward.logits(hidden[:, -1]))


def _numbers(logits: torch.Tensor) -> Logits:
    return logits.double().numpy().astype(np.float64)


@contextmanager
def _one_thread() -> Iterator[None]:
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(num_threads)
