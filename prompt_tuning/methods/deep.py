"""Deep prompts: trainable keys and values at every layer. Keys are trained before rotation, so they fit any position.

Source: Li and Liang 2021, "Prefix-Tuning", §4; Liu et al. 2022, "P-Tuning v2", §3.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from prompt_tuning.forward import Forward, prefill_alone
from prompt_tuning.kv_cache import KeyValues
from prompt_tuning.methods.method import Effect, Start, cycled
from prompt_tuning.methods.settings import DeepSettings

_RANDOM_SCALE = 0.5


class Deep:
    """Trains `keys` and `values`, each [layers, kv heads, n, head_dim]."""

    adds_tokens = False
    reads_vectors = False

    def __init__(self, settings: DeepSettings) -> None:
        self._settings = settings

    def initial(self, start: Start) -> dict[str, Tensor]:
        if self._settings.initial == "text":
            return self._of_text(start)
        shape = start.forward.cache_shape
        sizes = (shape.num_layers, shape.num_key_value_heads, self._settings.num_virtual_tokens, shape.head_dim)
        generator = start.generator()
        return {name: _RANDOM_SCALE * torch.randn(sizes, generator=generator) for name in ("keys", "values")}

    def _of_text(self, start: Start) -> dict[str, Tensor]:
        """Keys and values that the model itself has for the text, turned back to position 0."""
        number = self._settings.num_virtual_tokens
        with torch.inference_mode():
            seen = prefill_alone(start.forward, tuple(cycled(start.text_ids, number).tolist())).of_row(0)
            positions = -torch.arange(number)[None].expand(seen.keys.shape[0], -1)
            keys = start.forward.rotate(seen.keys, positions)
        return {"keys": keys.float().clone(), "values": seen.values.float().clone()}

    def effect(self, forward: Forward, tensors: Mapping[str, Tensor], vectors: Tensor | None) -> Effect:
        del vectors
        dtype = forward.cache_shape.dtype
        past = KeyValues(keys=tensors["keys"].to(dtype), values=tensors["values"].to(dtype))
        return Effect(place=self._settings.place, forward=forward, past=past)
