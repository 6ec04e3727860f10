"""Server momentum. Source: Hsu et al. 2019, "Measuring the Effects of Non-Identical Data Distribution", §4.3."""

from dataclasses import dataclass

from frag.updates import Weights
from prompt_tuning.strategies.strategy import ServerState, scaled, scaled_sum, zeros


@dataclass(frozen=True, slots=True, kw_only=True)
class FedAvgM:
    """v ← β v + Δ̄; w ← w + η v."""

    learning_rate: float = 1.0
    momentum: float = 0.9
    proximal_mu: float = 0.0

    def init(self, weights: Weights) -> ServerState:
        return ServerState(weights=weights, slots={"velocity": zeros(weights)})

    def apply(self, state: ServerState, mean_delta: Weights) -> ServerState:
        velocity = scaled_sum(mean_delta, 1.0, scaled(self.momentum, state.slots["velocity"]))
        return ServerState(
            weights=scaled_sum(state.weights, self.learning_rate, velocity),
            round_num=state.round_num + 1,
            slots={"velocity": velocity},
        )
