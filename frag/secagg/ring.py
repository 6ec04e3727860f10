"""Weighted updates as integers modulo 2^32, so that masks cancel and sums do not depend on any order.

The ring is half as wide as that of plain sums: an upload stays near the size of the float32 update, and the resolution
follows from the public bound on entries and the number of nodes.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from frag.errors import UpdateError
from frag.protocols import FloatArray

RingArray = npt.NDArray[np.uint32]
_HALF = 2**31 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Ring:
    """Vectors of `length` entries within ±`bound`, each with a weight in (0, 1], over at most `num_nodes` nodes.

    One coordinate more holds the weight, so that the mean needs no weight in the clear.
    """

    length: int
    bound: float
    num_nodes: int

    @property
    def scale(self) -> float:
        """Steps of the ring to one unit of an entry; the sum of all nodes stays below 2^31."""
        return (_HALF - self.num_nodes) / (self.num_nodes * self.bound)

    def encode(self, values: FloatArray, weight: float) -> RingArray:
        """weight · values and the weight, as [length + 1] integers. Larger entries are clipped to the bound.

        Raises:
            UpdateError: The vector has another length, is not finite, or the weight is not in (0, 1].
        """
        if values.shape != (self.length,) or not np.isfinite(values).all():
            raise UpdateError(f"A vector of {values.shape} entries cannot be summed with those of {self.length}.")
        if not 0 < weight <= 1:
            raise UpdateError(f"The weight {weight} is not within (0, 1].")
        clipped = np.clip(values.astype(np.float64), -self.bound, self.bound)
        whole = np.append(clipped, self.bound) * (weight * self.scale)
        return np.rint(whole).astype(np.int64).astype(np.uint32)

    def mean(self, total: RingArray) -> FloatArray:
        """Σ w Δ / Σ w, float32 [length]. Raises UpdateError when the sum has no weight."""
        signed = total.astype(np.int32).astype(np.float64) / self.scale
        weight = signed[-1] / self.bound
        if not weight > 0:
            raise UpdateError("The sum has no weight.")
        mean: FloatArray = (signed[:-1] / weight).astype(np.float32)
        return mean
