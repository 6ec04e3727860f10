"""What FedAdagrad, FedYogi and FedAdam share.

Source: Reddi et al. 2021, "Adaptive Federated Optimization", Algorithm 2.

m ← β₁ m + (1 − β₁) Δ̄;  v by the variant;  w ← w + η m / (√v + τ). No bias correction; v starts at τ², as in the paper.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from frag.updates import Weights
from prompt_tuning.strategies.strategy import ServerState, zeros

Array = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class FedOpt(ABC):
    """An adaptive server step; `tau` bounds that of coordinates that hardly move."""

    learning_rate: float = 0.01
    beta_1: float = 0.9
    tau: float = 1e-3
    proximal_mu: float = 0.0

    def init(self, weights: Weights) -> ServerState:
        """m = 0, v = τ²."""
        second = {name: np.full_like(value, self.tau**2) for name, value in weights.items()}
        return ServerState(weights=weights, slots={"first": zeros(weights), "second": second})

    def apply(self, state: ServerState, mean_delta: Weights) -> ServerState:
        """One server step with the variant's rule for v."""
        first_moment, second_moment, weights = {}, {}, {}
        for name, delta in mean_delta.items():
            m = np.float32(self.beta_1) * state.slots["first"][name] + np.float32(1 - self.beta_1) * delta
            v = self.second(state.slots["second"][name], np.square(delta))
            change = np.float32(self.learning_rate) * m / (np.sqrt(v) + np.float32(self.tau))
            weights[name] = (state.weights[name] + change).astype(np.float32)
            first_moment[name], second_moment[name] = m, v
        slots = {"first": first_moment, "second": second_moment}
        return ServerState(weights=weights, round_num=state.round_num + 1, slots=slots)

    @abstractmethod
    def second(self, v: Array, square: Array) -> Array:
        """The next v, from v and Δ̄²."""
