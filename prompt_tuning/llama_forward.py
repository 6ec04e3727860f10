"""The forward pass of Llama-shaped models, without the per-module overhead that dominates small models on a CPU.

Projections that read the same input are fused; the heads that share keys are folded into the query dimension, so
that keys are never repeated. Equal to transformers to rounding (tested).

Source: Touvron et al. 2023, "LLaMA"; Ainslie et al. 2023, "GQA".
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

import torch
from torch import Tensor
from torch.nn import functional

from prompt_tuning.attention import attend
from prompt_tuning.grid import Grid
from prompt_tuning.kv_cache import CacheShape, ColumnCache
from prompt_tuning.packed_linear import AdaptedLinear, Linear, LowRank, make_linear

_FUSED = {
    "attention_in": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    "attention_out": ("self_attn.o_proj",),
    "gate_and_up": ("mlp.gate_proj", "mlp.up_proj"),
    "down": ("mlp.down_proj",),
}
"""Which layers of transformers each of ours is made of, in order of their outputs."""
_NORMS = {"input_norm": "input_layernorm", "output_norm": "post_attention_layernorm"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layer:
    input_norm: Tensor = field(repr=False)
    attention_in: Linear = field(repr=False)
    attention_out: Linear = field(repr=False)
    output_norm: Tensor = field(repr=False)
    gate_and_up: Linear = field(repr=False)
    down: Linear = field(repr=False)


class LlamaForward:
    """Implements `Forward` over the weights of a transformers `LlamaForCausalLM`.

    The fused matrices replace the model's own, whose parameters become views of them: nothing is held twice.
    """

    def __init__(self, model: Any) -> None:
        config = model.config
        self._num_heads: int = config.num_attention_heads
        self._epsilon: float = config.rms_norm_eps
        self._shape = CacheShape(
            num_layers=config.num_hidden_layers,
            num_key_value_heads=config.num_key_value_heads,
            head_dim=config.head_dim,
            dtype=model.dtype,
        )
        self._layers = [_fuse(layer) for layer in model.model.layers]
        self._weights: Mapping[str, Tensor] = dict(model.named_parameters())
        self._embeddings: Tensor = model.model.embed_tokens.weight.detach()
        self._norm: Tensor = model.model.norm.weight.detach()
        self._head: Tensor = model.lm_head.weight.detach()
        self._inverse_frequencies: Tensor = model.model.rotary_emb.inv_freq.detach().float()

    @staticmethod
    def fits(config: Any) -> bool:
        """Whether a model of this configuration is computed rightly here."""
        rope = getattr(config, "rope_parameters", None) or {}
        return (
            config.model_type == "llama"
            and config.hidden_act == "silu"
            and not config.attention_bias
            and not config.mlp_bias
            and rope.get("rope_type") == "default"
        )

    @property
    def cache_shape(self) -> CacheShape:
        return self._shape

    def embed(self, ids: Tensor) -> Tensor:
        return functional.embedding(ids, self._embeddings)

    def logits(self, hidden: Tensor) -> Tensor:
        return functional.linear(hidden, self._head).float()

    def hidden(self, embeddings: Tensor, positions: Tensor, visible: Tensor, cache: ColumnCache) -> Tensor:
        mask = cache.open_columns(visible)
        if (group := self._num_heads // self._shape.num_key_value_heads) > 1:
            mask = mask.repeat(1, 1, group, 1)
        rotation = self._rotation(positions)
        grid = Grid(visible)
        state = grid.dense(embeddings)
        for index, layer in enumerate(self._layers):
            projected = grid.padded(layer.attention_in(self._normed(state, layer.input_norm)))
            attended = grid.dense(self._attend(index, projected, rotation, mask, cache))
            state = state + layer.attention_out(attended)
            gate, up = layer.gate_and_up(self._normed(state, layer.output_norm)).chunk(2, dim=-1)
            state = state + layer.down(functional.silu(gate) * up)
        return grid.padded(self._normed(state, self._norm))

    def _attend(
        self, index: int, projected: Tensor, rotation: tuple[Tensor, Tensor], mask: Tensor, cache: ColumnCache
    ) -> Tensor:
        """Queries, keys and values [rows, t, …] to the heads' outputs [rows, t, heads · head_dim]."""
        rows, num_columns, _ = projected.shape
        shared, head_dim = self._shape.num_key_value_heads, self._shape.head_dim
        projected = projected.view(rows, num_columns, -1, head_dim).transpose(1, 2)
        rotated = _rotate(projected[:, :-shared], *rotation)
        keys, values = cache.put(index, rotated[:, self._num_heads :], projected[:, -shared:])
        queries = rotated[:, : self._num_heads].reshape(rows, shared, -1, head_dim)
        attended = attend(queries, keys, values, mask)
        heads = attended.reshape(rows, self._num_heads, num_columns, head_dim)
        return heads.transpose(1, 2).reshape(rows, num_columns, -1)

    def rotate(self, keys: Tensor, positions: Tensor) -> Tensor:
        return _rotate(keys, *self._rotation(positions))

    def linear_shapes(self) -> Mapping[str, tuple[int, int]]:
        names = [part for parts in _FUSED.values() for part in parts]
        return {
            name: (weight.shape[0], weight.shape[1])
            for index in range(len(self._layers))
            for part in names
            for name in [f"model.layers.{index}.{part}"]
            for weight in [self._weights[f"{name}.weight"]]
        }

    def weights(self) -> Mapping[str, Tensor]:
        return self._weights

    def with_low_rank(self, changes: Mapping[str, LowRank]) -> Self:
        changed = copy.copy(self)
        changed._layers = [self._changed_layer(index, layer, changes) for index, layer in enumerate(self._layers)]
        return changed

    def _changed_layer(self, index: int, layer: _Layer, changes: Mapping[str, LowRank]) -> _Layer:
        adapted: dict[str, Any] = {}
        for fused, parts in _FUSED.items():
            names = [f"model.layers.{index}.{part}" for part in parts]
            if any(name in changes for name in names):
                found = [changes.get(name) or _no_change(self._weights[f"{name}.weight"]) for name in names]
                adapted[fused] = AdaptedLinear(getattr(layer, fused), found)
        return replace(layer, **adapted)

    def with_weights(self, weights: Mapping[str, Tensor]) -> Self:
        merged = {**self._weights, **weights}
        changed = copy.copy(self)
        changed._weights = merged
        changed._layers = [_layer_of(merged, index) for index in range(len(self._layers))]
        changed._embeddings = merged["model.embed_tokens.weight"]
        changed._norm = merged["model.norm.weight"]
        changed._head = merged.get("lm_head.weight", changed._embeddings)
        return changed

    def _normed(self, state: Tensor, weight: Tensor) -> Tensor:
        return functional.rms_norm(state, weight.shape, weight, self._epsilon)

    def _rotation(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Cosine and sine for `positions` [rows, t], each [rows, 1, t, head_dim]; angles in float32."""
        angles = positions[:, None, :, None].float() * self._inverse_frequencies
        angles = torch.cat((angles, angles), dim=-1)
        return angles.cos().to(self._shape.dtype), angles.sin().to(self._shape.dtype)


def _rotate(heads: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Rotary position embedding of [rows, heads, t, head_dim]. Source: Su et al. 2021, "RoFormer", eq. 34."""
    first, second = heads.chunk(2, dim=-1)
    return heads * cosine + torch.cat((-second, first), dim=-1) * sine


def _no_change(weight: Tensor) -> LowRank:
    return LowRank(weight.new_zeros(0, weight.shape[1]), weight.new_zeros(weight.shape[0], 0))


def _layer_of(weights: Mapping[str, Tensor], index: int) -> _Layer:
    """A layer of plain weights by their names in transformers."""
    base = f"model.layers.{index}"
    linears: dict[str, Any] = {
        fused: Linear(torch.cat([weights[f"{base}.{part}.weight"] for part in parts]))
        for fused, parts in _FUSED.items()
    }
    norms: dict[str, Any] = {ours: weights[f"{base}.{theirs}.weight"] for ours, theirs in _NORMS.items()}
    return _Layer(**linears, **norms)


def _fuse(layer: Any) -> _Layer:
    attention, mlp = layer.self_attn, layer.mlp
    return _Layer(
        input_norm=layer.input_layernorm.weight.detach(),
        attention_in=make_linear(_stacked(attention.q_proj, attention.k_proj, attention.v_proj)),
        attention_out=make_linear(attention.o_proj.weight.detach()),
        output_norm=layer.post_attention_layernorm.weight.detach(),
        gate_and_up=make_linear(_stacked(mlp.gate_proj, mlp.up_proj)),
        down=make_linear(mlp.down_proj.weight.detach()),
    )


def _stacked(*modules: Any) -> Tensor:
    """The weights of linear modules that read one input, as one matrix; the modules become views of it."""
    fused = torch.cat([module.weight.detach() for module in modules])
    start = 0
    for module in modules:
        end = start + module.weight.shape[0]
        module.weight.data = fused[start:end]
        start = end
    return fused
