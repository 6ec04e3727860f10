"""Linear layers whose weights were 4-bit before they were converted: read as 4 bits again where that is faster.

With few rows a linear layer costs what it costs to read its weights, and 4 bits are a quarter of bfloat16. Packing
happens only where it gives the weights back to bfloat16 rounding (Q4_1 files lie on such a grid: per 32 weights
one minimum and 15 equal steps), so that it is a matter of speed, not of quality. float32 is never packed.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

_GROUP = 32
_NUM_STEPS = 15
_MAX_ERROR_STEPS = 0.15
"""How far a weight may lie from the grid: bfloat16 keeps 8 bits, so about 0.06 steps; a free weight is 0.5 off."""

_MAX_PACKED_ROWS = 12
"""From about here on the machine is bound by arithmetic, and bfloat16's is faster."""


class Linear:
    """y = x Wᵀ."""

    def __init__(self, weight: Tensor) -> None:
        self._weight = weight

    def __call__(self, inputs: Tensor) -> Tensor:
        return functional.linear(inputs, self._weight)


class LowRank(NamedTuple):
    """ΔW = up · down. Source: Hu et al. 2021, "LoRA", §4.1. The scale α / r is part of `up`."""

    down: Tensor
    """[r, in]"""
    up: Tensor
    """[out, r]"""


class AdaptedLinear(Linear):
    """A linear layer, or several fused into one, each with a low-rank change.

    Args:
        base: The frozen layer.
        changes: One for each of the fused layers, in order of their outputs. All have the same input.
    """

    def __init__(self, base: Linear, changes: Sequence[LowRank]) -> None:
        self._base = base
        self._down = torch.cat([change.down for change in changes])
        self._ups = [change.up for change in changes]

    def __call__(self, inputs: Tensor) -> Tensor:
        narrow = torch.split(functional.linear(inputs, self._down), [up.shape[1] for up in self._ups], dim=-1)
        wide = [functional.linear(part, up) for part, up in zip(narrow, self._ups, strict=True)]
        return self._base(inputs) + (wide[0] if len(wide) == 1 else torch.cat(wide, dim=-1))


class PackedLinear(Linear):
    """The same with a 4-bit copy of the weights for few rows.

    Args:
        weight: [out, in] bfloat16.
        steps: [out, in] int32 in [0, 15].
        scales: [in / 32, out, 2] bfloat16: step and value of the middle of the grid (step 8).
    """

    def __init__(self, weight: Tensor, steps: Tensor, scales: Tensor) -> None:
        super().__init__(weight)
        self._packed = torch.ops.aten._convert_weight_to_int4pack_for_cpu(steps, 1)
        self._scales = scales

    def __call__(self, inputs: Tensor) -> Tensor:
        num_rows = inputs.shape[:-1].numel()
        if num_rows > _MAX_PACKED_ROWS or torch.is_grad_enabled():  # the packed product has no gradient
            return functional.linear(inputs, self._weight)
        flat = inputs.reshape(num_rows, inputs.shape[-1])
        output: Tensor = torch.ops.aten._weight_int4pack_mm_for_cpu(flat, self._packed, _GROUP, self._scales)
        return output.view(*inputs.shape[:-1], -1)


def make_linear(weight: Tensor) -> Linear:
    """Packed when `weight` [out, in] is bfloat16 on a 4-bit grid and this torch can read that; plain otherwise."""
    if weight.dtype is not torch.bfloat16 or weight.shape[1] % _GROUP or weight.shape[0] % _GROUP:
        return Linear(weight)
    if not hasattr(torch.ops.aten, "_weight_int4pack_mm_for_cpu"):
        return Linear(weight)
    groups = weight.float().view(weight.shape[0], -1, _GROUP)
    low, high = groups.aminmax(dim=-1)
    step = ((high - low) / _NUM_STEPS).clamp_min(torch.finfo(torch.float32).tiny)
    exact = (groups - low[..., None]) / step[..., None]
    steps = exact.round()
    if (exact - steps).abs().max() > _MAX_ERROR_STEPS:
        return Linear(weight)
    scales = torch.stack((step, low + 8 * step), dim=-1).transpose(0, 1).to(torch.bfloat16)
    return PackedLinear(weight, steps.to(torch.int32).view(weight.shape), scales.contiguous())
