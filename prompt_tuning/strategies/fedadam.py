"""FedAdam: v ← β₂ v + (1 − β₂) Δ̄². Source: Reddi et al. 2021, "Adaptive Federated Optimization", Algorithm 2."""

from dataclasses import dataclass

import numpy as np

from frag.updates import Weights
from prompt_tuning.strategies.fedopt import Array, start, step
from prompt_tuning.strategies.strategy import ServerState


@dataclass(frozen=True, slots=True, kw_only=True)
class FedAdam:
    """`tau` bounds the step of coordinates that hardly move."""

    learning_rate: float = 0.01
    beta_1: float = 0.9
    beta_2: float = 0.99
    tau: float = 1e-3
    proximal_mu: float = 0.0

    def init(self, weights: Weights) -> ServerState:
        return start(weights, self.tau)

    def apply(self, state: ServerState, mean_delta: Weights) -> ServerState:
        return step(
            state,
            mean_delta,
            learning_rate=self.learning_rate,
            beta_1=self.beta_1,
            tau=self.tau,
            second=self._second,
        )

    def _second(self, v: Array, square: Array) -> Array:
        keep = np.float32(self.beta_2)
        new = np.float32(1 - self.beta_2)
        return keep * v + new * square
