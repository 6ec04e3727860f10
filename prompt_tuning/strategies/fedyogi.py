"""FedYogi: v ← v − (1 − β₂) Δ̄² sign(v − Δ̄²).

Source: Reddi et al. 2021, "Adaptive Federated Optimization", Algorithm 2.
"""

from dataclasses import dataclass

import numpy as np

from prompt_tuning.strategies.fedopt import Array, FedOpt


@dataclass(frozen=True, slots=True, kw_only=True)
class FedYogi(FedOpt):
    """v moves by what is new, whatever its size."""

    beta_2: float = 0.99

    def second(self, v: Array, square: Array) -> Array:
        new: Array = v - np.float32(1 - self.beta_2) * square * np.sign(v - square)
        return new
