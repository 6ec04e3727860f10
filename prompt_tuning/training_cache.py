"""Keys and values of a training batch: a frozen past, and columns that gradients flow through."""

from collections.abc import Sequence

import torch
from torch import Tensor

from prompt_tuning.kv_cache import CacheShape, KeyValues, attention_mask


class TrainingCache:
    """A `ColumnCache` that never writes in place, so that the backward pass finds what it needs.

    Args:
        shape: Of the model.
        frozen: The past of every row as runs that follow each other; right-aligned, equal lengths are not needed.
    """

    def __init__(self, shape: CacheShape, frozen: Sequence[Sequence[KeyValues]]) -> None:
        width = max((sum(run.num_tokens for run in runs) for runs in frozen), default=0)
        sizes = (shape.num_layers, len(frozen), shape.num_key_value_heads, width, shape.head_dim)
        self._past_keys = torch.empty(sizes, dtype=shape.dtype)
        self._past_values = torch.empty(sizes, dtype=shape.dtype)
        self._visible = torch.zeros(len(frozen), width, dtype=torch.bool)
        for row, runs in enumerate(frozen):
            self._fill(row, runs, width)
        self._new_keys: list[list[Tensor]] = [[] for _ in range(shape.num_layers)]
        self._new_values: list[list[Tensor]] = [[] for _ in range(shape.num_layers)]
        self._dtype = shape.dtype

    def _fill(self, row: int, runs: Sequence[KeyValues], width: int) -> None:
        start = width - sum(run.num_tokens for run in runs)
        self._visible[row, start:] = True
        # padding is masked, but 0 · NaN would not be 0
        self._past_keys[:, row, :, :start] = 0
        self._past_values[:, row, :, :start] = 0
        for run in runs:
            end = start + run.num_tokens
            self._past_keys[:, row, :, start:end] = run.keys
            self._past_values[:, row, :, start:end] = run.values
            start = end

    @property
    def num_columns(self) -> int:
        return self._visible.shape[1]

    def open_columns(self, visible: Tensor) -> Tensor:
        """Appends columns, `visible` [rows, t] where a row has no padding, and returns their `attention_mask`."""
        self._visible = torch.cat((self._visible, visible), dim=1)
        return attention_mask(self._visible, visible.shape[1], self._dtype)

    def append(self, keys: Tensor, values: Tensor) -> None:
        """Appends columns that are visible to every row, given as [layers, rows, kv heads, n, head_dim]."""
        seen = torch.ones(keys.shape[1], keys.shape[3], dtype=torch.bool)
        self._visible = torch.cat((self._visible, seen), dim=1)
        for layer in range(len(keys)):
            self._new_keys[layer].append(keys[layer])
            self._new_values[layer].append(values[layer])

    def put(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Appends the newest columns of a layer and returns all: each [rows, kv heads, columns, head_dim]."""
        self._new_keys[layer].append(keys)
        self._new_values[layer].append(values)
        return (
            torch.cat((self._past_keys[layer], *self._new_keys[layer]), dim=2),
            torch.cat((self._past_values[layer], *self._new_values[layer]), dim=2),
        )
