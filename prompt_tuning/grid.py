"""Rows of different length as a grid with padding, and as one dense list of their tokens.

Everything but attention works token by token, so padding need not pass through it: with answers of 1 to 30 tokens in a
batch, most of a grid is padding.
"""

import torch
from torch import Tensor

_WORTH_IT = 0.9
"""Share of real tokens above which the copies cost more than the padding."""


class Grid:
    """Turns [rows, t, width] into [tokens, width] and back; leaves both alone where there is little padding.

    Args:
        visible: [rows, t] bool, False for padding.
    """

    def __init__(self, visible: Tensor) -> None:
        self._rows, self._columns = visible.shape
        places = visible.flatten().nonzero().squeeze(1)
        self._places: Tensor | None = places if len(places) < _WORTH_IT * visible.numel() else None

    def dense(self, grid: Tensor) -> Tensor:
        """The real tokens of a grid, in order of rows."""
        if self._places is None:
            return grid
        return grid.reshape(self._rows * self._columns, -1).index_select(0, self._places)

    def padded(self, tokens: Tensor) -> Tensor:
        """The grid of `dense` tokens, zero where there is padding."""
        if self._places is None:
            return tokens
        empty = torch.zeros(self._rows * self._columns, tokens.shape[-1], dtype=tokens.dtype)
        return empty.index_copy(0, self._places, tokens).view(self._rows, self._columns, -1)
