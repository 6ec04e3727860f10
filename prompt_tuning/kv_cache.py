"""Keys and values that attention has seen: of one fixed prefix, kept, and of a batch, growing.

A cache is text in another form: the prefixes kept here are instructions, never documents, and a batch's cache is
gone with its batch.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyValues:
    """Keys and values of one text, rotated to positions 0 … n-1: each [layers, kv heads, n, head_dim]."""

    keys: Tensor = field(repr=False)
    values: Tensor = field(repr=False)

    @property
    def num_tokens(self) -> int:
        return self.keys.shape[2]

    @property
    def num_bytes(self) -> int:
        return 2 * self.keys.numel() * self.keys.element_size()


def joined(parts: Sequence[KeyValues]) -> KeyValues | None:
    """Runs that follow each other as one; None where there is none."""
    if len(parts) <= 1:
        return parts[0] if parts else None
    return KeyValues(
        keys=torch.cat([part.keys for part in parts], dim=2), values=torch.cat([part.values for part in parts], dim=2)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheShape:
    """What a model needs per token."""

    num_layers: int
    num_key_value_heads: int
    head_dim: int
    dtype: torch.dtype


class ColumnCache(Protocol):
    """What a forward pass needs: columns that rows share, of which padding is not visible."""

    @property
    def num_columns(self) -> int: ...

    def open_columns(self, visible: Tensor) -> Tensor: ...

    def put(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]: ...

    def append(self, keys: Tensor, values: Tensor) -> None: ...


def attention_mask(visible: Tensor, num_new: int, dtype: torch.dtype) -> Tensor:
    """What the last `num_new` of the columns in `visible` [rows, columns] look at, to be added to attention scores.

    Returns:
        [rows, 1, num_new, columns]: 0, or the lowest number where a query must not look (padding, and what comes after
        it). Lowest, not -inf, so that padding rows do not become NaN.
    """
    num_columns = visible.shape[1]
    causal = torch.ones(num_new, num_columns, dtype=torch.bool).tril(num_columns - num_new)
    allowed = visible[:, None, None, :] & causal
    return torch.zeros(allowed.shape, dtype=dtype).masked_fill_(~allowed, torch.finfo(dtype).min)


class BatchCache:
    """Preallocated keys and values of a batch, [layers, rows, kv heads, columns, head_dim].

    Rows share columns; a column that is padding for a row is not `visible` to it. Positions are the caller's matter.
    """

    def __init__(self, shape: CacheShape, *, num_rows: int, capacity: int) -> None:
        sizes = (shape.num_layers, num_rows, shape.num_key_value_heads, capacity, shape.head_dim)
        self._keys = torch.zeros(sizes, dtype=shape.dtype)
        self._values = torch.zeros(sizes, dtype=shape.dtype)
        self._visible = torch.zeros(num_rows, capacity, dtype=torch.bool)
        self._dtype = shape.dtype
        self.num_rows = num_rows
        self.num_columns = 0

    def start_with(self, prefixes: Sequence[KeyValues | None], num_columns: int = 0) -> None:
        """Fills the first columns with the prefix of each row, right-aligned; equal prefixes are the same object.

        As many columns as the longest has tokens, or `num_columns` if that is more.
        """
        longest = max((prefix.num_tokens for prefix in prefixes if prefix is not None), default=0)
        width = max(longest, num_columns)
        for prefix in {id(prefix): prefix for prefix in prefixes if prefix is not None}.values():
            rows = [row for row, other in enumerate(prefixes) if other is prefix]
            columns = slice(width - prefix.num_tokens, width)
            self._keys[:, rows, :, columns] = prefix.keys[:, None]
            self._values[:, rows, :, columns] = prefix.values[:, None]
            self._visible[rows, columns] = True
        self.num_columns = width

    def open_columns(self, visible: Tensor) -> Tensor:
        """Appends columns, `visible` [rows, t] where a row has no padding, and returns their `attention_mask`."""
        start, end = self.num_columns, self.num_columns + visible.shape[1]
        self._visible[: self.num_rows, start:end] = visible
        self.num_columns = end
        return attention_mask(self._visible[: self.num_rows, :end], visible.shape[1], self._dtype)

    def append(self, keys: Tensor, values: Tensor) -> None:
        """Appends columns that are visible to every row, given as [layers, rows, kv heads, n, head_dim]."""
        start, end = self.num_columns, self.num_columns + keys.shape[3]
        self._keys[:, : self.num_rows, :, start:end] = keys
        self._values[:, : self.num_rows, :, start:end] = values
        self._visible[: self.num_rows, start:end] = True
        self.num_columns = end

    def put(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Writes the newest columns of a layer and returns all: each [rows, kv heads, columns, head_dim]."""
        start, end = self.num_columns - keys.shape[2], self.num_columns
        all_keys, all_values = self._keys[layer, : self.num_rows], self._values[layer, : self.num_rows]
        all_keys[:, :, start:end] = keys
        all_values[:, :, start:end] = values
        return all_keys[:, :, :end], all_values[:, :, :end]

    def drop_row(self, row: int) -> None:
        """Forgets a row; the last row takes its place, so that only one row is copied."""
        last = self.num_rows - 1
        if row != last:
            end = self.num_columns
            self._keys[:, row, :, :end] = self._keys[:, last, :, :end]
            self._values[:, row, :, :end] = self._values[:, last, :, :end]
            self._visible[row, :end] = self._visible[last, :end]
        self.num_rows = last

    def of_row(self, row: int) -> KeyValues:
        """A copy of what one row without padding has seen."""
        return self.last_of_row(row, self.num_columns)

    def last_of_row(self, row: int, num_tokens: int) -> KeyValues:
        """A copy of the newest `num_tokens` columns of a row."""
        columns = slice(self.num_columns - num_tokens, self.num_columns)
        return KeyValues(keys=self._keys[:, row, :, columns].clone(), values=self._values[:, row, :, columns].clone())


class PrefixCache:
    """The keys and values of the last few fixed prefixes, least recently used out first.

    Args:
        compute: Runs the model over the ids of a prefix.
        capacity: How many prefixes are kept.
    """

    def __init__(self, compute: Callable[[tuple[int, ...]], KeyValues], capacity: int = 8) -> None:
        self._compute = compute
        self._capacity = capacity
        self._kept: OrderedDict[tuple[int, ...], KeyValues] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, prefix_ids: tuple[int, ...]) -> KeyValues | None:
        """Keys and values of the prefix, computed when they are not kept; None for an empty prefix."""
        if not prefix_ids:
            return None
        if prefix_ids not in self._kept:
            self._kept[prefix_ids] = self._compute(prefix_ids)
            if len(self._kept) > self._capacity:
                self._kept.popitem(last=False)
        self._kept.move_to_end(prefix_ids)
        return self._kept[prefix_ids]

    def clear(self) -> None:
        """Needed whenever the weights change."""
        self._kept.clear()
