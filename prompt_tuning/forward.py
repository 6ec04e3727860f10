"""One pass of a causal language model over new columns of a batch, by transformers' own modules.

Works for decoders that see their past through keys and values alone; others are refused. `llama_forward` does the same
for Llama-shaped models, faster.
"""

from typing import Any, Protocol

import torch
from torch import Tensor
from transformers import Cache

from frag.errors import ModelError
from prompt_tuning.kv_cache import BatchCache, CacheShape

_ON_LOGITS = ("final_logit_softcapping", "logit_scale", "logits_scaling")
"""Settings of architectures that change the logits after the output embeddings, which we do not."""


class Forward(Protocol):
    """What decoding needs of a model. Rows are independent; dtype is that of the weights."""

    @property
    def cache_shape(self) -> CacheShape: ...

    def embed(self, ids: Tensor) -> Tensor:
        """Token ids [rows, t] to input embeddings [rows, t, width]."""

    def hidden(self, embeddings: Tensor, positions: Tensor, visible: Tensor, cache: BatchCache) -> Tensor:
        """Appends columns to `cache` and returns the final hidden states.

        Args:
            embeddings: [rows, t, width].
            positions: [rows, t], explicit since padding stands at the left; anything where not visible.
            visible: [rows, t] bool, False for padding.
            cache: Rows as above; gets t columns.

        Returns:
            [rows, t, width], after the last normalisation.
        """

    def logits(self, hidden: Tensor) -> Tensor:
        """Hidden states [rows, width] to float32 logits [rows, vocabulary]."""


class TransformersForward:
    """The forward pass of a decoder of transformers, over our cache.

    Raises:
        ModelError: The architecture would be computed wrongly.
    """

    def __init__(self, model: Any) -> None:
        _refuse_unfit(model)
        self._model = model
        config = model.config
        heads = config.num_attention_heads
        self._shape = CacheShape(
            num_layers=config.num_hidden_layers,
            num_key_value_heads=getattr(config, "num_key_value_heads", None) or heads,
            head_dim=getattr(config, "head_dim", None) or config.hidden_size // heads,
            dtype=model.dtype,
        )

    @property
    def cache_shape(self) -> CacheShape:
        return self._shape

    def embed(self, ids: Tensor) -> Tensor:
        embedded: Tensor = self._model.get_input_embeddings()(ids)
        return embedded

    def hidden(self, embeddings: Tensor, positions: Tensor, visible: Tensor, cache: BatchCache) -> Tensor:
        mask = cache.open_columns(visible)
        seen = cache.num_columns - visible.shape[1]
        output = self._model.get_decoder()(
            inputs_embeds=embeddings,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=_Bridge(cache, seen),
            use_cache=True,
        )
        last: Tensor = output.last_hidden_state
        return last

    def logits(self, hidden: Tensor) -> Tensor:
        logits: Tensor = self._model.get_output_embeddings()(hidden)
        return logits.float()


def _refuse_unfit(model: Any) -> None:
    config = model.config
    recurrent = getattr(model, "_is_stateful", False) or not hasattr(config, "num_attention_heads")
    if recurrent or any(getattr(config, name, None) not in {None, 1} for name in _ON_LOGITS):
        raise ModelError(
            f"Models of architecture {config.model_type} cannot be run here.",
            "Use a decoder with plain attention, such as one of Llama, Mistral or Qwen.",
        )


class _Bridge(Cache):  # type: ignore[misc]
    """Shows a BatchCache to transformers' attention modules."""

    def __init__(self, cache: BatchCache, seen: int) -> None:
        super().__init__(layers=[])
        self._cache = cache
        self._seen = seen

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *_args: Any, **_kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        return self._cache.put(layer_idx, key_states, value_states)

    def get_seq_length(self, layer_idx: int = 0) -> int:
        del layer_idx
        return self._seen


def make_forward(model: Any) -> Forward:
    """The fastest forward pass that is right for a loaded causal language model."""
    from prompt_tuning.llama_forward import LlamaForward

    return LlamaForward(model) if LlamaForward.fits(model.config) else TransformersForward(model)


def prefill_alone(forward: Forward, ids: tuple[int, ...]) -> BatchCache:
    """A cache of one row that holds `ids` at positions 0 … n-1."""
    cache = BatchCache(forward.cache_shape, num_rows=1, capacity=len(ids))
    columns = torch.tensor([ids])
    positions = torch.arange(len(ids))[None]
    forward.hidden(forward.embed(columns), positions, torch.ones_like(columns, dtype=torch.bool), cache)
    return cache
