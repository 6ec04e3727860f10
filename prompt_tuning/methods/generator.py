"""A prompt generator: a small network from the question's embedding to virtual tokens.

The prompt of a question is a shared one plus a low-rank term of the question: P(v) = base + U tanh(W v + b). U starts
at zero, so training starts from the shared prompt.

Source: in the spirit of Qiu et al. 2024, "Federated Text-driven Prompt Generation", and Wu et al. 2022, "IDPG".
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from frag.errors import BadRequestError
from prompt_tuning.forward import Forward
from prompt_tuning.methods.method import Effect, Start, cycled
from prompt_tuning.methods.settings import GeneratorSettings


class Generator:
    """Trains `base` [n, width], `into.weight` [hidden, vector], `into.bias` and `out.weight` [n · width, hidden]."""

    adds_tokens = True
    reads_vectors = True

    def __init__(self, settings: GeneratorSettings) -> None:
        self._settings = settings

    def initial(self, start: Start) -> dict[str, Tensor]:
        base = start.forward.embed(cycled(start.text_ids, self._settings.num_virtual_tokens)).float()
        hidden = self._settings.hidden_size
        into = torch.randn(hidden, start.vector_width, generator=start.generator())
        return {
            "base": base,
            "into.weight": into,  # question vectors have norm 1, so this gives tanh inputs of variance 1
            "into.bias": torch.zeros(hidden),
            "out.weight": torch.zeros(base.numel(), hidden),
        }

    def effect(self, forward: Forward, tensors: Mapping[str, Tensor], vectors: Tensor | None) -> Effect:
        if vectors is None:
            raise BadRequestError("A prompt generator needs the question's embedding.", "Give question_vector.")
        base = tensors["base"]
        hidden = torch.tanh(vectors @ tensors["into.weight"].T + tensors["into.bias"])
        tokens = base + (hidden @ tensors["out.weight"].T).view(len(vectors), *base.shape)
        return Effect(place=self._settings.place, forward=forward, tokens=tokens.to(forward.cache_shape.dtype))
