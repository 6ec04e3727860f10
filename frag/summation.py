"""Σ n_k Δ_k in fixed point: integers in a ring, so that the sum does not depend on the order of arrival.

Source: McMahan et al. 2017, "Communication-Efficient Learning", Algorithm 1 (weights n_k / Σ n_k); the ring is that of
secure aggregation (Bonawitz et al. 2017, §4), where masks cancel.
"""

from collections.abc import Mapping
from typing import Self

import numpy as np
import numpy.typing as npt

from frag.errors import UpdateError
from frag.updates import Weights

FRACTION_BITS = 28
"""Resolution 2^-28, about 4e-9: below the rounding of float32 for weights above 0.03."""

MAX_ABSOLUTE = 64.0
"""Largest entry of an update. With 2^6 · 2^28 an entry takes 35 bits, which leaves 28 for Σ n_k."""

MAX_TOTAL_WEIGHT = 1 << 28
"""Σ n_k: 2,684 nodes that each count for 100,000 examples. The largest sum is 2^62, so nothing wraps."""


class FixedPointSum:
    """A running weighted sum. Memory is that of one accumulator and one update.

    Args:
        like: Names and shapes.
    """

    def __init__(self, like: Weights) -> None:
        self._sums: dict[str, npt.NDArray[np.int64]] = {n: np.zeros(v.shape, np.int64) for n, v in like.items()}
        self.total_weight = 0
        self.num_added = 0

    @classmethod
    def resume(cls, sums: Mapping[str, npt.NDArray[np.int64]], *, total_weight: int, num_added: int) -> Self:
        """Goes on with a copy of another sum's `sums`."""
        resumed = cls({})
        resumed._sums = {name: value.copy() for name, value in sums.items()}
        resumed.total_weight = total_weight
        resumed.num_added = num_added
        return resumed

    @property
    def sums(self) -> Mapping[str, npt.NDArray[np.int64]]:
        """Σ n_k Δ_k in units of 2^-28, the accumulator itself."""
        return self._sums

    def add(self, delta: Weights, weight: int) -> None:
        """Adds weight · delta.

        Raises:
            UpdateError: Names or shapes are others, or the sum could overflow; nothing was added.
        """
        self._check(delta, weight)
        for name, total in self._sums.items():
            fixed = np.rint(np.multiply(delta[name], 2.0**FRACTION_BITS, dtype=np.float64)).astype(np.int64)
            fixed *= weight
            np.add(total, fixed, out=total)
        self.total_weight += weight
        self.num_added += 1

    def _check(self, delta: Weights, weight: int) -> None:
        if weight < 1 or self.total_weight + weight > MAX_TOTAL_WEIGHT:
            raise UpdateError(f"The weight {weight} does not fit into a sum of at most {MAX_TOTAL_WEIGHT}.")
        # numpy would broadcast a smaller tensor without a word
        if {n: v.shape for n, v in delta.items()} != {n: v.shape for n, v in self._sums.items()}:
            raise UpdateError("An update has other names or shapes than the sum.")
        if not all((np.abs(value) <= MAX_ABSOLUTE).all() for value in delta.values()):
            raise UpdateError(f"An entry is over the bound of {MAX_ABSOLUTE:g}.")

    def mean(self) -> Weights:
        """Σ n_k Δ_k / Σ n_k, float32. Raises UpdateError when nothing was added."""
        if not self.total_weight:
            raise UpdateError("There is no update to take the mean of.")
        scale = 2.0**-FRACTION_BITS / self.total_weight
        return {name: (total * scale).astype(np.float32) for name, total in self._sums.items()}
