"""One pass of a causal language model over new columns of a batch, by transformers' own modules.

Frozen by default; a variant with low-rank changes or other weights shares everything that it does not change.

Works for decoders that see their past through keys and values alone; others are refused. `llama_forward` does the same
for Llama-shaped models, faster.
"""

import copy
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, Protocol, Self

import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn import functional
from transformers import Cache

from frag.errors import ModelError
from prompt_tuning.kv_cache import BatchCache, CacheShape, ColumnCache
from prompt_tuning.packed_linear import LowRank

_ON_LOGITS = ("final_logit_softcapping", "logit_scale", "logits_scaling")
"""Settings of architectures that change the logits after the output embeddings, which we do not."""


class Forward(Protocol):
    """What decoding needs of a model. Rows are independent; dtype is that of the weights."""

    @property
    def cache_shape(self) -> CacheShape: ...

    def embed(self, ids: Tensor) -> Tensor:
        """Token ids [rows, t] to input embeddings [rows, t, width]."""

    def hidden(self, embeddings: Tensor, positions: Tensor, visible: Tensor, cache: ColumnCache) -> Tensor:
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

    def rotate(self, keys: Tensor, positions: Tensor) -> Tensor:
        """Keys [rows, kv heads, n, head_dim] as attention sees them at `positions` [rows, n]."""

    def linear_shapes(self) -> Mapping[str, tuple[int, int]]:
        """(out, in) of every linear layer that can take a low-rank change, by its name in transformers."""

    def weights(self) -> Mapping[str, Tensor]:
        """All parameters by their names in transformers. Read only."""

    def with_low_rank(self, changes: Mapping[str, LowRank]) -> Self:
        """The same model with changes to linear layers, named as in `linear_shapes`. Shares the frozen weights."""

    def with_weights(self, weights: Mapping[str, Tensor]) -> Self:
        """The same model with these parameters in place of its own, of the model's dtype. Gradients flow into them."""


class TransformersForward:
    """The forward pass of a decoder of transformers, over our cache.

    Raises:
        ModelError: The architecture would be computed wrongly.
    """

    def __init__(self, model: Any) -> None:
        _refuse_unfit(model)
        self._model = model
        self._changes: Mapping[str, LowRank] = {}
        self._replaced: Mapping[str, Tensor] = {}
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

    def hidden(self, embeddings: Tensor, positions: Tensor, visible: Tensor, cache: ColumnCache) -> Tensor:
        mask = cache.open_columns(visible)
        seen = cache.num_columns - visible.shape[1]
        arguments = {
            "inputs_embeds": embeddings,
            "attention_mask": mask,
            "position_ids": positions,
            "past_key_values": _Bridge(cache, seen),
            "use_cache": True,
        }
        decoder, prefix = self._model.get_decoder(), self._model.base_model_prefix + "."
        replaced = {name.removeprefix(prefix): weight for name, weight in self._replaced.items()}
        with _changed(self._model, self._changes):
            output = functional_call(decoder, replaced, kwargs=arguments) if replaced else decoder(**arguments)
        last: Tensor = output.last_hidden_state
        return last

    def logits(self, hidden: Tensor) -> Tensor:
        head = self._model.get_output_embeddings()
        weight = self._replaced.get(self._head_name(), head.weight)
        return functional.linear(hidden, weight, head.bias).float()

    def _head_name(self) -> str:
        tied = self._model.get_output_embeddings().weight
        return next(str(name) for name, weight in self._model.named_parameters() if weight is tied)

    def rotate(self, keys: Tensor, positions: Tensor) -> Tensor:
        rotary = getattr(self._model.get_decoder(), "rotary_emb", None)
        if rotary is None:
            return keys  # positions are in the embeddings
        cosine, sine = (part[:, None] for part in rotary(keys, positions))
        turned, kept = keys[..., : cosine.shape[-1]], keys[..., cosine.shape[-1] :]
        first, second = turned.chunk(2, dim=-1)
        return torch.cat((turned * cosine + torch.cat((-second, first), dim=-1) * sine, kept), dim=-1)

    def linear_shapes(self) -> Mapping[str, tuple[int, int]]:
        head = self._model.get_output_embeddings()
        return {
            name: (module.weight.shape[0], module.weight.shape[1])
            for name, module in self._model.named_modules()
            if isinstance(module, torch.nn.Linear) and module is not head
        }

    def weights(self) -> Mapping[str, Tensor]:
        return dict(self._model.named_parameters())

    def with_low_rank(self, changes: Mapping[str, LowRank]) -> Self:
        changed = copy.copy(self)
        changed._changes = changes
        return changed

    def with_weights(self, weights: Mapping[str, Tensor]) -> Self:
        changed = copy.copy(self)
        changed._replaced = weights
        return changed


@contextmanager
def _changed(model: Any, changes: Mapping[str, LowRank]) -> Iterator[None]:
    """Adds low-rank changes to the outputs of linear layers while the context lasts."""
    with ExitStack() as stack:
        for name, change in changes.items():
            stack.enter_context(model.get_submodule(name).register_forward_hook(partial(_add_low_rank, change)))
        yield


def _add_low_rank(change: LowRank, _module: Any, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
    return output + functional.linear(functional.linear(inputs[0], change.down), change.up)


def _refuse_unfit(model: Any) -> None:
    config = model.config
    recurrent = getattr(model, "_is_stateful", False) or not hasattr(config, "num_attention_heads")
    if recurrent or any(getattr(config, name, None) not in {None, 1} for name in _ON_LOGITS):
        raise ModelError(
            f"Models of architecture {config.model_type} cannot be run here.",
            "Use a decoder with plain attention, such as one of Llama, Mistral or Qwen.",
        )


class _Bridge(Cache):  # type: ignore[misc]
    """Shows a cache of ours to transformers' attention modules."""

    def __init__(self, cache: ColumnCache, seen: int) -> None:
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
