"""Prompt tuning: virtual tokens among the input embeddings.

Source: Lester et al. 2021, "The Power of Scale for Parameter-Efficient Prompt Tuning", §2.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from prompt_tuning.forward import Forward
from prompt_tuning.methods.method import Effect, Start, cycled
from prompt_tuning.methods.settings import PromptSettings


class Prompt:
    """Trains `virtual_tokens` [n, width]."""

    adds_tokens = True
    reads_vectors = False

    def __init__(self, settings: PromptSettings) -> None:
        self._settings = settings

    def initial(self, start: Start) -> dict[str, Tensor]:
        number = self._settings.num_virtual_tokens
        if self._settings.initial == "text":
            ids = cycled(start.text_ids, number)
        else:
            vocabulary = len(start.forward.logits(start.forward.embed(torch.tensor([0])))[0])
            ids = torch.randint(vocabulary, (number,), generator=start.generator())
        return {"virtual_tokens": start.forward.embed(ids).float()}

    def effect(self, forward: Forward, tensors: Mapping[str, Tensor], vectors: Tensor | None) -> Effect:
        del vectors
        tokens = tensors["virtual_tokens"][None].to(forward.cache_shape.dtype)
        return Effect(place=self._settings.place, forward=forward, tokens=tokens)
