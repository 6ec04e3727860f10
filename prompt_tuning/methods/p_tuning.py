"""P-tuning: virtual tokens through a prompt encoder, which is a generator by reparameterisation.

Source: Liu et al. 2021, "GPT Understands, Too", §3.2; the encoder is that of the `peft` library.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call

from prompt_tuning.forward import Forward
from prompt_tuning.methods.method import Effect, Start
from prompt_tuning.methods.settings import PTuningSettings


class PTuning:
    """Trains the parameters of the encoder, named as in `peft`."""

    adds_tokens = True
    reads_vectors = False

    def __init__(self, settings: PTuningSettings) -> None:
        self._settings = settings
        self._encoder: Any = None

    def initial(self, start: Start) -> dict[str, Tensor]:
        width = start.forward.embed(torch.tensor([0])).shape[-1]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(start.seed)
            encoder = self._make(width)
        return {name: weight.detach().clone() for name, weight in encoder.named_parameters()}

    def effect(self, forward: Forward, tensors: Mapping[str, Tensor], vectors: Tensor | None) -> Effect:
        del vectors
        if self._encoder is None:
            self._encoder = self._make(tensors["embedding.weight"].shape[1])
        indices = torch.arange(self._settings.num_virtual_tokens)[None]
        tokens = functional_call(self._encoder, dict(tensors), (indices,))
        return Effect(place=self._settings.place, forward=forward, tokens=tokens.to(forward.cache_shape.dtype))

    def _make(self, width: int) -> Any:
        from peft import PromptEncoder, PromptEncoderConfig, TaskType

        make: Any = PromptEncoder  # untyped in peft
        return make(
            PromptEncoderConfig(
                task_type=TaskType.CAUSAL_LM,
                num_virtual_tokens=self._settings.num_virtual_tokens,
                token_dim=width,
                num_transformer_submodules=1,
                encoder_reparameterization_type=self._settings.encoder,
                encoder_hidden_size=self._settings.hidden_size,
                encoder_dropout=0.0,
            )
        )
